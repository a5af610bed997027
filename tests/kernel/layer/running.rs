//! What the running kernel is too old for, and what runs on it.

use std::os::fd::AsFd as _;
use std::process::Command;
use std::time::{Duration, Instant};

use aya::maps::{Array, HashMap, Map, MapData};
use aya::util::KernelVersion;
use ebpf_apply::kernel::linux::Handle;

/// Whether the running kernel is at least `major.minor`; says so if it is not.
#[expect(clippy::print_stdout, reason = "a skipped test must say what it lacks")]
pub(crate) fn has(what: &str, major: u8, minor: u8) -> bool {
    let current = KernelVersion::current().expect("the kernel has a version");
    let new_enough = current >= KernelVersion::new(major, minor, 0);
    if !new_enough {
        println!("skipped: {what} needs Linux {major}.{minor}");
    }
    new_enough
}

fn data(map: &Handle) -> MapData {
    let fd = map.as_fd().try_clone_to_owned().expect("duplicate a descriptor");
    MapData::from_fd(fd).expect("the handle is of a map")
}

/// The value at `index` of an array.
pub(crate) fn element<V: aya::Pod>(map: &Handle, index: u32) -> V {
    let array: Array<_, V> = Map::Array(data(map)).try_into().expect("an array of such values");
    array.get(&index, 0).expect("the index is inside")
}

/// The sum of the values of a hash of numbers.
pub(crate) fn sum(map: &Handle) -> u64 {
    let hash: HashMap<_, u32, u64> = Map::HashMap(data(map)).try_into().expect("a hash of numbers");
    hash.iter().map(|entry| entry.expect("an entry").1).sum()
}

/// Puts an entry into a hash.
pub(crate) fn insert<K: aya::Pod, V: aya::Pod>(map: &Handle, key: K, value: V) {
    let mut hash: HashMap<_, K, V> = Map::HashMap(data(map)).try_into().expect("a hash of these");
    hash.insert(key, value, 0).expect("the hash has room");
}

/// Asks again until it is so; packets may be taken up by another CPU a moment later.
pub(crate) fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within ten seconds");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What a command prints; it must succeed.
pub(crate) fn output(program: &str, arguments: &[&str]) -> String {
    let done = Command::new(program).args(arguments).output().expect("the command is installed");
    let log = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {}: {log}", arguments.join(" "));
    String::from_utf8_lossy(&done.stdout).into_owned()
}
