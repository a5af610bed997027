//! Links, directories, and the way to a file.

use std::process::Command;
use std::time::Duration;

use crate::bench::{Bench, NOTHING, once, text};

#[test]
fn a_config_map_is_followed_through_every_swap() {
    // What kubelet does (`pkg/volume/util/atomic_writer.go`): `..data` is swapped by a rename, then
    // the old directory is removed.
    let mut bench = Bench::new();
    let publish = |bench: &Bench, n: u32| {
        bench.directory(&format!("..{n}"));
        bench.write(&format!("..{n}/m"), format!("{n}\na.o\n"));
        bench.write(&format!("..{n}/a.o"), format!("object {n}"));
        bench.relink(&format!("..{n}"), "..data");
    };
    publish(&bench, 0);
    bench.link("..data/m", "m");
    bench.link("..data/a.o", "a.o");
    bench.watch("m");
    for n in 1..4 {
        publish(&bench, n);
        bench.remove(&format!("..{}", n - 1));
        let seen = bench.snapshots();
        assert_eq!(seen.len(), 1, "swap {n}");
        assert_eq!(text(&seen[0], &bench.path("m")), Some(format!("{n}\na.o\n")));
        assert_eq!(text(&seen[0], &bench.path("a.o")), Some(format!("object {n}")));
    }
}

#[test]
fn a_link_above_the_directory_is_followed_and_so_is_what_it_leads_to() {
    let mut bench = Bench::new();
    for n in 1..4 {
        bench.directory(&format!("releases/{n}/etc"));
        bench.write(&format!("releases/{n}/etc/m"), format!("{n}"));
    }
    bench.link("releases/1", "current");
    assert_eq!(bench.watch("current/etc/m").as_deref(), Some("1"));
    for n in ["2", "3"] {
        bench.relink(&format!("releases/{n}"), "current");
        assert_eq!(bench.settle(), once(n));
    }
    bench.write("releases/3/etc/m", "edited");
    assert_eq!(bench.settle(), once("edited"));
    bench.write("releases/1/etc/m", "nobody looks here");
    assert_eq!(bench.settle(), NOTHING);
}

#[test]
fn a_directory_that_was_removed_and_made_anew_is_watched_again() {
    let mut bench = Bench::new();
    bench.directory("a/b");
    bench.write("a/b/m", "1");
    bench.watch("a/b/m");
    bench.remove("a");
    assert!(bench.pass(Duration::from_millis(300)).is_empty());
    bench.directory("a/b");
    bench.write("a/b/m", "2");
    assert_eq!(bench.settle(), once("2"));
    bench.write("a/b/m", "3");
    assert_eq!(bench.settle(), once("3"));
}

#[test]
fn a_directory_far_above_may_be_exchanged() {
    let mut bench = Bench::new();
    for (directory, contents) in [("one", "1"), ("two", "2")] {
        bench.directory(&format!("{directory}/b/c"));
        bench.write(&format!("{directory}/b/c/m"), contents);
    }
    bench.watch("one/b/c/m");
    bench.rename("one", "old");
    bench.rename("two", "one");
    assert_eq!(bench.settle(), once("2"));
}

#[test]
fn what_is_missing_from_the_start_is_found_when_it_comes() {
    let mut bench = Bench::new();
    assert_eq!(bench.watch("late/parents/m"), None);
    for directory in ["late", "late/parents"] {
        bench.directory(directory);
        assert_eq!(bench.settle(), NOTHING, "{directory}");
    }
    bench.write("late/parents/m", "1");
    assert_eq!(bench.settle(), once("1"));
    // A link that leads nowhere yet.
    let mut bench = Bench::new();
    bench.link("nowhere/m", "m");
    assert_eq!(bench.watch("m"), None);
    bench.directory("nowhere");
    bench.write("nowhere/m", "1");
    assert_eq!(bench.settle(), once("1"));
}

#[test]
fn switching_between_branches_hands_on_nothing_but_their_contents() {
    // `git checkout` unlinks a file and creates it anew.
    let mut bench = Bench::new();
    bench.directory("work");
    let work = bench.path("work");
    let git = |words: &[&str]| {
        let done = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "core.hooksPath="])
            .args(words)
            .current_dir(&work)
            .output()
            .expect("git is installed");
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    git(&["init", "-q", "-b", "one"]);
    bench.write("work/m", "one\na.o\n");
    bench.write("work/a.o", "one");
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "one"]);
    git(&["checkout", "-q", "-b", "two"]);
    bench.write("work/m", "two\na.o\nb.o\n");
    bench.write("work/a.o", "two");
    bench.write("work/b.o", "two");
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "two"]);
    bench.watch("work/m");
    for _ in 0..10 {
        for branch in ["one", "two"] {
            git(&["checkout", "-q", branch]);
            let seen = bench.snapshots();
            assert_eq!(seen.len(), 1);
            let manifest = text(&seen[0], &bench.path("work/m")).expect("it is there");
            assert!(manifest.starts_with(branch));
            let object = text(&seen[0], &bench.path("work/a.o")).expect("it is there");
            assert_eq!(object, branch);
        }
    }
}
