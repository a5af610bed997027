//! Changes that nobody is told of.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ebpf_apply::watch::Method;

use crate::bench::{Bench, NOTHING, once};

#[test]
fn a_write_through_another_hard_link_is_found_by_the_safety_poll() {
    let mut bench = Bench::new();
    bench.write("m", "1");
    bench.directory("elsewhere");
    fs::hard_link(bench.path("m"), bench.path("elsewhere/m")).expect("a hard link");
    bench.watch("m");
    bench.write("elsewhere/m", "2");
    assert_eq!(bench.settle(), NOTHING, "nothing tells of it");
    assert_eq!(bench.pass(Duration::from_secs(31)).len(), 1);
}

#[test]
fn polling_alone_finds_changes_on_a_memory_file_system() {
    let memory = Path::new("/dev/shm");
    let mut bench = Bench::below(memory).method(Method::Poll);
    bench.write("m", "a.o\n");
    bench.write("a.o", "1");
    bench.watch("m");
    assert!(bench.watcher().descriptor().is_none(), "inotify is not used");
    assert!(bench.watcher().polls_because().is_none(), "it was asked for");
    for contents in ["2", "3"] {
        bench.write("a.o", contents);
        assert!(bench.pass(Duration::from_millis(1900)).is_empty());
        assert_eq!(bench.settle(), once("a.o\n"));
    }
    bench.write("a.o", "3");
    assert_eq!(bench.settle(), NOTHING);
    bench.replace("m", "b.o\n");
    bench.write("b.o", "1");
    assert_eq!(bench.settle(), once("b.o\n"));
}
