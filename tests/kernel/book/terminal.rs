//! A shell that is typed into, as a reader of the book would.

use std::io::{BufRead, BufReader, Write, pipe};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::page::{self, is_shown};
use crate::support::root;

/// What begins the line by which the shell says that a command has ended, and how.
const ENDED: char = '\u{1e}';

/// What the program says once it holds a deployment.
const HOLDS: &str = "…; held until …";

/// A shell, with what it and its jobs have printed.
pub(crate) struct Terminal {
    shell: Child,
    keyboard: ChildStdin,
    screen: Receiver<String>,
}

/// What is waited for.
#[derive(Clone, Copy)]
enum Until {
    /// The program holds a deployment.
    Holds,
    /// The command has ended.
    Ended,
    /// All has come that the page shows.
    Shown,
}

/// What a command has printed.
struct Printed<'c> {
    command: &'c page::Command,
    lines: Vec<String>,
    /// How many of the lines that the page shows have come.
    seen: usize,
    ended: Option<String>,
}

impl Terminal {
    /// A shell in a directory where `ebpf-apply` is a command.
    pub(crate) fn new(directory: &Path, commands: &Path) -> Self {
        let (read, write) = pipe().expect("a pipe");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("bash")
            .args(["--norc", "--noprofile"])
            .current_dir(directory)
            .env("PATH", format!("{}:{path}:/usr/sbin:/sbin", commands.display()))
            .env("LC_ALL", "C.UTF-8")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(write.try_clone().expect("another end"))
            .stderr(write)
            .spawn()
            .expect("bash is installed");
        let keyboard = shell.stdin.take().expect("a pipe");
        let (sender, screen) = channel();
        thread::spawn(move || {
            for line in BufReader::new(read).lines() {
                let line = line.expect("UTF-8");
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut terminal = Self { shell, keyboard, screen };
        if std::env::var_os("OBJECTS_ARE_BUILT").is_some() {
            // No compiler is here; each source that a page shows is one of `bpf/`.
            let built = root().join("bpf/out");
            terminal.type_in(&format!("clang() {{ cp {}/\"${{@: -1}}\" .; }}", built.display()));
        }
        terminal
    }

    /// Runs a command, which must succeed and print what the page shows.
    #[track_caller]
    pub(crate) fn run(&mut self, command: &page::Command) {
        let mut printed = Printed { command, lines: Vec::new(), seen: 0, ended: None };
        if let Some(before) = command.interrupted_after {
            // The remark behind a command would hide the rest.
            let words = command.words.split("  #").next().unwrap_or_default();
            self.type_in(&format!("{words} &"));
            self.wait(&mut printed, Until::Holds);
            assert!(printed.seen >= before, "{}", printed.story());
            self.type_in("kill -INT $!; wait $!");
        } else {
            self.type_in(&command.words);
        }
        self.type_in(&format!("printf '\\n{ENDED}%s\\n' $?"));
        self.wait(&mut printed, Until::Ended);
        assert_eq!(printed.ended.as_deref(), Some("0"), "{}", printed.story());
        if command.words.ends_with('&') && command.prints.is_empty() {
            self.wait(&mut printed, Until::Holds);
        }
        // What a job in the background prints.
        self.wait(&mut printed, Until::Shown);
    }

    /// Asserts that no job is left.
    #[track_caller]
    pub(crate) fn end(mut self) {
        let jobs = page::Command {
            line: 0,
            words: "jobs -r | wc -l".to_owned(),
            prints: vec!["0".to_owned()],
            interrupted_after: None,
        };
        self.run(&jobs);
    }

    fn type_in(&mut self, line: &str) {
        writeln!(self.keyboard, "{line}").expect("the shell reads");
    }

    /// Reads on.
    #[track_caller]
    fn wait(&mut self, printed: &mut Printed<'_>, until: Until) {
        while !printed.is(until) {
            match self.screen.recv_timeout(Duration::from_mins(1)) {
                Ok(line) => printed.take(line),
                Err(late) => panic!("{late}: nothing more comes\n{}", printed.story()),
            }
        }
    }
}

impl Printed<'_> {
    fn take(&mut self, line: String) {
        if let Some(status) = line.strip_prefix(ENDED) {
            self.ended = Some(status.to_owned());
            return;
        }
        let next = self.command.prints.get(self.seen);
        self.seen += usize::from(next.is_some_and(|shown| is_shown(&line, shown)));
        self.lines.push(line);
    }

    fn is(&self, until: Until) -> bool {
        match until {
            Until::Holds => self.lines.iter().any(|line| is_shown(line, HOLDS)),
            Until::Ended => self.ended.is_some(),
            Until::Shown => self.seen == self.command.prints.len(),
        }
    }

    /// What was typed, what came, and what did not.
    fn story(&self) -> String {
        let page::Command { line, words, prints, .. } = self.command;
        let missing = prints.get(self.seen).map(|shown| format!("\nnot shown: {shown}"));
        let printed = self.lines.join("\n");
        format!("line {line}: {words}\n{printed}{}", missing.unwrap_or_default())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A page that failed must not leave its jobs behind.
        let _gone = kill_process_group(Pid::from_child(&self.shell), Signal::KILL);
        let _gone = self.shell.wait();
    }
}
