//! What is written, and how.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::bench::{Bench, NOTHING, once, text};
use crate::support;

#[test]
fn every_rename_over_the_file_is_a_change() {
    let mut bench = Bench::new();
    bench.write("m", "1");
    assert_eq!(bench.watch("m").as_deref(), Some("1"));
    for contents in ["2", "3", "4"] {
        bench.replace("m", contents);
        assert_eq!(bench.settle(), once(contents));
    }
}

#[test]
fn reading_is_no_change_and_does_not_even_wake() {
    let mut bench = Bench::new();
    bench.write("m", "a.o\n");
    bench.write("a.o", "1");
    bench.watch("m");
    let idle = bench.watcher().deadline();
    for _ in 0..100 {
        fs::read(bench.path("m")).expect("readable");
        fs::read_dir(bench.path("")).expect("readable").count();
    }
    assert_eq!(bench.settle(), NOTHING);
    assert_eq!(bench.watcher().deadline(), idle, "it was not looked at");
}

#[test]
fn the_same_contents_are_no_change() {
    let mut bench = Bench::new();
    bench.write("m", "1");
    bench.watch("m");
    File::open(bench.path("m"))
        .and_then(|file| file.set_modified(std::time::SystemTime::UNIX_EPOCH))
        .expect("touch");
    assert_eq!(bench.settle(), NOTHING);
    bench.write("m", "1");
    assert_eq!(bench.settle(), NOTHING);
    bench.replace("m", "1");
    assert_eq!(bench.settle(), NOTHING);
    fs::set_permissions(bench.path("m"), fs::Permissions::from_mode(0o600)).expect("chmod");
    assert_eq!(bench.settle(), NOTHING);
}

#[test]
fn what_happens_to_other_files_does_not_wake() {
    let mut bench = Bench::new();
    bench.write("m", "1");
    bench.watch("m");
    let idle = bench.watcher().deadline();
    bench.replace("other", "1");
    bench.directory("more");
    bench.remove("other");
    assert_eq!(bench.settle(), NOTHING);
    assert_eq!(bench.watcher().deadline(), idle);
}

#[test]
fn a_burst_of_writes_in_place_is_one_change() {
    let mut bench = Bench::new();
    bench.write("m", "1");
    bench.watch("m");
    let mut file = File::create(bench.path("m")).expect("truncate");
    for _ in 0..100 {
        file.write_all(b"chunk ").expect("write");
        assert!(bench.pass(Duration::from_millis(5)).is_empty());
    }
    drop(file);
    assert_eq!(bench.settle(), once(&"chunk ".repeat(100)));
}

#[test]
fn a_file_that_goes_and_returns_is_one_change() {
    let mut bench = Bench::new();
    bench.write("m", "1");
    bench.watch("m");
    bench.remove("m");
    assert!(bench.pass(Duration::from_millis(500)).is_empty());
    bench.write("m", "2");
    assert_eq!(bench.settle(), once("2"));
    bench.remove("m");
    bench.write("m", "2");
    assert_eq!(bench.settle(), NOTHING);
}

#[test]
fn a_file_that_stays_away_is_handed_on_as_missing_once() {
    let mut bench = Bench::new();
    bench.write("m", "a.o\n");
    bench.write("a.o", "1");
    bench.watch("m");
    bench.remove("m");
    assert_eq!(bench.settle(), [None]);
    assert_eq!(bench.settle(), NOTHING);
    // Its objects are still known.
    bench.write("a.o", "2");
    let seen = bench.snapshots();
    assert_eq!(seen.len(), 1);
    assert_eq!(text(&seen[0], &bench.path("a.o")).as_deref(), Some("2"));
    bench.write("m", "a.o\n");
    assert_eq!(bench.settle(), once("a.o\n"));
}

#[test]
fn an_empty_file_is_waited_for_and_then_handed_on() {
    let mut bench = Bench::new();
    bench.write("m", "1");
    bench.watch("m");
    bench.write("m", "");
    assert!(bench.pass(Duration::from_millis(1500)).is_empty());
    bench.write("m", "2");
    assert_eq!(bench.settle(), once("2"));
    bench.write("m", "");
    assert_eq!(bench.settle(), once(""));
}

#[test]
fn an_object_is_watched_like_the_manifest() {
    let mut bench = Bench::new();
    bench.write("m", "a.o\nb.o\n");
    bench.write("a.o", "1");
    bench.write("b.o", "1");
    bench.watch("m");
    bench.replace("b.o", "2");
    let seen = bench.snapshots();
    assert_eq!(seen.len(), 1);
    let now = |name| text(&seen[0], &bench.path(name));
    assert_eq!((now("a.o").as_deref(), now("b.o").as_deref()), (Some("1"), Some("2")));
}

#[test]
fn an_object_that_the_manifest_adds_elsewhere_is_watched_from_then_on() {
    let mut bench = Bench::new();
    bench.write("m", "a.o\n");
    bench.write("a.o", "1");
    bench.watch("m");
    bench.write("m", "a.o\nnew/dir/b.o\n");
    let seen = bench.snapshots();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].bytes(&bench.path("new/dir/b.o")).is_err(), "it is missing, which is said");
    bench.directory("new/dir");
    bench.write("new/dir/b.o", "1");
    let seen = bench.snapshots();
    assert_eq!(seen.len(), 1);
    assert_eq!(text(&seen[0], &bench.path("new/dir/b.o")).as_deref(), Some("1"));
    // What left the manifest is not watched any more.
    bench.write("m", "a.o\n");
    assert_eq!(bench.settle(), once("a.o\n"));
    bench.write("new/dir/b.o", "2");
    assert_eq!(bench.settle(), NOTHING);
}

#[test]
fn objects_of_the_last_good_manifest_are_watched_while_it_cannot_be_parsed() {
    let mut bench = Bench::new();
    bench.write("m", "a.o\n");
    bench.write("a.o", "1");
    bench.watch("m");
    bench.write("m", "?\nb.o\n");
    bench.write("b.o", "1");
    assert_eq!(bench.settle(), once("?\nb.o\n"));
    for (object, contents) in [("a.o", "2"), ("b.o", "2")] {
        bench.write(object, contents);
        assert_eq!(bench.settle(), once("?\nb.o\n"), "{object}");
    }
    bench.write("m", "b.o\n");
    assert_eq!(bench.settle(), once("b.o\n"));
    bench.write("a.o", "3");
    assert_eq!(bench.settle(), NOTHING);
}

#[test]
fn there_and_back_is_no_change_and_back_after_it_was_handed_on_is() {
    let mut bench = Bench::new();
    bench.write("m", "good");
    bench.watch("m");
    bench.write("m", "bad");
    bench.write("m", "good");
    assert_eq!(bench.settle(), NOTHING);
    bench.write("m", "bad");
    assert_eq!(bench.settle(), once("bad"));
    bench.write("m", "bad");
    assert_eq!(bench.settle(), NOTHING, "it is bad still");
    bench.write("m", "good");
    assert_eq!(bench.settle(), once("good"));
}

/// A BPF object as clang builds it.
fn object() -> Vec<u8> {
    fs::read(support::object("firewall")).expect("it was built")
}

#[test]
fn an_object_that_is_written_slowly_is_one_change() {
    for pause in [Duration::from_millis(60), Duration::from_millis(400)] {
        let mut bench = Bench::new();
        bench.write("m", "a.o\n");
        bench.write("a.o", "1");
        bench.watch("m");
        let whole = object();
        let mut file = File::create(bench.path("a.o")).expect("truncate");
        let mut seen = Vec::new();
        for chunk in whole.chunks(whole.len().div_ceil(10)) {
            file.write_all(chunk).expect("write");
            seen.extend(bench.pass(pause));
        }
        seen.extend(bench.snapshots());
        assert_eq!(seen.len(), 1, "{pause:?}");
        assert_eq!(seen[0].bytes(&bench.path("a.o")).expect("readable"), whole);
    }
}

#[test]
fn an_object_that_is_written_slowly_is_handed_on_whole() {
    let mut bench = Bench::new();
    bench.write("m", "a.o\n");
    bench.write("a.o", "1");
    bench.watch("m");
    let whole = object();
    let (end, begin) = (&whole[1000..], &whole[..1000]);
    bench.write("a.o", begin);
    assert!(bench.pass(Duration::from_millis(1900)).is_empty());
    let mut file = OpenOptions::new().append(true).open(bench.path("a.o")).expect("append");
    file.write_all(end).expect("write");
    drop(file);
    let seen = bench.snapshots();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].bytes(&bench.path("a.o")).expect("readable"), whole);
    // One that is never completed is said at last.
    bench.write("a.o", begin);
    let seen = bench.snapshots();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].bytes(&bench.path("a.o")).expect("readable"), begin);
}

#[test]
fn clang_and_then_llvm_strip_are_one_change() {
    let mut bench = Bench::new();
    bench.write("m", "a.o\n");
    bench.write("a.o", "1");
    bench.watch("m");
    bench.replace("a.o", object());
    assert!(bench.pass(Duration::from_millis(60)).is_empty());
    bench.replace("a.o", "stripped");
    let seen = bench.snapshots();
    assert_eq!(seen.len(), 1);
    assert_eq!(text(&seen[0], &bench.path("a.o")).as_deref(), Some("stripped"));
}

#[test]
fn forty_files_renamed_are_one_change() {
    let names: Vec<String> = (0..40).map(|n| format!("{n}.o")).collect();
    let mut bench = Bench::new();
    bench.write("m", names.join("\n"));
    for name in &names {
        bench.write(name, "1");
    }
    bench.watch("m");
    for name in &names {
        bench.replace(name, "2");
        assert!(bench.pass(Duration::from_millis(1)).is_empty());
    }
    let seen = bench.snapshots();
    assert_eq!(seen.len(), 1);
    for name in &names {
        assert_eq!(text(&seen[0], &bench.path(name)).as_deref(), Some("2"));
    }
}

#[test]
fn a_change_while_another_one_is_applied_is_handed_on_afterwards_once() {
    let mut bench = Bench::new();
    bench.write("m", "1");
    bench.watch("m");
    bench.replace("m", "2");
    assert_eq!(bench.settle(), once("2"));
    // Nobody asks the watcher while what it handed on is being applied.
    for contents in ["3", "4", "5"] {
        bench.replace("m", contents);
    }
    assert_eq!(bench.settle(), once("5"));
}

#[test]
fn asking_by_force_hands_on_what_is_there_once() {
    let mut bench = Bench::new();
    bench.write("m", "1");
    bench.watch("m");
    for _ in 0..1000 {
        bench.force();
    }
    assert_eq!(bench.settle(), once("1"));
    // No debouncing, and the change that was seen early is not handed on again.
    bench.write("m", "2");
    bench.force();
    let seen = bench.pass(Duration::ZERO);
    assert_eq!(seen.len(), 1);
    assert_eq!(bench.settle(), NOTHING);
}
