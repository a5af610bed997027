//! Locks: who has one is named, one that was removed is taken again, and two runs make one map.

use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use rustix::fs::{FlockOperation, flock};

use crate::host::{map_id, tree};
use crate::program::{Program, Said};
use crate::sandbox::Sandbox;
use crate::support::object;

fn manifest(program: &Program) -> String {
    let path = object("shape_a");
    let text = format!(
        "version = 1\nname = \"edge\"\npin-root = \"/sys/fs/bpf/edge\"\n\n[objects.a]\npath = \"{}\"\n",
        path.display()
    );
    program.manifest("edge.toml", &text)
}

fn locked(path: &Path) -> File {
    let file = File::open(path).expect("a lock");
    flock(&file, FlockOperation::NonBlockingLockExclusive).expect("nobody has it");
    file
}

/// Every lock file, and the pin root's directory.
fn locks(program: &Program) -> Vec<PathBuf> {
    let entries = fs::read_dir(program.state()).expect("the state directory");
    let mut locks: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    locks.retain(|path| path.extension().is_some_and(|extension| extension == "lock"));
    locks.push("/sys/fs/bpf/edge".into());
    locks
}

#[test]
fn whoever_has_a_lock_is_named() {
    Sandbox::run(|_| {
        let program = Program::new();
        let manifest = manifest(&program);
        program.run(&["apply", &manifest, "--detach"]).status(0);
        let locks = locks(&program);
        assert_eq!(locks.len(), 4, "holder, apply, root, directory: {locks:?}");
        for path in locks {
            let lock = locked(&path);
            let words = ["apply", &manifest, "--detach", "--lock-timeout", "0"];
            let said = program.run(&words).status(5);
            let said = said.complains(&format!("pid {} (`", std::process::id()));
            assert!(said.err.contains("running for"), "{}", said.err);
            assert!(said.err.contains("nothing was changed"), "{}", said.err);
            drop(lock);
            program.run(&words).status(0);
        }
    });
}

/// Waits until a process has a file open.
fn until_open(child: &mut Child, path: &Path) {
    let descriptors = format!("/proc/{}/fd", child.id());
    let has = || {
        let entries = fs::read_dir(&descriptors).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| fs::read_link(entry.path()).is_ok_and(|to| to == path))
    };
    while !has() {
        assert_eq!(child.try_wait().expect("a child"), None, "it ended early");
        std::thread::yield_now();
    }
}

/// Has a run wait for its lock while `replace` puts another in the place of that one's path: that is
/// the one it must have.
fn while_it_waits(replace: fn(&Program, &Path)) {
    Sandbox::run(|_| {
        let program = Program::new();
        let manifest = manifest(&program);
        program.run(&["apply", &manifest, "--detach"]).status(0);
        let path = program.state().join("edge.apply.lock");
        let first = locked(&path);
        let mut child = program
            .command(&["apply", &manifest, "--detach", "--lock-timeout", "1"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        until_open(&mut child, &path);
        replace(&program, &path);
        File::create(&path).expect("another");
        let second = locked(&path);
        drop(first);
        let said = Said::from(child.wait_with_output().expect("it ends"));
        said.status(5).complains("edge.apply.lock");
        drop(second);
    });
}

#[test]
fn a_lock_file_that_was_replaced_meanwhile_is_no_lock() {
    while_it_waits(|_, path| fs::remove_file(path).expect("the lock"));
}

#[test]
fn nor_is_one_in_a_directory_that_was_moved_away() {
    while_it_waits(|program, _| {
        let state = program.state();
        fs::rename(&state, state.with_extension("moved")).expect("the directory");
        fs::DirBuilder::new().mode(0o700).create(&state).expect("another");
    });
}

#[expect(clippy::print_stdout, reason = "how often is the result")]
#[test]
fn two_runs_at_once_make_one_map_a_hundred_times() {
    Sandbox::run(|_| {
        let program = Program::new();
        let manifest = manifest(&program);
        let mut refused = 0;
        let rounds = std::env::var("EBPF_APPLY_ROUNDS").ok();
        let rounds = rounds.map_or(100, |rounds| rounds.parse::<u32>().expect("a number"));
        for round in 0..rounds {
            let start = || {
                let mut command = program.command(&["apply", &manifest, "--detach"]);
                command.stdout(Stdio::null()).stderr(Stdio::piped());
                command.spawn().expect("the program starts")
            };
            let said = [start(), start()]
                .map(|child| Said::from(child.wait_with_output().expect("it ends")));
            let id = map_id("/sys/fs/bpf/edge/state");
            for one in &said {
                assert!([0, 5].contains(&one.status), "round {round}: {one:?}");
            }
            assert!(said.iter().any(|one| one.status == 0), "round {round}: {said:?}");
            refused += said.iter().filter(|one| one.status == 5).count();
            program.run(&["apply", &manifest, "--detach"]).status(0);
            assert_eq!(map_id("/sys/fs/bpf/edge/state"), id, "round {round}");
            program.run(&["destroy", &manifest]).status(0);
            assert!(tree().is_empty(), "round {round}: {:?}", tree());
        }
        println!("{rounds} rounds of two runs at once; the lock refused {refused}");
    });
}
