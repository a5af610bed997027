//! What runs on the kernel, and what is seen of it.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::process::Command;
use std::time::{Duration, Instant};

use aya::maps::{Array, HashMap, Map, MapData};
use ebpf_apply::kernel::linux::Handle;
use ebpf_apply::model::attach::Direction;

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

/// Calls bpf(2) for one element of a map.
#[expect(unsafe_code, reason = "aya reads and writes only maps whose types are known beforehand")]
fn element_call(
    command: libc::c_int,
    map: &Handle,
    key: Option<&[u8]>,
    value: *mut u8,
) -> std::io::Result<()> {
    #[repr(C)]
    struct Element {
        map_fd: u64,
        key: u64,
        value: u64,
        flags: u64,
    }
    let mut attr = Element {
        map_fd: u64::try_from(map.as_fd().as_raw_fd()).expect("an open descriptor"),
        key: key.map_or(0, |key| key.as_ptr().expose_provenance() as u64),
        value: value.expose_provenance() as u64,
        flags: 0,
    };
    // SAFETY: the callers' buffers have the sizes that the map has.
    let answer =
        unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut attr, size_of::<Element>()) };
    if answer == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Bytes of a key, and of a value with those of all CPUs.
fn sizes(map: &Handle) -> (usize, usize) {
    let info = data(map).info().expect("a map tells what it is");
    let size = |bytes: u32| usize::try_from(bytes).expect("small");
    let (key, value) = (size(info.key_size()), size(info.value_size()));
    // Of the types that aya does not know none has a value for each CPU.
    let per_cpu = matches!(
        info.map_type(),
        Ok(aya::maps::MapType::PerCpuHash
            | aya::maps::MapType::LruPerCpuHash
            | aya::maps::MapType::PerCpuArray)
    );
    let cpus = || aya::util::nr_cpus().expect("the kernel counts its CPUs");
    (key, if per_cpu { value.next_multiple_of(8) * cpus() } else { value })
}

/// All entries of a map of any type.
pub(crate) fn entries(map: &Handle) -> BTreeMap<Vec<u8>, Vec<u8>> {
    const LOOKUP: libc::c_int = 1;
    const NEXT_KEY: libc::c_int = 4;
    let (key_size, value_size) = sizes(map);
    let (mut all, mut last) = (BTreeMap::new(), None::<Vec<u8>>);
    let mut next = vec![0; key_size];
    while element_call(NEXT_KEY, map, last.as_deref(), next.as_mut_ptr()).is_ok() {
        let mut value = vec![0; value_size];
        if element_call(LOOKUP, map, Some(&next), value.as_mut_ptr()).is_ok() {
            all.insert(next.clone(), value);
        }
        last = Some(next.clone());
    }
    all
}

/// Writes an entry of a map of any type.
pub(crate) fn update(map: &Handle, key: &[u8], value: &[u8]) {
    update_all(map, [(key, value)]);
}

/// Writes entries of a map of any type.
pub(crate) fn update_all<B: AsRef<[u8]>>(map: &Handle, all: impl IntoIterator<Item = (B, B)>) {
    const UPDATE: libc::c_int = 2;
    let sizes = sizes(map);
    for (key, value) in all {
        let (key, value) = (key.as_ref(), value.as_ref());
        assert_eq!((key.len(), value.len()), sizes);
        // The kernel only reads it.
        element_call(UPDATE, map, Some(key), value.as_ptr().cast_mut()).expect("there is room");
    }
}

/// Deletes an entry of a map of any type.
pub(crate) fn delete(map: &Handle, key: &[u8]) {
    const DELETE: libc::c_int = 3;
    assert_eq!(key.len(), sizes(map).0);
    let gone = element_call(DELETE, map, Some(key), std::ptr::null_mut());
    assert!(gone.is_ok() || gone.is_err_and(|error| error.raw_os_error() == Some(libc::ENOENT)));
}

/// Makes a map read-only to user space.
pub(crate) fn freeze(map: &Handle) {
    const FREEZE: libc::c_int = 22;
    element_call(FREEZE, map, None, std::ptr::null_mut()).expect("nobody has it mapped");
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

/// Attaches a program to a tcx hook without a link, as the kernel does too.
#[expect(unsafe_code, reason = "no crate wraps BPF_PROG_ATTACH for tcx")]
pub(crate) fn attach_to_tcx(program: &Handle, interface: u32, side: Direction) {
    const PROG_ATTACH: libc::c_long = 8;
    /// `union bpf_attr`, the part for this command.
    #[repr(C)]
    struct Request {
        interface: u32,
        program: i32,
        attach_type: u32,
        flags: u32,
        replaced: u32,
        relative: u32,
        revision: u64,
    }
    let mut attr = Request {
        interface,
        program: program.as_fd().as_raw_fd(),
        attach_type: side.tcx_type().0,
        flags: 0,
        replaced: 0,
        relative: 0,
        revision: 0,
    };
    // SAFETY: `attr` is the layout of the command and holds no address.
    let answer =
        unsafe { libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw mut attr, size_of::<Request>()) };
    assert_eq!(answer, 0, "attach: {}", std::io::Error::last_os_error());
}
