//! Runs the built `ebpf-apply` inside a sandbox, as a user would.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use ebpf_apply::trust;
use serde_json::Value;

use crate::support::root;

/// The program with a state directory and a directory for manifests of its own.
pub(crate) struct Program {
    directory: tempfile::TempDir,
}

/// Whether the objects and examples of this checkout are fit to be applied by root: a developer's who
/// runs the tests with sudo are not.
fn checkout_is_private() -> bool {
    let objects = trust::directory(&root().join("bpf/out"));
    objects.is_ok_and(|opened| opened.exposures.is_empty())
}

/// What a finished run said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().expect("ended by itself, not by a signal"),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }
}

impl Said {
    /// Asserts the exit status.
    #[track_caller]
    pub(crate) fn status(self, wanted: i32) -> Self {
        assert_eq!(self.status, wanted, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// The result as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    /// Asserts that standard error says `text`.
    #[track_caller]
    pub(crate) fn complains(self, text: &str) -> Self {
        assert!(self.err.contains(text), "`{text}` is not in:\n{}", self.err);
        self
    }
}

impl Program {
    pub(crate) fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// With its directories below another one than that for temporary files.
    pub(crate) fn below(parent: &Path) -> Self {
        Self { directory: tempfile::tempdir_in(parent).expect("a directory for this test") }
    }

    /// The program's command line, not run yet.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ebpf-apply"));
        command.arg("--state-dir").arg(self.state()).args(words);
        if !checkout_is_private() {
            command.arg("--allow-insecure-permissions");
        }
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Said {
        self.command(words).output().expect("the program starts").into()
    }

    /// Starts it and returns once it holds its deployment.
    pub(crate) fn hold(&self, manifest: &str) -> Held {
        let mut held = Held::start(&mut self.command(&[manifest]));
        while !held.said.contains("held until") {
            let line = held.line();
            held.said.push_str(&line);
        }
        held
    }

    /// Starts it with a result in JSON for each apply, and returns the first of them.
    pub(crate) fn watch(&self, manifest: &str, words: &[&str]) -> (Held, Value) {
        let mut command = self.command(&["apply", manifest, "--watch", "--format", "json"]);
        let mut held = Held::start(command.args(words));
        let first = held.result();
        (held, first)
    }

    /// Writes a manifest and returns its path.
    pub(crate) fn manifest(&self, name: &str, text: &str) -> String {
        let path = self.directory.path().join(name);
        fs::write(&path, text).expect("a writable directory");
        path.display().to_string()
    }

    /// Where the records are.
    pub(crate) fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// A directory for whatever else a test needs.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// The steps of a run at which a test kills it: every one, from the first on, without end. Where that takes
/// too long, the variable `EBPF_APPLY_KILL_EVERY` leaves steps out, but no more than `most` in a row.
pub(crate) fn steps_to_kill_at(most: usize) -> impl Iterator<Item = usize> {
    let every = std::env::var("EBPF_APPLY_KILL_EVERY");
    let every: usize = every.map_or(1, |every| every.parse().expect("a number"));
    (0..).step_by(every.min(most))
}

/// A running program that holds a deployment.
pub(crate) struct Held {
    child: Child,
    out: BufReader<ChildStdout>,
    pub(crate) said: String,
}

impl Held {
    /// Starts a program whose output is read line by line.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, out, said: String::new() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next line.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.out.read_line(&mut line).expect("readable output");
        assert!(read > 0, "it ended instead of going on:\n{}", self.said);
        line
    }

    /// Waits for the next result in JSON.
    #[track_caller]
    pub(crate) fn result(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("a live process");
    }

    /// Sends a signal, waits for the end, and returns the exit status and the rest of the output.
    pub(crate) fn end(mut self, signal: rustix::process::Signal) -> (Option<i32>, String) {
        self.signal(signal);
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.out, &mut rest).expect("readable output");
        let status = self.child.wait().expect("a child");
        (status.code(), rest)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // A test that failed must not leave the program behind; one that ended is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
