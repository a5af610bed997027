//! What the kernel gets from us is what it gets from libbpf, by way of bpftool: whatever it loads, we
//! load, with the same programs and the same maps.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write as _};
use std::io::Write as _;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use aya::maps::MapInfo;
use ebpf_apply::model::map::{MapOrigin, MapSpec};
use ebpf_apply::object::inspect;
use serde_json::Value;

use crate::features::{MAP_EXTRA, goes_without};
use crate::program::Program;
use crate::sandbox::{Sandbox, fed, mount_at};
use crate::support::{object, root};

const BPFFS: &str = "/sys/fs/bpf";
/// `BPF_F_MMAPABLE`.
const MMAPABLE: u64 = 0x400;

/// Maps, by object and name, whose `BPF_F_MMAPABLE` depends on the age of libbpf: before 1.1, it
/// let every data section be mapped; since then, those that have a variable visible outside (`map_is_mmapable`).
const MMAPABLE_BY_AGE: &[(&str, &str)] = &[
    ("xdp-dispatcher.o", "xdp_disp.rodata"),
    ("relocate_calls.bpf.o", ".data.hidden"),
    ("relocate_calls.bpf.o", ".rodata.texts"),
];
/// Programs, by object and name, whose tag depends on the age of libbpf: since 1.2, it leaves a mark in a
/// call of a kernel function that is weak and not there (`poison_kfunc_call`).
const TAG_BY_AGE: &[(&str, &str)] =
    &[("externs.bpf.o", "ask"), ("relocate_externs.bpf.o", "functions")];

/// Objects that keep the verifier busy with the same program again and again, or with one that others of
/// these have a part of. They are left out where time is short.
const HEAVY: &[&str] = &[
    "bench_heavy",
    "bench_ten",
    "xdpfilt_alw_all",
    "xdpfilt_alw_tcp",
    "xdpfilt_alw_udp",
    "xdpfilt_dny_all",
    "xdpfilt_dny_tcp",
    "xdpfilt_dny_udp",
];

/// What the kernel says of a program. Its tag is a digest of its instructions.
#[derive(Debug, PartialEq, Eq)]
struct Loaded {
    kind: String,
    name: String,
    tag: String,
    gpl_compatible: bool,
    has_btf: bool,
    map_count: usize,
}

/// What the kernel says of a map.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Map {
    kind: String,
    key_size: u64,
    value_size: u64,
    max_entries: u64,
    flags: u64,
    extra: u64,
    has_btf: bool,
    frozen: bool,
}

/// What an object became in the kernel. Maps by name, of which several can have the same first 15
/// bytes.
#[derive(Debug, Default)]
struct Held {
    programs: BTreeMap<String, Loaded>,
    maps: BTreeMap<String, Vec<Map>>,
    /// Whether `maps` has those too that no program uses.
    all_maps: bool,
}

impl Held {
    /// Collects the pinned programs, the pinned maps, and the maps that those programs use.
    fn of(programs: &[PathBuf], maps: &[PathBuf], all_maps: bool) -> Self {
        let mut held = Self { all_maps, ..Self::default() };
        let mut ids = BTreeSet::new();
        let of_programs = programs.iter().map(|pin| format!("prog show pinned {}", pin.display()));
        let of_maps = maps.iter().map(|pin| format!("map show pinned {}", pin.display()));
        let mut pinned = shown(of_programs.chain(of_maps));
        let pinned_maps = pinned.split_off(programs.len());
        for (pin, shown) in programs.iter().zip(pinned) {
            let used = shown["map_ids"].as_array().map_or(&[][..], Vec::as_slice);
            ids.extend(used.iter().filter_map(Value::as_u64));
            let file = pin.file_name().and_then(|name| name.to_str()).expect("UTF-8");
            let name = file.rsplit(':').next().unwrap_or(file).to_owned();
            held.programs.insert(
                name,
                Loaded {
                    kind: text(&shown["type"]),
                    name: text(&shown["name"]),
                    tag: text(&shown["tag"]),
                    gpl_compatible: shown["gpl_compatible"] == true,
                    has_btf: !shown["btf_id"].is_null(),
                    map_count: used.len(),
                },
            );
        }
        ids.extend(pinned_maps.iter().filter_map(|shown| shown["id"].as_u64()));
        for (id, shown) in ids.iter().zip(shown(ids.iter().map(|id| format!("map show id {id}")))) {
            let number = |key: &str| shown[key].as_u64().expect(key);
            let map = Map {
                kind: text(&shown["type"]),
                key_size: number("bytes_key"),
                value_size: number("bytes_value"),
                max_entries: number("max_entries"),
                flags: number("flags"),
                extra: extra(*id),
                has_btf: !shown["btf_id"].is_null(),
                frozen: number("frozen") != 0,
            };
            held.maps.entry(text(&shown["name"])).or_default().push(map);
        }
        held.maps.values_mut().for_each(|maps| maps.sort());
        held
    }
}

/// What differs, one line each.
fn unequal<T: PartialEq + Debug>(
    object: &str,
    theirs: &BTreeMap<String, T>,
    ours: &BTreeMap<String, T>,
) -> Vec<String> {
    let names: BTreeSet<_> = theirs.keys().chain(ours.keys()).collect();
    let pairs = names.into_iter().map(|name| (name, theirs.get(name), ours.get(name)));
    pairs
        .filter(|(_, theirs, ours)| theirs != ours)
        .map(|(name, theirs, ours)| format!("{object}: {name}: libbpf {theirs:?}\nours {ours:?}"))
        .collect()
}

/// Forgets what the tables above let differ.
fn forget_age(object: &str, held: &mut Held) {
    for (_, map) in MMAPABLE_BY_AGE.iter().filter(|(of, _)| *of == object) {
        for map in held.maps.get_mut(*map).into_iter().flatten() {
            map.flags &= !MMAPABLE;
        }
    }
    for (_, program) in TAG_BY_AGE.iter().filter(|(of, _)| *of == object) {
        if let Some(program) = held.programs.get_mut(*program) {
            program.tag.clear();
        }
    }
}

/// What bpftool says as JSON to each of the commands. One process for all: to start it is what costs.
fn shown(commands: impl IntoIterator<Item = String>) -> Vec<Value> {
    let commands: Vec<_> = commands.into_iter().collect();
    let mut bpftool = Command::new("bpftool");
    let lines = commands.join("\n") + "\n";
    let out = fed(bpftool.args(["--json", "batch", "file", "-"]), &lines).stdout;
    let answers: Vec<Value> =
        serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{commands:?}: {error}"));
    assert_eq!(answers.len(), commands.len(), "{commands:?}: {answers:?}");
    answers.into_iter().map(|mut answer| answer["output"].take()).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A map's `map_extra`, which bpftool does not show; 0 before there was any.
fn extra(id: u64) -> u64 {
    if goes_without(MAP_EXTRA) {
        return 0;
    }
    let map = MapInfo::from_id(u32::try_from(id).expect("an id")).expect("a live map");
    let fd = map.fd().expect("a live map");
    let info = fs::read_to_string(format!("/proc/thread-self/fdinfo/{}", fd.as_fd().as_raw_fd()))
        .expect("an open file");
    let extra = info.lines().find_map(|line| line.strip_prefix("map_extra:")).expect("since 5.16");
    u64::from_str_radix(extra.trim().trim_start_matches("0x"), 16).expect("hexadecimal")
}

/// Every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Every pin on the bpffs but the kernel's own (`bpf_preload`).
fn pins() -> Vec<PathBuf> {
    let mut pins = files(Path::new(BPFFS));
    pins.retain(|pin| !pin.ends_with("bpf/maps.debug") && !pin.ends_with("bpf/progs.debug"));
    pins
}

/// Loads an object with bpftool: what the kernel then holds, or what libbpf complained.
fn theirs(object: &Path) -> Result<Held, String> {
    let bpffs = Path::new(BPFFS);
    let mut complaint = String::new();
    // `pinmaps` fails where the object pins a map itself; then only those maps are seen that are
    // used or pinned.
    for pin_maps in [true, false] {
        mount_at("bpf", bpffs);
        let (programs, maps) = (bpffs.join("programs"), bpffs.join("maps"));
        let mut command = Command::new("bpftool");
        command.args(["prog", "loadall"]).arg(object).arg(&programs);
        if pin_maps {
            command.arg("pinmaps").arg(&maps);
        }
        let loaded = command.output().expect("bpftool is installed");
        if loaded.status.success() {
            let programs = files(&programs);
            let mut maps = pins();
            maps.retain(|pin| !programs.contains(pin));
            return Ok(Held::of(&programs, &maps, pin_maps));
        }
        complaint = String::from_utf8_lossy(&loaded.stderr).into_owned();
        if !complaint.contains("failed to pin all maps") {
            break;
        }
    }
    Err(complaint)
}

/// Loads an object with the program.
fn ours(object: &Path) -> Result<Held, String> {
    mount_at("bpf", BPFFS);
    let program = Program::new();
    let mut text = format!(
        "version = 1\nname = \"it\"\npin-root = \"{BPFFS}\"\n\n[objects.it]\npath = \"{}\"\n",
        object.display()
    );
    // What no program uses would be gone with the run; bpftool pins all maps.
    let spec = fs::read(object).ok().and_then(|bytes| inspect(&bytes).ok());
    let maps = spec.map_or(Vec::new(), |spec| spec.maps);
    let unpinned = |map: &&MapSpec| map.origin == MapOrigin::Declared && map.pinning.is_none();
    for map in maps.iter().filter(unpinned) {
        let name = toml::Value::from(map.name.as_str());
        write!(
            text,
            "[objects.it.maps.{name}]\npin = \"persist-on-exit\"\nallow-undeclared = true\n"
        )
        .expect("a string");
    }
    let manifest = program.manifest("it.toml", &text);
    let said = program.run(&["apply", &manifest, "--detach"]);
    if said.status != 0 {
        return Err(said.err);
    }
    let (programs, others): (Vec<_>, Vec<_>) =
        pins().into_iter().partition(|pin| pin.starts_with("/sys/fs/bpf/~progs"));
    let maps: Vec<_> =
        others.into_iter().filter(|pin| !pin.starts_with("/sys/fs/bpf/~links")).collect();
    Ok(Held::of(&programs, &maps, true))
}

/// Whether there is no time for an object.
fn is_left_out(object: &Path) -> bool {
    let name = object.file_name().and_then(|name| name.to_str()).expect("UTF-8");
    let heavy = HEAVY.iter().any(|heavy| name.split('.').next() == Some(heavy));
    heavy && std::env::var_os("EBPF_APPLY_NO_HEAVY").is_some()
}

/// Loads the objects both ways, tells a table of it, and fails on what differs.
fn compare(objects: impl IntoIterator<Item = PathBuf>) {
    let mut table = String::new();
    let mut differences = Vec::new();
    let mut common = 0;
    for object in objects {
        if is_left_out(&object) {
            continue;
        }
        let name = object.file_name().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
        Sandbox::run(|_| {
            let (mut theirs, mut ours) = (theirs(&object), ours(&object));
            for held in [&mut theirs, &mut ours].into_iter().flatten() {
                forget_age(&name, held);
            }
            if let (Ok(theirs), Ok(ours)) = (&theirs, &mut ours)
                && !theirs.all_maps
            {
                ours.maps.retain(|map, _| theirs.maps.contains_key(map));
            }
            let yes_no =
                |held: &Result<Held, String>| if held.is_ok() { "loads" } else { "refuses" };
            let counts = ours.as_ref().map_or((0, 0), |held| {
                (held.programs.len(), held.maps.values().map(Vec::len).sum())
            });
            let (theirs_say, ours_say) = (yes_no(&theirs), yes_no(&ours));
            writeln!(table, "{name:30} {theirs_say:8} {ours_say:8} {:8} {:5}", counts.0, counts.1)
                .expect("a string");
            match (theirs, ours) {
                (Ok(theirs), Ok(ours))
                    if theirs.programs == ours.programs && theirs.maps == ours.maps =>
                {
                    common += 1;
                }
                (Ok(theirs), Ok(ours)) => {
                    differences.extend(unequal(&name, &theirs.programs, &ours.programs));
                    differences.extend(unequal(&name, &theirs.maps, &ours.maps));
                }
                (Ok(_), Err(complaint)) => {
                    differences.push(format!("{name}: only libbpf loads it: {complaint}"));
                }
                (Err(_), _) => {}
            }
        });
    }
    writeln!(io::stdout(), "{:30} {:8} {:8} programs  maps\n{table}", "object", "libbpf", "ours")
        .expect("standard output");
    assert!(common > 0, "{table}");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn our_objects_become_the_same_in_the_kernel() {
    let sources = files(&root().join("bpf"));
    let names = sources.iter().filter_map(|source| source.to_str()?.strip_suffix(".bpf.c"));
    let mut names: Vec<_> = names.filter_map(|path| path.rsplit('/').next()).collect();
    names.sort_unstable();
    assert!(names.len() > 20);
    compare(names.into_iter().map(object));
}

#[test]
fn objects_of_debian_become_the_same_in_the_kernel() {
    let library = format!("/usr/lib/{}-linux-gnu/bpf", std::env::consts::ARCH);
    let mut objects = files(Path::new(&library));
    objects.sort();
    assert!(!objects.is_empty(), "xdp-tools is installed");
    compare(objects);
}
