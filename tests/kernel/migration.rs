//! Entries carried over into a map of another shape, from manifest to kernel.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ebpf_apply::kernel::linux::{Handle, Linux};
use ebpf_apply::kernel::{Found, Kernel as _};
use ebpf_apply::model::kinds::MapType;
use ebpf_apply::model::live::LiveObject;
use ebpf_apply::model::pin::{PinPath, PinRoot, SubPath};

use crate::features::{RESIZABLE_HASHES, goes_without};
use crate::host::{self, map_id, tree};
use crate::layer::running::{entries, eventually, update, update_all};
use crate::program::{Program, Said};
use crate::sandbox::Sandbox;
use crate::support::object;

const ROOT: &str = "/sys/fs/bpf/edge";

/// The maps of `tables.bpf.c`.
const TABLES: [&str; 10] = [
    "by_key",
    "by_key_late",
    "by_key_locked",
    "by_key_recent",
    "by_key_cpu",
    "by_key_cpu_recent",
    "by_index",
    "by_index_locked",
    "by_index_cpu",
    "by_prefix",
];

fn manifest(name: &str, settings: &str) -> String {
    let path = object(name);
    format!(
        "version = 1\nname = \"edge\"\npin-root = \"{ROOT}\"\n\n[objects.it]\npath = \"{}\"\n{settings}",
        path.display()
    )
}

/// Settings of one map.
fn map(name: &str, settings: &str) -> String {
    format!("\n[objects.it.maps.{name}]\n{settings}\n")
}

fn apply(tool: &Program, text: &str) -> Said {
    let file = tool.manifest("edge.toml", text);
    tool.run(&["-v", "apply", &file, "--detach"])
}

fn pinned(name: &str) -> Handle {
    found(name).handle.expect("it can be opened")
}

fn found(name: &str) -> Found<Handle> {
    let root = PinRoot::new(ROOT.as_ref()).expect("a legal root");
    let path = PinPath::public(&SubPath::default(), name);
    Linux::new().open(&root, &path).expect("open").expect("something is pinned")
}

fn contents(name: &str) -> BTreeMap<Vec<u8>, Vec<u8>> {
    entries(&pinned(name))
}

/// Fills a map of `tables.bpf.c` with 40 entries, with another value for each CPU.
fn fill(name: &str) {
    let map = pinned(name);
    let length = match name {
        "by_key_locked" | "by_index_locked" => 16,
        "by_key_cpu" | "by_key_cpu_recent" | "by_index_cpu" => {
            8 * Linux::new().facts().expect("facts").possible_cpus as usize
        }
        _ => 8,
    };
    for n in 0..40_u8 {
        let key = match name {
            "by_prefix" => [&32_u32.to_ne_bytes()[..], &[10, 0, 0, n]].concat(),
            _ => u32::from(n).to_ne_bytes().to_vec(),
        };
        let mut value: Vec<u8> =
            (0..length).map(|at| n + u8::try_from(at).expect("few") + 1).collect();
        if name.ends_with("locked") {
            // The kernel shows no lock, and takes none.
            value[..4].fill(0);
        }
        update(&map, &key, &value);
    }
}

#[test]
fn maps_of_each_type_grow_with_their_entries() {
    Sandbox::run(|_| {
        let tool = Program::new();
        apply(&tool, &manifest("tables", "")).status(0);
        TABLES.iter().copied().for_each(fill);
        let before = TABLES.map(|name| (map_id(format!("{ROOT}/{name}")), contents(name)));
        let pins = tree();

        let settings =
            TABLES.map(|name| map(name, "max-entries = 2048\non-mismatch = \"migrate\"")).concat();
        let text = manifest("tables", &settings);
        let file = tool.manifest("edge.toml", &text);
        let plan = tool.run(&["plan", &file, "--detailed-exitcode"]).status(2);
        assert!(plan.out.contains("10 to migrate"), "{}", plan.out);
        let said = apply(&tool, &text).status(0);
        assert!(!said.err.contains("WARN"), "{}", said.err);
        for (name, (id, mut old)) in TABLES.into_iter().zip(before) {
            assert_ne!(map_id(format!("{ROOT}/{name}")), id, "{name}");
            let mut new = contents(name);
            let size = if name.starts_with("by_index") { 2048 } else { 40 };
            assert_eq!(new.len(), size, "{name}");
            for all in [&mut old, &mut new] {
                all.retain(|_, value| value.iter().any(|byte| *byte != 0));
            }
            assert_eq!((old.len(), new), (40, old), "{name}");
        }
        assert_eq!(tree(), pins, "nothing is left in the stage");
        tool.run(&["plan", &file, "--detailed-exitcode"]).status(0);
    });
}

#[test]
fn a_map_without_room_for_all_changes_nothing() {
    Sandbox::run(|_| {
        let tool = Program::new();
        apply(&tool, &manifest("tables", "")).status(0);
        let names = ["by_key", "by_key_recent", "by_key_cpu", "by_index", "by_prefix"];
        names.iter().copied().for_each(fill);
        let seen = || {
            let maps = TABLES.map(|name| (map_id(format!("{ROOT}/{name}")), contents(name)));
            (maps, tree())
        };
        let before = seen();
        for name in names {
            let shrunk = |most: u32| {
                let settings = format!("max-entries = {most}\non-mismatch = \"migrate\"");
                manifest("tables", &map(name, &settings))
            };
            apply(&tool, &shrunk(39)).status(1).complains("39").complains("raise `max-entries`");
            assert_eq!(seen(), before, "{name}");
        }
        // 40 fit.
        let shrunk = map("by_key", "max-entries = 40\non-mismatch = \"migrate\"");
        apply(&tool, &manifest("tables", &shrunk)).status(0);
        assert_eq!(contents("by_key"), before.0[0].1);
    });
}

#[test]
fn a_value_grows_by_a_member_that_is_zero() {
    Sandbox::run(|_| {
        let tool = Program::new();
        apply(&tool, &manifest("stats_two", "")).status(0);
        let stats = pinned("stats");
        let value = |packets: u64, bytes: u64| [packets, bytes].map(u64::to_ne_bytes).concat();
        for n in 0..100_u32 {
            update(&stats, &n.to_ne_bytes(), &value(u64::from(n) + 1, 1000));
        }
        let before = contents("stats");

        let refused = apply(&tool, &manifest("stats_three", "")).status(1);
        for part in [
            "value_size 24 in the object, 16 in the pin",
            "`drops` is new",
            "\"migrate\" carries",
            "\"replace\" starts",
            "\"fail\"",
        ] {
            assert!(
                refused.err.contains(part) || refused.out.contains(part),
                "{part}: {refused:?}"
            );
        }
        let migrate = map("stats", "on-mismatch = \"migrate\"");
        let turned = apply(&tool, &manifest("stats_turned", &migrate)).status(1);
        let why = "`drops` is where the other has `packets`";
        assert!(turned.err.contains(why) || turned.out.contains(why), "{turned:?}");
        assert_eq!(contents("stats"), before);

        let grown = apply(&tool, &manifest("stats_three", &migrate)).status(0);
        assert!(grown.out.contains("zero at first: `drops`"), "{}", grown.out);
        let expected: BTreeMap<_, _> =
            before.into_iter().map(|(key, old)| (key, [old, vec![0; 8]].concat())).collect();
        assert_eq!(contents("stats"), expected);
    });
}

#[test]
fn entries_go_into_a_table_that_resizes() {
    const NAME: &str = "by_key_late";
    Sandbox::run(|_| {
        let tool = Program::new();
        apply(&tool, &manifest("tables", "")).status(0);
        fill(NAME);
        let before = contents(NAME);
        let migrate = map(NAME, "on-mismatch = \"migrate\"");
        let resizable = manifest("resizable", &migrate);
        if goes_without(RESIZABLE_HASHES) {
            let refused = apply(&tool, &resizable).status(1);
            assert!(refused.err.contains("Linux has them since 7.2"), "{}", refused.err);
            assert_eq!(contents(NAME), before);
            return;
        }
        apply(&tool, &resizable).status(0);
        // Going over it may leave some out until it has its size.
        eventually("all entries are there", || contents(NAME) == before);
        let LiveObject::Map(live) = found(NAME).object else { panic!("a map is pinned") };
        assert_eq!((live.shape.map_type, live.shape.map_extra), (MapType::RHASH, 16));
        let file = tool.manifest("edge.toml", &resizable);
        tool.run(&["plan", &file, "--detailed-exitcode"]).status(0);

        let back = apply(&tool, &manifest("tables", &migrate)).status(1);
        let why = "may leave entries out";
        assert!(back.err.contains(why) || back.out.contains(why), "{back:?}");
        eventually("nothing is changed", || contents(NAME) == before);
    });
}

#[test]
fn a_large_map_is_copied_and_it_is_said_how_many_entries_it_had() {
    let told = std::env::var("EBPF_APPLY_ENTRIES").ok();
    let entries: u32 = told.map_or(120_000, |told| told.parse().expect("a number"));
    Sandbox::run(|_| {
        let tool = Program::new();
        let sized = |most: u32| {
            let settings = format!("max-entries = {most}\non-mismatch = \"migrate\"");
            manifest("stats_two", &map("stats", &settings))
        };
        apply(&tool, &sized(entries)).status(0);
        let stats = pinned("stats");
        let value = |n: u32| [u64::from(n), 1].map(u64::to_ne_bytes).concat();
        update_all(&stats, (0..entries).map(|n| (n.to_ne_bytes().to_vec(), value(n))));
        drop(stats);
        let before = contents("stats");
        apply(&tool, &sized(2 * entries))
            .status(0)
            .complains(&format!("{entries} entries copied into map.it.stats"));
        assert!(contents("stats") == before, "every entry is as it was");
    });
}

/// Sends datagrams that carry 0, 1, 2… until it is told to stop, and returns how many.
fn send_numbers(stop: &AtomicBool, most: u32) -> u32 {
    let socket = UdpSocket::bind("192.0.2.2:0").expect("an address of veth1");
    for n in 0..most {
        if stop.load(Ordering::Relaxed) {
            return n;
        }
        if n % 64 == 63 {
            // Not all at once: there is to be traffic as long as the maps change.
            thread::sleep(Duration::from_millis(1));
        }
        socket.send_to(&n.to_ne_bytes(), "192.0.2.1:9").expect("a route");
    }
    most
}

#[test]
fn nothing_that_is_counted_while_it_migrates_is_lost() {
    let told = std::env::var("EBPF_APPLY_DATAGRAMS").ok();
    let most = told.map_or(400_000, |told| told.parse().expect("a number"));
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let tool = Program::new();
        let sized = |object: &str, most: u32| {
            let mut settings = map("stats", &format!("max-entries = {most}"));
            settings.push_str("on-mismatch = \"migrate\"\n");
            let attach = "attach = [{ hook = \"xdp\", interface = \"veth0\" }]";
            write!(settings, "\n[objects.it.programs.count_datagrams]\n{attach}\n")
                .expect("a string takes it");
            manifest(object, &settings)
        };
        apply(&tool, &sized("stats_two", most)).status(0);
        let stop = AtomicBool::new(false);
        let sent = thread::scope(|scope| {
            let sender = scope.spawn(|| send_numbers(&stop, most));
            // Each datagram has a key of its own, so that old and new program never write the same.
            for round in 1..=3 {
                let said = apply(&tool, &sized("stats_two", most + round)).status(0);
                assert!(!said.err.contains("WARN"), "{}", said.err);
            }
            apply(&tool, &sized("stats_three", most + 4)).status(0);
            stop.store(true, Ordering::Relaxed);
            sender.join().expect("it sends to its end")
        });
        let counted = contents("stats");
        assert!(sent > 1000, "{sent} are no traffic");
        let missing = (0..sent).filter(|n| !counted.contains_key(&n.to_ne_bytes()[..])).count();
        // With one CPU, the sender may be faster than who takes the packets off its queue.
        let dropped = host::dropped("veth1");
        assert_eq!(missing, dropped, "of {sent}");
        assert_eq!(counted.len() + dropped, sent as usize);
        let once = |value: &[u8]| value[..8] == 1_u64.to_ne_bytes();
        assert!(counted.values().all(|value| once(value)), "each was sent once");
    });
}
