//! What a service manager is told, over a real socket.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};

use super::{Edge, text};
use crate::host;
use crate::program::Held;
use crate::sandbox::Sandbox;

/// A service manager's end of the notification socket.
pub(super) struct Manager {
    _directory: tempfile::TempDir,
    path: PathBuf,
    socket: UnixDatagram,
}

impl Manager {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        Self { _directory: directory, path, socket: bounded(socket) }
    }

    pub(super) fn path(&self) -> &PathBuf {
        &self.path
    }

    /// The next message.
    #[track_caller]
    fn next(&self) -> Vec<String> {
        receive(&self.socket)
    }

    /// Waits for a message with this line.
    #[track_caller]
    pub(super) fn wait(&self, line: &str) -> Vec<String> {
        loop {
            let message = self.next();
            if message.iter().any(|found| found == line) {
                return message;
            }
        }
    }
}

/// A test that waits in vain fails instead of hanging.
fn bounded(socket: UnixDatagram) -> UnixDatagram {
    socket.set_read_timeout(Some(Duration::from_mins(1))).expect("a timeout");
    socket
}

#[track_caller]
fn receive(socket: &UnixDatagram) -> Vec<String> {
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).expect("a message in time");
    let text = std::str::from_utf8(&buffer[..length]).expect("UTF-8");
    assert!(text.ends_with('\n'), "{text:?}");
    text.lines().map(str::to_owned).collect()
}

fn micros() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

#[test]
fn every_reload_is_announced_and_ends_as_ready_whatever_comes_of_it() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let manager = Manager::new();
        // Reloads by signal alone: a change that is noticed as well might be tried twice.
        let mut command = edge.program.command(&["apply", &edge.manifest]);
        let mut held = Held::start(command.env("NOTIFY_SOCKET", manager.path()));
        assert_eq!(manager.next(), ["READY=1", "STATUS=generation 1"]);

        let good = text(2);
        let refused = format!("{good}broken = 1\n");
        let cases = [
            (&*good, "STATUS=generation 2"),
            ("version = ", "STATUS=the manifest or an object is invalid; serving generation 2"),
            (&*refused, "STATUS=the reload failed: cannot load program `count_xdp`"),
            (&*good, "STATUS=generation 2"),
        ];
        for (manifest, status) in cases {
            edge.replace(manifest);
            let before = micros();
            held.signal(Signal::HUP);
            let began = manager.next();
            assert_eq!(began[0], "RELOADING=1");
            let time = began[1].strip_prefix("MONOTONIC_USEC=").expect("the time");
            let time: i64 = time.parse().expect("a number");
            assert!(before <= time && time <= micros(), "after the signal, and in its unit");
            let ended = manager.next();
            assert_eq!((&*ended[0], ended.len()), ("READY=1", 2));
            assert!(ended[1].starts_with(status), "{ended:?}");
            if status.contains("failed") {
                assert!(ended[1].ends_with("; serving generation 2"), "{ended:?}");
            }
        }
        held.signal(Signal::TERM);
        assert_eq!(manager.next(), ["STOPPING=1"]);
        held.said.clear();
        assert_eq!(held.end(Signal::TERM).0, Some(0));
    });
}

#[test]
fn an_abstract_socket_and_the_watchdog_are_served() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        // Abstract names belong to a network namespace, and this one is the sandbox's.
        let address = SocketAddr::from_abstract_name(b"manager").expect("a name");
        let socket = bounded(UnixDatagram::bind_addr(&address).expect("free"));
        let mut command = edge.program.command(&["apply", &edge.manifest]);
        command.env("NOTIFY_SOCKET", "@manager").env("WATCHDOG_USEC", "100000");
        let held = Held::start(&mut command);
        assert_eq!(receive(&socket)[0], "READY=1");
        for _ in 0..3 {
            assert_eq!(receive(&socket), ["WATCHDOG=1"]);
        }
        assert_eq!(held.end(Signal::TERM).0, Some(0));
    });
}

#[test]
fn the_watchdog_is_served_during_a_reload() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let manager = Manager::new();
        let mut command = edge.program.command(&["apply", &edge.manifest]);
        // So short that each step is late for it.
        command.env("NOTIFY_SOCKET", manager.path()).env("WATCHDOG_USEC", "2");
        let held = Held::start(&mut command);
        manager.wait("READY=1");
        edge.replace(&text(2));
        held.signal(Signal::HUP);
        manager.wait("RELOADING=1");
        let mut told = 0;
        while manager.next()[0] == "WATCHDOG=1" {
            told += 1;
        }
        assert!(told >= 3, "a reload has more steps than {told}");
        // The socket's queue is full by now, which would keep it from ending.
        drop(manager);
        assert_eq!(held.end(Signal::TERM).0, Some(0));
    });
}

#[test]
fn what_lasts_is_the_status_until_it_is_over() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        edge.program.run(&["apply", &edge.manifest, "--detach"]).status(0);
        edge.replace(&text(1).replace(
            "\"veth0\" }",
            "\"veth0\" }, { hook = \"xdp\", interface = \"late0\", wait = true }",
        ));
        let manager = Manager::new();
        let mut command = edge.program.command(&["apply", &edge.manifest, "--lock-timeout", "60"]);
        command.env("NOTIFY_SOCKET", manager.path());
        let ready =
            ["READY=1", "STATUS=generation 1; waiting for interface `late0`"].map(str::to_owned);
        let lock = "STATUS=waiting for the lock of deployment `edge`, held by pid ";
        let waits = |message: Vec<String>| {
            assert!(message.len() == 1 && message[0].starts_with(lock), "{message:?}");
        };
        let paused = edge.pause();
        let held = Held::start(&mut command);
        waits(manager.next());
        drop(paused);
        assert_eq!(manager.wait("READY=1"), ready);

        let paused = edge.pause();
        held.signal(Signal::HUP);
        assert_eq!(manager.next()[0], "RELOADING=1");
        waits(manager.next());
        drop(paused);
        assert_eq!(manager.wait("READY=1"), ready);
        assert_eq!(held.end(Signal::TERM).0, Some(0));
    });
}

#[test]
fn lines_for_the_journal_have_their_priority() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let log = edge.program.directory().join("log");
        let file = fs::File::create(&log).expect("a writable directory");
        let stat = rustix::fs::fstat(&file).expect("a file");
        let run = |stream: String, words: &[&str]| {
            let mut command = edge.program.command(words);
            command.env("JOURNAL_STREAM", stream).stderr(file.try_clone().expect("a file"));
            command.output().expect("it starts");
            let said = fs::read_to_string(&log).expect("a log");
            file.set_len(0).expect("a file");
            said
        };
        let journal = format!("{}:{}", stat.st_dev, stat.st_ino);
        edge.replace("version = ");
        let said = run(journal.clone(), &["apply", &edge.manifest, "--detach"]);
        let said = said.trim_start_matches('\0');
        assert!(said.contains("toml-syntax"), "{said}");
        assert!(said.lines().all(|line| line.starts_with("<3>")), "{said}");

        edge.replace(&text(1));
        let said = run(journal, &["apply", &edge.manifest, "--detach", "-vv"]);
        let said = said.trim_start_matches('\0');
        assert!(said.lines().all(|line| line.starts_with("<7>")) && said.len() > 3, "{said}");
        let elsewhere = run("1:1".to_owned(), &["plan", "/no/such/manifest"]);
        assert!(
            !elsewhere.contains('<') && elsewhere.contains("manifest-unreadable"),
            "{elsewhere}"
        );
    });
}

#[test]
fn a_watchdog_of_another_process_and_a_manager_that_is_gone_are_no_concern() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let manager = Manager::new();
        let mut command = edge.program.command(&["apply", &edge.manifest]);
        command.env("NOTIFY_SOCKET", manager.path()).env("WATCHDOG_USEC", "1000");
        let held = Held::start(command.env("WATCHDOG_PID", "1"));
        assert_eq!(manager.next()[0], "READY=1");
        held.signal(Signal::HUP);
        assert_eq!(manager.next()[0], "RELOADING=1", "no watchdog before it");
        assert_eq!(manager.next()[0], "READY=1");
        fs::remove_file(manager.path()).expect("the socket");
        assert_eq!(held.end(Signal::TERM).0, Some(0));
    });
}
