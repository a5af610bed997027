//! Somebody changes the path while it is used.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ebpf_apply::kernel::linux::{Handle, Linux};
use ebpf_apply::kernel::{Kernel, KernelError};
use ebpf_apply::model::pin::PinRoot;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::contract::{load, pin, pin_in};
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
            let x = pin("x");
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

/// How often the attacked layer is used; `make attack` asks for more.
fn tries() -> u32 {
    let told = std::env::var("EBPF_APPLY_TRIES").ok();
    told.map_or(20_000, |told| told.parse().expect("EBPF_APPLY_TRIES is a number"))
}

/// Names that lie in every directory that the attacker leads to.
const NAMES: [&str; 4] = ["x0", "x1", "x2", "x3"];

/// Pins and an empty directory of someone else's, named as ours are; each with what must stay there.
fn foreign(kernel: &Linux, directory: &str) -> BTreeMap<String, Option<u32>> {
    fs::create_dir(directory).expect("make a directory");
    let root = PinRoot::new(Path::new(directory)).expect("a legal root");
    let image = load(kernel, "bench_small");
    for name in NAMES {
        let map = kernel.create_map(&image.image, &image.image.spec.maps[0], None);
        kernel.pin(&map.expect("a map"), &root, &pin(name)).expect("pin");
    }
    fs::create_dir(format!("{directory}/d")).expect("make a directory");
    contents(kernel, directory)
}

/// What lies in a directory: kernel ids of pins, `None` for directories.
fn contents(kernel: &Linux, directory: &str) -> BTreeMap<String, Option<u32>> {
    let root = PinRoot::new(Path::new(directory)).expect("a legal root");
    let entries = fs::read_dir(directory).expect("read it");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string());
    let id = |name: &str| {
        let found = kernel.open(&root, &pin(name)).expect("open").expect("it is there");
        found.handle.map(|handle| kernel.id(&handle))
    };
    names.map(|name| name.expect("UTF-8")).map(|name| (name.clone(), id(&name))).collect()
}

/// One use of the layer, by turns each that names a path.
fn act(kernel: &Linux, root: &PinRoot, map: &Handle, turn: u32) -> Result<(), KernelError> {
    let name = |n: u32| NAMES[(turn / 8 + n) as usize % NAMES.len()];
    let (here, next) = (pin_in("a", name(0)), pin_in("a", name(1)));
    match turn % 8 {
        0 => kernel.pin(map, root, &here),
        1 => kernel.pin(map, root, &pin_in("b", name(0))),
        2 => kernel.exchange(root, &here, &pin_in("b", name(0))),
        3 => kernel.rename(root, &here, &next),
        4 => kernel.open(root, &next).map(drop),
        5 => kernel.unpin(root, &next),
        6 => kernel.make_directory(root, &pin_in("a", "d")).map(drop),
        _ => kernel.remove_directory(root, &pin_in("a", "d")).map(drop),
    }
}

#[expect(clippy::print_stdout, reason = "how often, and what was met, is the result")]
#[test]
fn an_attacker_who_swaps_directories_gets_nothing_out_and_nothing_removed() {
    if lacks(&[EXCHANGE_ON_BPFFS]) {
        return;
    }
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let root = PinRoot::new(Path::new(ROOT)).expect("a legal root");
        kernel.make_root(&root).expect("make the root");
        let map = load(&kernel, "bench_small").maps.remove("packets").expect("it has one");
        let theirs = format!("{ROOT}/theirs");
        let before = [OUTSIDE, &theirs].map(|directory| foreign(&kernel, directory));
        // Two directories of ours, and for each a link: out of the root, and to another's inside it.
        for (way, trap, target) in [("a", "out", OUTSIDE), ("b", "in", &theirs)] {
            fs::create_dir(format!("{ROOT}/{way}")).expect("make a directory");
            symlink(target, format!("{ROOT}/{trap}")).expect("make a link");
        }
        let over = AtomicBool::new(false);
        let mut answers: BTreeMap<i32, u32> = BTreeMap::new();
        std::thread::scope(|scope| {
            let swap = |one: &str, other: &str| {
                let (one, other) = (format!("{ROOT}/{one}"), format!("{ROOT}/{other}"));
                let over = &over;
                move || {
                    while !over.load(Ordering::Relaxed) {
                        // The other attacker may have taken one of them away for the moment.
                        let _ = renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE);
                    }
                }
            };
            scope.spawn(swap("a", "out"));
            scope.spawn(swap("a", "in"));
            scope.spawn(|| {
                let (here, away) = (format!("{ROOT}/b"), format!("{ROOT}/away"));
                while !over.load(Ordering::Relaxed) {
                    let _ = fs::rename(&here, &away);
                    let _ = fs::rename(&away, &here);
                }
            });
            for turn in 0..tries() {
                let answer = act(&kernel, &root, &map, turn).err();
                if let Some(error) = &answer {
                    assert!(error.path.is_some() && error.advice.is_some(), "{error}");
                }
                // 0 for done, -1 for a reason of our own.
                let errno = |error: &KernelError| error.raw().map_or(-1, Errno::raw_os_error);
                *answers.entry(answer.as_ref().map_or(0, errno)).or_default() += 1;
            }
            over.store(true, Ordering::Relaxed);
        });
        println!("{} uses of the layer: {answers:?}", tries());
        assert_eq!([OUTSIDE, &theirs].map(|directory| contents(&kernel, directory)), before);
        let outside =
            fs::read_dir("/sys/fs/bpf").expect("read it").map(|entry| entry.expect("an entry"));
        let mut outside: Vec<_> = outside.map(|entry| entry.file_name()).collect();
        outside.retain(|name| !name.to_string_lossy().contains('.'));
        outside.sort();
        assert_eq!(outside, ["outside", "r"], "nothing new beside the root");
        for met in [0, Errno::LOOP.raw_os_error(), Errno::NOENT.raw_os_error()] {
            assert!(answers.contains_key(&met), "no race: {answers:?}");
        }
    });
}
