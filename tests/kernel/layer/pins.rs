//! Pins that are not what they seem, and bpffs that refuses.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use ebpf_apply::kernel::linux::{Handle, Linux};
use ebpf_apply::kernel::{Kernel, KernelError, Removal};
use ebpf_apply::model::live::{LiveObject, RootState};
use ebpf_apply::model::pin::PinRoot;
use rustix::io::Errno;
use rustix::mount::MountFlags;

use crate::contract::{load, pin, pin_in};
use crate::sandbox::{Sandbox, mount_at};

const ROOT: &str = "/sys/fs/bpf/r";

fn root() -> PinRoot {
    PinRoot::new(Path::new(ROOT)).expect("a legal root")
}

/// A kernel with its root made, and a map that is not pinned yet.
fn prepared() -> (Linux, Handle) {
    let kernel = Linux::new();
    kernel.make_root(&root()).expect("make the root");
    let map = load(&kernel, "bench_small").maps.remove("packets").expect("it has one");
    (kernel, map)
}

fn advice(outcome: Result<(), KernelError>, errno: Errno) -> String {
    let error = outcome.expect_err("it is refused");
    assert_eq!(error.raw(), Some(errno), "{error}");
    error.advice.expect("there is advice")
}

#[test]
fn kinds_are_told_apart() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        kernel.make_root(&root()).expect("make the root");
        let loaded = load(&kernel, "bench_small");
        kernel.pin(loaded.program("count_packets"), &root(), &pin("flows")).expect("pin");
        let found = kernel.open(&root(), &pin("flows")).expect("open").expect("it is there");
        assert_eq!(found.object.kind(), "a program");
        assert_eq!(
            found.object.identity(),
            Some(kernel.identity_of(loaded.program("count_packets")))
        );
    });
}

#[test]
fn symbolic_links_are_not_followed() {
    Sandbox::run(|_| {
        let (kernel, map) = prepared();
        fs::create_dir("/sys/fs/bpf/outside").expect("make a directory");
        kernel.pin(&map, &root(), &pin("real")).expect("pin");
        symlink(format!("{ROOT}/real"), format!("{ROOT}/link")).expect("make a link");
        symlink("/sys/fs/bpf/outside", format!("{ROOT}/way")).expect("make a link");
        fs::hard_link(format!("{ROOT}/real"), "/sys/fs/bpf/outside/x").expect("make a link");

        for path in [pin("link"), pin_in("way", "x")] {
            let found = kernel.open(&root(), &path).expect("open").expect("it is there");
            let LiveObject::Unreadable { reason } = found.object else {
                panic!("{path} is {}", found.object.kind())
            };
            assert!(reason.contains("symbolic link"), "{reason}");
            assert!(found.handle.is_none());
        }
        let outcome = kernel.pin(&map, &root(), &pin("link"));
        assert!(advice(outcome, Errno::EXIST).contains("never overwritten"));
        kernel.unpin(&root(), &pin("link")).expect_err("it is no pin");
        for outcome in [
            kernel.pin(&map, &root(), &pin_in("way", "y")),
            kernel.unpin(&root(), &pin_in("way", "x")),
            kernel.rename(&root(), &pin("real"), &pin_in("way", "y")),
            kernel.make_directory(&root(), &pin_in("way", "z")).map(drop),
        ] {
            assert!(advice(outcome, Errno::LOOP).contains("symbolic link"));
        }
        assert!(kernel.list(&root(), &pin("way")).is_err());
        let left: Vec<_> = fs::read_dir("/sys/fs/bpf/outside").expect("read it").collect();
        assert_eq!(left.len(), 1, "nothing was made or removed there");
    });
}

#[test]
fn another_file_system_below_the_root_is_not_entered() {
    Sandbox::run(|_| {
        let (kernel, map) = prepared();
        kernel.make_directory(&root(), &pin("sub")).expect("make a directory");
        mount_at("tmpfs", format!("{ROOT}/sub"));
        let outcome = kernel.pin(&map, &root(), &pin_in("sub", "x"));
        assert!(advice(outcome, Errno::XDEV).contains("another file system"));
    });
}

#[test]
fn a_root_that_was_replaced_is_found_at_the_next_look() {
    Sandbox::run(|_| {
        let (kernel, map) = prepared();
        let (root, x) = (root(), pin("x"));
        kernel.pin(&map, &root, &x).expect("pin");
        // Moved away, it is still what was looked at; then what has its name is.
        fs::rename(ROOT, format!("{ROOT}-moved")).expect("rename the root");
        fs::create_dir(ROOT).expect("another root");
        assert!(kernel.open(&root, &x).expect("open").is_some(), "nobody looked yet");
        kernel.root_state(&root).expect("a root");
        assert!(kernel.open(&root, &x).expect("open").is_none(), "that one is empty");
        // Removed, it needs no look.
        fs::remove_dir(ROOT).expect("remove the root");
        assert!(kernel.list(&root, &pin("d")).expect("list").is_empty());
        fs::rename(format!("{ROOT}-moved"), ROOT).expect("rename it back");
        assert!(kernel.open(&root, &x).expect("open").is_some(), "the first one is back");
    });
}

#[test]
fn a_read_only_bpffs_is_told() {
    Sandbox::run(|_| {
        let (kernel, map) = prepared();
        rustix::mount::mount_remount("/sys/fs/bpf", MountFlags::RDONLY, "").expect("remount");
        let outcome = kernel.pin(&map, &root(), &pin("x"));
        assert!(advice(outcome, Errno::ROFS).contains("read-only"));
    });
}

#[test]
fn a_root_that_cannot_be_made_leaves_nothing() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let dotted = PinRoot::new(Path::new("/sys/fs/bpf/a/b/v1.2/c")).expect("a legal root");
        let error = kernel.make_root(&dotted).expect_err("bpffs refuses dots");
        assert_eq!(error.raw(), Some(Errno::PERM));
        assert!(error.advice.is_some_and(|advice| advice.contains("`v1.2` contains a `.`")));
        assert!(!Path::new("/sys/fs/bpf/a").exists());
    });
}

#[test]
fn directories_are_for_their_owner() {
    Sandbox::run(|_| {
        let (kernel, _map) = prepared();
        kernel.make_directory(&root(), &pin("sub")).expect("make a directory");
        for directory in [ROOT.to_owned(), format!("{ROOT}/sub")] {
            let mode = fs::metadata(&directory).expect("it is there").mode();
            assert_eq!(mode & 0o077, 0, "{directory}: {mode:o}");
        }
    });
}

#[test]
fn nothing_is_ever_mounted() {
    Sandbox::run(|_| {
        let table = || fs::read_to_string("/proc/thread-self/mounts").expect("read mounts");
        fs::create_dir("/run/plain").expect("make a directory");
        let before = table();
        let kernel = Linux::new();
        let plain = PinRoot::new(Path::new("/run/plain/sub")).expect("a legal root");
        let Ok(RootState::NotBpffs { directory, .. }) = kernel.root_state(&plain) else {
            panic!("/run is no bpffs")
        };
        assert_eq!(directory, Path::new("/run/plain"));
        let error = kernel.make_root(&plain).expect_err("it is not on bpffs");
        assert!(error.advice.is_some_and(|advice| advice.contains("mount -t bpf")));
        let map = load(&kernel, "bench_small").maps.remove("packets").expect("it has one");
        let there = PinRoot::new(Path::new("/run/plain")).expect("a legal root");
        kernel.pin(&map, &there, &pin("x")).expect_err("it is not on bpffs");
        let removal = kernel.remove_root_directory(Path::new("/run/plain"));
        assert_eq!(removal, Ok(Removal::Absent), "no directory of ours is there");
        assert!(Path::new("/run/plain").exists());
        assert_eq!(table(), before);
        assert_eq!(fs::read_dir("/run/plain").expect("read it").count(), 0);
    });
}
