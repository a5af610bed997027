//! Somebody changes the path while it is used.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ebpf_apply::kernel::Kernel;
use ebpf_apply::kernel::linux::Linux;
use ebpf_apply::model::pin::PinRoot;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::contract::{load, pin_in};
use crate::features::{EXCHANGE_ON_BPFFS, lacks};
use crate::sandbox::Sandbox;

const ROOT: &str = "/sys/fs/bpf/r";
const OUTSIDE: &str = "/sys/fs/bpf/outside";
const TRIES: usize = 20_000;

/// Runs `tries` while another thread puts a link to outside in the place of the directory `way`, and
/// takes it away again, all the time.
fn while_swapped(tries: impl FnOnce()) {
    let (way, trap) = (format!("{ROOT}/way"), format!("{ROOT}/trap"));
    fs::create_dir(&way).expect("make a directory");
    fs::create_dir(OUTSIDE).expect("make a directory");
    symlink(OUTSIDE, &trap).expect("make a link");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                renameat_with(CWD, &way, CWD, &trap, RenameFlags::EXCHANGE).expect("exchange");
            }
        });
        tries();
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_pin_never_goes_through_a_link() {
    if lacks(&[EXCHANGE_ON_BPFFS]) {
        return;
    }
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let root = PinRoot::new(Path::new(ROOT)).expect("a legal root");
        kernel.make_root(&root).expect("make the root");
        let map = load(&kernel, "bench_small").maps.remove("packets").expect("it has one");
        let (mut pinned, mut refused) = (0, 0);
        while_swapped(|| {
            for n in 0..TRIES {
                match kernel.pin(&map, &root, &pin_in("way", &format!("x{n}"))) {
                    Ok(()) => pinned += 1,
                    Err(error) => {
                        assert_eq!(error.raw(), Some(Errno::LOOP), "{error}");
                        refused += 1;
                    }
                }
            }
        });
        assert_eq!(fs::read_dir(OUTSIDE).expect("read it").count(), 0, "a pin got out");
        assert!(pinned > 0 && refused > 0, "{pinned} pinned, {refused} refused: no race");
    });
}

#[test]
fn a_pin_is_never_opened_through_a_link() {
    if lacks(&[EXCHANGE_ON_BPFFS]) {
        return;
    }
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let root = PinRoot::new(Path::new(ROOT)).expect("a legal root");
        kernel.make_root(&root).expect("make the root");
        let loaded = load(&kernel, "bench_small");
        let outside = PinRoot::new(Path::new(OUTSIDE)).expect("a legal root");
        let (mut seen, mut refused) = (0, 0);
        while_swapped(|| {
            let x = crate::contract::pin("x");
            kernel.pin(&loaded.maps["packets"], &outside, &x).expect("pin outside");
            for _ in 0..TRIES {
                match kernel.open(&root, &pin_in("way", "x")).expect("open") {
                    None => seen += 1,
                    Some(found) => {
                        assert_eq!(found.object.kind(), "something unreadable");
                        refused += 1;
                    }
                }
            }
        });
        assert!(seen > 0 && refused > 0, "{seen} absent, {refused} refused: no race");
    });
}
