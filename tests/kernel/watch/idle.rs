//! What a watcher costs while nothing happens.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::{Edge, text};
use crate::host;
use crate::sandbox::{Sandbox, mount_at};

/// How often a process has gone to sleep, and its time on a processor in clock ticks.
fn activity(pid: u32) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a live process");
    let sleeps = number(&status, "voluntary_ctxt_switches:");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a live process");
    // Behind the name in parentheses; `utime` and `stime` are fields 14 and 15 of proc_pid_stat(5).
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    let ticks = |field: usize| fields[field - 3].parse::<u64>().expect("a number");
    (sleeps, ticks(14) + ticks(15))
}

fn number(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("the line");
    let number = line.split_whitespace().next().expect("a number");
    number.parse().expect("a number")
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures, for who asks for them")]
fn an_idle_watcher_sleeps_and_is_small() {
    /// Far less than the safety poll; any other polling would show.
    const WHILE: Duration = Duration::from_secs(1);
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        // Other tests make files in the directory for temporary ones, which is on the way.
        mount_at("tmpfs", "/mnt");
        let edge = Edge::below(Path::new("/mnt"));
        let (mut held, _) = edge.program.watch(&edge.manifest, &[]);
        // After reloads, so that what they needed would show if it were kept.
        for n in 2..6 {
            edge.replace(&text(n));
            assert_eq!(held.result()["generation"], n);
        }
        // The events of its own change may still be on their way to it.
        let mut before = activity(held.pid());
        loop {
            thread::sleep(WHILE / 4);
            let now = activity(held.pid());
            if now == before {
                break;
            }
            before = now;
        }
        fs::read(&edge.manifest).expect("reading wakes nobody");
        thread::sleep(WHILE);
        assert_eq!(activity(held.pid()), before, "it woke up though nothing happened");
        let status = fs::read_to_string(format!("/proc/{}/status", held.pid())).expect("alive");
        let resident = number(&status, "VmRSS:");
        let own = number(&status, "RssAnon:");
        println!("an idle watcher has {resident} kB resident, {own} kB of its own");
        // The rest is the program's file; without optimisation that alone is larger.
        assert!(own < 4 * 1024, "{own} kB of its own");
        assert!(cfg!(debug_assertions) || resident < 8 * 1024, "{resident} kB resident");
        assert_eq!(held.end(Signal::TERM).0, Some(0));
    });
}
