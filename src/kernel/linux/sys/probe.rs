//! Links of programs that watch functions and events: `BPF_LINK_CREATE` with a cookie, an iterator's
//! limits, or several places at once.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::abi::{self, Command};
use super::{Answer, address, bpf, length, number, own};
use crate::model::kinds::AttachType;

/// `BPF_F_KPROBE_MULTI_RETURN`, `BPF_F_UPROBE_MULTI_RETURN`.
const RETURNS: u32 = 1;
/// `BPF_CGROUP_ITER_DESCENDANTS_PRE`: a cgroup before those below it.
const DESCENDANTS_FIRST_TO_LAST: u32 = 2;

/// Attaches a program to an event of `perf_event_open(2)` (Linux 5.15).
pub(in crate::kernel::linux) fn link_event(
    program: BorrowedFd<'_>,
    event: BorrowedFd<'_>,
    cookie: u64,
) -> Answer<OwnedFd> {
    let mut attr = abi::LinkCreatePerfEvent {
        prog_fd: number(program),
        target_fd: number(event),
        attach_type: AttachType::PERF_EVENT.0,
        flags: 0,
        bpf_cookie: cookie,
    };
    // SAFETY: `LinkCreatePerfEvent` is what `BPF_LINK_CREATE` takes for this type; it holds no address.
    let fd = unsafe { bpf(Command::LinkCreate, &mut attr) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { own(fd) })
}

/// Attaches a program to the function it was loaded for, with a cookie (Linux 5.19).
pub(in crate::kernel::linux) fn link_function(
    program: BorrowedFd<'_>,
    attach_type: AttachType,
    cookie: u64,
) -> Answer<OwnedFd> {
    let mut attr = abi::LinkCreateTracing {
        prog_fd: number(program),
        attach_type: attach_type.0,
        cookie,
        ..abi::LinkCreateTracing::default()
    };
    // SAFETY: `LinkCreateTracing` is what `BPF_LINK_CREATE` takes for these types; it holds no address.
    let fd = unsafe { bpf(Command::LinkCreate, &mut attr) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { own(fd) })
}

/// What an iterator is limited to.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernel::linux) enum IterLimit<'a> {
    /// Nothing.
    All,
    /// The entries of a map.
    Map(BorrowedFd<'a>),
    /// A thread, by its id.
    Task(u32),
    /// A cgroup and those below it; for `None` the root of the hierarchy.
    Cgroup(Option<BorrowedFd<'a>>),
}

/// Attaches an iterator.
pub(in crate::kernel::linux) fn link_iterator(
    program: BorrowedFd<'_>,
    limit: IterLimit<'_>,
) -> Answer<OwnedFd> {
    let info = match limit {
        IterLimit::All => None,
        IterLimit::Map(map) => Some(abi::IterInfo { first: number(map), second: 0, third: 0 }),
        IterLimit::Task(thread) => Some(abi::IterInfo { first: thread, second: 0, third: 0 }),
        IterLimit::Cgroup(cgroup) => Some(abi::IterInfo {
            first: DESCENDANTS_FIRST_TO_LAST,
            second: cgroup.map_or(0, number),
            third: 0,
        }),
    };
    let info: Vec<abi::IterInfo> = info.into_iter().collect();
    let size = u32::try_from(size_of_val(info.as_slice())).map_err(|_beyond| Errno::TOOBIG)?;
    let mut attr = abi::LinkCreateIter {
        prog_fd: number(program),
        attach_type: AttachType::TRACE_ITER.0,
        iter_info: if info.is_empty() { 0 } else { address(&info) },
        iter_info_len: size,
        ..abi::LinkCreateIter::default()
    };
    // SAFETY: `LinkCreateIter` is what `BPF_LINK_CREATE` takes for this type; `iter_info` is zero or the
    // address of `iter_info_len` readable bytes that outlive the call.
    let fd = unsafe { bpf(Command::LinkCreate, &mut attr) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { own(fd) })
}

/// Attaches a program to the kernel's functions at these addresses (Linux 5.18, with `CONFIG_FPROBE`).
/// `cookies` is empty, or has one for each.
pub(in crate::kernel::linux) fn link_kernel_functions(
    program: BorrowedFd<'_>,
    attach_type: AttachType,
    addresses: &[u64],
    cookies: &[u64],
    returns: bool,
) -> Answer<OwnedFd> {
    if !cookies.is_empty() && cookies.len() != addresses.len() {
        return Err(Errno::INVAL);
    }
    let mut attr = abi::LinkCreateKprobes {
        prog_fd: number(program),
        attach_type: attach_type.0,
        kprobe_flags: if returns { RETURNS } else { 0 },
        cnt: length(addresses)?,
        addrs: address(addresses),
        cookies: if cookies.is_empty() { 0 } else { address(cookies) },
        ..abi::LinkCreateKprobes::default()
    };
    // SAFETY: `LinkCreateKprobes` is what `BPF_LINK_CREATE` takes for these types; both addresses are of
    // `cnt` readable words that outlive the call, or zero.
    let fd = unsafe { bpf(Command::LinkCreate, &mut attr) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { own(fd) })
}

/// A place in a file that is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernel::linux) struct UserPlace {
    /// Where the instruction lies in the file.
    pub(in crate::kernel::linux) offset: u64,
    /// Where the counter lies in the file by which the program knows that it is watched; 0 for none.
    pub(in crate::kernel::linux) counter: u64,
    pub(in crate::kernel::linux) cookie: u64,
}

/// Attaches a program to several places of a file (Linux 6.6).
pub(in crate::kernel::linux) fn link_user_places(
    program: BorrowedFd<'_>,
    attach_type: AttachType,
    path: &CStr,
    places: &[UserPlace],
    pid: Option<u32>,
    returns: bool,
) -> Answer<OwnedFd> {
    let offsets: Vec<u64> = places.iter().map(|place| place.offset).collect();
    let counters: Vec<u64> = places.iter().map(|place| place.counter).collect();
    let cookies: Vec<u64> = places.iter().map(|place| place.cookie).collect();
    let of_any = |words: &[u64]| {
        if words.iter().all(|word| *word == 0) { 0 } else { address(words) }
    };
    let mut attr = abi::LinkCreateUprobes {
        prog_fd: number(program),
        attach_type: attach_type.0,
        path: address(path.to_bytes_with_nul()),
        offsets: address(&offsets),
        ref_ctr_offsets: of_any(&counters),
        cookies: of_any(&cookies),
        cnt: length(&offsets)?,
        uprobe_flags: if returns { RETURNS } else { 0 },
        pid: pid.unwrap_or(0),
        ..abi::LinkCreateUprobes::default()
    };
    // SAFETY: `LinkCreateUprobes` is what `BPF_LINK_CREATE` takes for these types; `path` is the address of
    // NUL-terminated text, the others are zero or of `cnt` readable words; all outlive the call.
    let fd = unsafe { bpf(Command::LinkCreate, &mut attr) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { own(fd) })
}

/// Whether the kernel has links to events of `perf_event_open(2)` (libbpf `probe_perf_link`): one that has
/// not, does not look at the descriptor.
pub(in crate::kernel::linux) fn has_event_links(program: BorrowedFd<'_>) -> bool {
    let mut attr = abi::LinkCreatePerfEvent {
        prog_fd: number(program),
        target_fd: u32::MAX,
        attach_type: AttachType::PERF_EVENT.0,
        ..abi::LinkCreatePerfEvent::default()
    };
    // SAFETY: `LinkCreatePerfEvent` is what `BPF_LINK_CREATE` takes for this type; it holds no address.
    // No descriptor has that number, so nothing is made.
    let answer = unsafe { bpf(Command::LinkCreate, &mut attr) };
    answer.is_err_and(|errno| errno == Errno::BADF)
}

/// What the kernel answers to a link of a program at an address that nobody may read; where it has no
/// such links, it says so first.
pub(in crate::kernel::linux) fn try_kernel_functions(
    program: BorrowedFd<'_>,
    attach_type: AttachType,
) -> Errno {
    let mut attr = abi::LinkCreateKprobes {
        prog_fd: number(program),
        attach_type: attach_type.0,
        cnt: 1,
        addrs: 1,
        ..abi::LinkCreateKprobes::default()
    };
    // SAFETY: `LinkCreateKprobes` is what `BPF_LINK_CREATE` takes for these types; the kernel copies from
    // `addrs` as from any address a process names, and fails where nothing is mapped.
    match unsafe { bpf(Command::LinkCreate, &mut attr) } {
        Ok(fd) => {
            // SAFETY: the kernel has just made this descriptor for us.
            drop(unsafe { own(fd) });
            Errno::EXIST
        }
        Err(errno) => errno,
    }
}
