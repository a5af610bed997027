//! What inotify(7) cannot take.

use std::fs;
use std::process::Command;
use std::time::Duration;

use ebpf_apply::watch::Method;

use crate::bench::{Bench, NOTHING, once};

#[test]
fn a_queue_that_overflowed_hides_nothing() {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").expect("procfs");
    let limit: usize = limit.trim().parse().expect("a number");
    let mut bench = Bench::new();
    bench.write("m", "1");
    bench.watch("m");
    // Nobody reads the queue meanwhile. Equal neighbours would be merged into one event.
    let (one, two) = (bench.path("one"), bench.path("two"));
    for _ in 0..=limit / 2 {
        fs::write(&one, "").expect("a file");
        fs::write(&two, "").expect("a file");
    }
    bench.replace("m", "2");
    assert_eq!(bench.settle(), once("2"));
    bench.replace("m", "3");
    assert_eq!(bench.settle(), once("3"), "and it goes on");
}

/// Runs a test in a user namespace of its own, where limits are its own too.
fn in_user_namespace(test: &str) {
    let done = Command::new("unshare")
        .args(["--user", "--map-root-user"])
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", test, "--ignored"])
        .output()
        .expect("util-linux is installed");
    let out = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && out.contains("1 passed"), "{out}");
}

fn limit(what: &str, count: u32) {
    let path = format!("/proc/sys/user/max_inotify_{what}");
    fs::write(path, format!("{count}\n")).expect("a user namespace of our own");
}

#[test]
fn polls_while_inotify_is_at_its_limits() {
    in_user_namespace("limits::polls_while_inotify_is_at_its_limits_of_this_namespace");
}

#[test]
#[ignore = "run in a user namespace by the test above"]
fn polls_while_inotify_is_at_its_limits_of_this_namespace() {
    for (what, says) in [("instances", "max_user_instances"), ("watches", "max_user_watches")] {
        limit(what, 0);
        let mut bench = Bench::new();
        bench.write("m", "1");
        bench.watch("m");
        let reason = bench.watcher().polls_because().expect("a reason").to_owned();
        assert!(reason.contains(says), "{reason}");
        bench.replace("m", "2");
        assert_eq!(bench.settle(), once("2"), "{what}");
        // The limit is raised, and inotify is used again.
        limit(what, 1000);
        assert_eq!(bench.pass(Duration::from_secs(3)).len(), 0);
        assert_eq!(bench.watcher().polls_because(), None);
        bench.replace("m", "3");
        assert_eq!(bench.pass(Duration::from_millis(100)).len(), 1, "{what}");
        assert_eq!(bench.settle(), NOTHING);
    }
    // Who insists on inotify is told.
    limit("instances", 0);
    let bench = Bench::new().method(Method::Inotify);
    let failed = std::panic::catch_unwind(move || {
        let mut bench = bench;
        bench.watch("m")
    });
    assert!(failed.is_err());
}
