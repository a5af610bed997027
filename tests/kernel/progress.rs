//! What shows itself while it lasts: in one line of a terminal, of which nothing stays, and in lines of
//! a log elsewhere. Of what does not last, nothing is shown.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::program::{Held, Program};
use crate::sandbox::Sandbox;
use crate::support::object;

const COLUMNS: u16 = 60;

/// What a terminal shows, without what has scrolled away.
struct Screen {
    master: File,
    written: String,
}

impl Screen {
    /// A terminal, and the end that a program writes to.
    fn new() -> (Self, OwnedFd) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("ours");
        let size = Winsize { ws_row: 24, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).expect("a size");
        let name = ptsname(&master, Vec::new()).expect("a name");
        let slave = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("its end");
        (Self { master: master.into(), written: String::new() }, slave)
    }

    /// The lines, the one that the cursor is in last.
    fn lines(&self) -> Vec<String> {
        let line = |line: &str| {
            // Each is written from the first column on, and the rest cleared.
            let shown = line.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default();
            shown.strip_suffix("\x1b[K").unwrap_or(shown).to_owned()
        };
        self.written.split("\r\n").map(line).collect()
    }

    /// Reads on until the line that the cursor is in is such a one; returns it.
    #[track_caller]
    fn until(&mut self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.lines().pop().unwrap_or_default();
            if is_it(&line) {
                return line;
            }
            assert!(self.read(), "it ended without {what}: {:?}", self.written);
        }
    }

    /// Reads to the end; returns the lines that stay.
    fn rest(&mut self) -> Vec<String> {
        while self.read() {}
        assert!(!self.written.replace("\x1b[K", "").contains('\x1b'), "{:?}", self.written);
        self.lines()
    }

    /// Reads on; not if there is no more, as the last program that had it open has ended.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        match self.master.read(&mut buffer) {
            Ok(count) => {
                self.written.push_str(std::str::from_utf8(&buffer[..count]).expect("UTF-8"));
                count > 0
            }
            Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Standard error is that terminal.
fn on(terminal: OwnedFd, command: &mut Command) -> &mut Command {
    command.stderr(terminal).env("TERM", "xterm").env("NO_COLOR", "1")
}

fn manifest(program: &Program, attach: &str) -> String {
    let text = format!(
        "version = 1\nname = \"edge\"\npin-root = \"/sys/fs/bpf/edge\"\n\n[objects.a]\npath = \
         \"{}\"\nload = \"listed\"\n\n[objects.a.programs.count_a]\nattach = [{attach}]\n",
        object("shape_a").display()
    );
    program.manifest("edge.toml", &text)
}

/// Applies a manifest, and takes the lock of its deployment as another run would.
fn locked(program: &Program) -> (String, File) {
    let manifest = manifest(program, "");
    program.run(&["apply", &manifest, "--detach"]).status(0);
    let lock = File::open(program.state().join("edge.apply.lock")).expect("a lock");
    flock(&lock, FlockOperation::NonBlockingLockExclusive).expect("nobody has it");
    (manifest, lock)
}

/// What says that the lock is waited for.
fn waits_for_the_lock() -> String {
    let this = std::process::id();
    format!("waiting for the lock of deployment `edge`, held by pid {this} (`")
}

#[test]
fn a_terminal_shows_who_has_the_lock_until_it_is_free() {
    Sandbox::run(|_| {
        let program = Program::new();
        let (manifest, lock) = locked(&program);
        let (mut screen, terminal) = Screen::new();
        let mut command =
            program.command(&["apply", &manifest, "--detach", "--lock-timeout", "60"]);
        let child = on(terminal, &mut command).stdout(Stdio::piped()).spawn().expect("it starts");
        drop(command);
        let wanted = waits_for_the_lock();
        let wanted: String = wanted.chars().take(usize::from(COLUMNS) - 10).collect();
        let line = screen.until("the lock", |line| line.starts_with(&wanted));
        assert!(line.ends_with('…') && line.chars().count() < usize::from(COLUMNS), "{line}");
        drop(lock);
        assert_eq!(screen.rest(), [""]);
        let said = child.wait_with_output().expect("it ends");
        assert_eq!(said.status.code(), Some(0));
        let out = String::from_utf8(said.stdout).expect("UTF-8");
        assert!(out.contains("unchanged") && !out.contains("waiting"), "{out}");
    });
}

#[test]
fn an_error_stands_where_the_line_was() {
    Sandbox::run(|_| {
        let program = Program::new();
        let (manifest, _lock) = locked(&program);
        let (mut screen, terminal) = Screen::new();
        let mut command = program.command(&["apply", &manifest, "--detach", "--lock-timeout", "2"]);
        let mut child =
            on(terminal, &mut command).stdout(Stdio::null()).spawn().expect("it starts");
        drop(command);
        let lines = screen.rest();
        assert!(screen.written.contains("waiting for the lock"), "{:?}", screen.written);
        assert!(lines[0].contains("error") && lines[0].contains("locked for 2s"), "{lines:?}");
        assert!(!lines.concat().contains("waiting"), "{lines:?}");
        assert_eq!(child.wait().expect("it ends").code(), Some(5));
    });
}

#[test]
fn a_log_says_who_has_the_lock_in_whole_lines() {
    Sandbox::run(|_| {
        let program = Program::new();
        let (manifest, lock) = locked(&program);
        let mut child = program
            .command(&["apply", &manifest, "--detach", "--lock-timeout", "60"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut log = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        log.read_line(&mut line).expect("a line");
        assert!(line.starts_with(&waits_for_the_lock()), "{line:?}");
        assert!(line.contains("running for") && !line.contains(['\r', '\x1b']), "{line:?}");
        drop(lock);
        let mut rest = String::new();
        log.read_to_string(&mut rest).expect("UTF-8");
        // On a machine that hangs for seconds, once more.
        assert!(rest.lines().all(|line| line.starts_with(&waits_for_the_lock())), "{rest:?}");
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
    });
}

const LATE: &str = "{ hook = \"xdp\", interface = \"late0\", wait = true }";
const WAITS: &str = "waiting for interface `late0`";

#[test]
fn a_terminal_shows_what_is_awaited_until_it_is_there() {
    Sandbox::run(|sandbox| {
        let program = Program::new();
        let manifest = manifest(&program, LATE);
        let (mut screen, terminal) = Screen::new();
        let mut command = program.command(&["apply", &manifest, "--format", "json"]);
        let mut held = Held::start(on(terminal, &mut command));
        drop(command);
        assert_eq!(held.result()["outcome"], "applied");
        screen.until("the interface", |line| line == WAITS);
        sandbox.wire("late0", "peer0");
        assert_eq!(held.result()["outcome"], "applied");
        screen.until("an end", str::is_empty);
        let (status, out) = held.end(Signal::TERM);
        assert_eq!(status, Some(0));
        assert!(!out.contains("waiting"), "{out}");
        assert_eq!(screen.rest(), [""]);
    });
}

#[test]
fn a_log_says_once_what_is_awaited() {
    Sandbox::run(|sandbox| {
        let program = Program::new();
        let manifest = manifest(&program, LATE);
        let log = program.directory().join("log");
        let mut command = program.command(&["apply", &manifest, "--format", "json"]);
        let mut held = Held::start(command.stderr(File::create(&log).expect("a file")));
        held.result();
        // Each look at something else is one at which it might be said again.
        for _ in 0..2 {
            held.signal(Signal::HUP);
            held.result();
        }
        sandbox.wire("late0", "peer0");
        held.result();
        assert_eq!(held.end(Signal::TERM).0, Some(0));
        let said = std::fs::read_to_string(Path::new(&log)).expect("UTF-8");
        assert_eq!(said, format!("{WAITS}\n"));
    });
}

#[test]
fn of_what_does_not_last_nothing_is_shown() {
    Sandbox::run(|_| {
        let program = Program::new();
        let manifest = manifest(&program, "");
        let commands: [&[&str]; 5] = [
            &["validate", &manifest],
            &["plan", &manifest],
            &["apply", &manifest, "--detach"],
            &["status", &manifest],
            &["destroy", &manifest],
        ];
        for words in commands {
            let (mut screen, terminal) = Screen::new();
            let mut command = program.command(words);
            let mut child =
                on(terminal, &mut command).stdout(Stdio::null()).spawn().expect("it starts");
            drop(command);
            screen.rest();
            assert_eq!(child.wait().expect("it ends").code(), Some(0));
            assert_eq!(screen.written, "", "{words:?}");
        }
        assert_eq!(program.run(&["apply", &manifest, "--detach"]).status(0).err, "");
    });
}

#[test]
fn a_terminal_that_cannot_rewrite_a_line_gets_whole_ones() {
    Sandbox::run(|_| {
        let program = Program::new();
        let (manifest, lock) = locked(&program);
        let (mut screen, terminal) = Screen::new();
        let mut command =
            program.command(&["apply", &manifest, "--detach", "--lock-timeout", "60"]);
        on(terminal, &mut command).env("TERM", "dumb").stdout(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        drop(command);
        while !screen.written.ends_with("\r\n") {
            assert!(screen.read(), "it ended with {:?}", screen.written);
        }
        assert!(screen.written.starts_with(&waits_for_the_lock()), "{:?}", screen.written);
        drop(lock);
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
        assert!(!screen.rest().concat().contains('\x1b'), "{:?}", screen.written);
    });
}

/// What a run that waits for its lock in vain shows, started by a shell that has a terminal for itself.
fn shown_by_a_job(start: &str) -> String {
    let program = Program::new();
    let (manifest, _lock) = locked(&program);
    let (mut screen, terminal) = Screen::new();
    let run = program.command(&["apply", &manifest, "--detach", "--lock-timeout", "2"]);
    let mut command = Command::new("setsid");
    command.args(["-c", "bash", "--norc", "-c", start, "shell"]).arg(run.get_program());
    command.args(run.get_args()).stdin(terminal.try_clone().expect("its end"));
    let mut shell = on(terminal, &mut command).stdout(Stdio::null()).spawn().expect("it starts");
    drop(command);
    screen.rest();
    shell.wait().expect("it ends");
    assert!(screen.written.contains("locked for 2s"), "{:?}", screen.written);
    screen.written
}

#[test]
fn a_job_in_the_background_leaves_the_terminal_to_whoever_types() {
    Sandbox::run(|_| {
        let before = shown_by_a_job("\"$@\"; true");
        assert!(before.contains("\rwaiting for the lock"), "{before:?}");
        let behind = shown_by_a_job("set -m; \"$@\" & wait");
        assert!(!behind.contains("waiting for the lock"), "{behind:?}");
    });
}
