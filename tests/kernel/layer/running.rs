//! What runs on the kernel, and what is seen of it.

use std::os::fd::{AsFd as _, AsRawFd as _};
use std::process::Command;
use std::time::{Duration, Instant};

use aya::maps::{Array, HashMap, Map, MapData};
use ebpf_apply::kernel::linux::Handle;

fn data(map: &Handle) -> MapData {
    let fd = map.as_fd().try_clone_to_owned().expect("duplicate a descriptor");
    MapData::from_fd(fd).expect("the handle is of a map")
}

/// The value at `index` of an array.
pub(crate) fn element<V: aya::Pod>(map: &Handle, index: u32) -> V {
    let array: Array<_, V> = Map::Array(data(map)).try_into().expect("an array of such values");
    array.get(&index, 0).expect("the index is inside")
}

/// Runs a program once, on `packet` if its type takes one, and gives what it returns.
#[expect(unsafe_code, reason = "no crate wraps BPF_PROG_TEST_RUN")]
pub(crate) fn run(program: &Handle, packet: &[u8]) -> u32 {
    /// What `BPF_PROG_TEST_RUN` takes.
    #[repr(C)]
    #[derive(Default)]
    struct TestRun {
        prog_fd: i32,
        retval: u32,
        data_size_in: u32,
        data_size_out: u32,
        data_in: u64,
        data_out: u64,
        repeat: u32,
        duration: u32,
        ctx: [u64; 3],
    }
    const PROG_TEST_RUN: libc::c_int = 10;
    let mut attr = TestRun {
        prog_fd: program.as_fd().as_raw_fd(),
        data_size_in: u32::try_from(packet.len()).expect("a short packet"),
        data_in: if packet.is_empty() { 0 } else { packet.as_ptr().expose_provenance() as u64 },
        ..TestRun::default()
    };
    // SAFETY: the kernel reads the packet and writes only into `attr`.
    let answer =
        unsafe { libc::syscall(libc::SYS_bpf, PROG_TEST_RUN, &raw mut attr, size_of::<TestRun>()) };
    assert_eq!(answer, 0, "run a program: {}", std::io::Error::last_os_error());
    attr.retval
}

/// The id of what a slot of a prog array or array of maps holds.
pub(crate) fn slot(map: &Handle, index: u32) -> Option<u32> {
    let array: Array<_, u32> = Map::Array(data(map)).try_into().expect("an array of ids");
    array.get(&index, 0).ok()
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
