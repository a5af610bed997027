//! Links: `BPF_LINK_CREATE`, `BPF_LINK_UPDATE`, `BPF_LINK_DETACH` and `BPF_RAW_TRACEPOINT_OPEN`; and
//! `BPF_PROG_QUERY`, by which a hook tells its own.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::abi::{self, Command};
use super::{Answer, address, address_mut, bpf, flags, length, number, own};
use crate::model::kinds::AttachType;

/// What a link is attached to.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernel::linux) enum LinkTarget<'a> {
    /// A cgroup's directory, a perf event, a network namespace or a map.
    File(BorrowedFd<'a>),
    /// The index of a network interface.
    Interface(u32),
}

/// Attaches `program`; what `flags` mean depends on the attach type.
pub(in crate::kernel::linux) fn create_link(
    program: BorrowedFd<'_>,
    target: LinkTarget<'_>,
    attach_type: AttachType,
    flags: u32,
) -> Answer<OwnedFd> {
    let mut attr = abi::LinkCreate {
        prog_fd: number(program),
        target: match target {
            LinkTarget::File(fd) => number(fd),
            LinkTarget::Interface(index) => index,
        },
        attach_type: attach_type.0,
        flags,
        ..abi::LinkCreate::default()
    };
    // SAFETY: `LinkCreate` is what `BPF_LINK_CREATE` takes; it holds no address.
    let fd = unsafe { bpf(Command::LinkCreate, &mut attr) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { own(fd) })
}

/// What a program is put beside, at a hook that several share.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernel::linux) enum Beside<'a> {
    /// Nothing: before or after all others.
    Nothing,
    /// A link.
    Link(BorrowedFd<'a>),
    /// A program.
    Program(BorrowedFd<'a>),
    /// The program with that id.
    ProgramId(u32),
}

/// Attaches `program` among the programs of a hook of an interface (`bpf_mprog_attach`): `flags` say
/// on which side. With a `revision` other than 0, only if the hook still has that one (`ESTALE`).
pub(in crate::kernel::linux) fn create_ordered_link(
    program: BorrowedFd<'_>,
    interface: u32,
    attach_type: AttachType,
    flags: u32,
    beside: Beside<'_>,
    revision: u64,
) -> Answer<OwnedFd> {
    let (relative_fd, kind) = match beside {
        Beside::Nothing => (0, 0),
        Beside::Link(link) => (number(link), flags::LINK),
        Beside::Program(program) => (number(program), 0),
        Beside::ProgramId(id) => (id, flags::ID),
    };
    let mut attr = abi::LinkCreate {
        prog_fd: number(program),
        target: interface,
        attach_type: attach_type.0,
        flags: flags | kind,
        relative_fd,
        expected_revision: revision,
        ..abi::LinkCreate::default()
    };
    // SAFETY: `LinkCreate` is what `BPF_LINK_CREATE` takes; it holds no address.
    let fd = unsafe { bpf(Command::LinkCreate, &mut attr) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { own(fd) })
}

/// A place among the hooks of netfilter.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernel::linux) struct NetfilterHook {
    /// `NFPROTO_*`.
    pub(in crate::kernel::linux) family: u32,
    /// `enum nf_inet_hooks`.
    pub(in crate::kernel::linux) hook: u32,
    pub(in crate::kernel::linux) priority: i32,
    pub(in crate::kernel::linux) flags: u32,
}

/// Attaches `program` to netfilter in the network namespace of this thread.
pub(in crate::kernel::linux) fn create_netfilter_link(
    program: BorrowedFd<'_>,
    place: NetfilterHook,
) -> Answer<OwnedFd> {
    let mut attr = abi::NetfilterLinkCreate {
        prog_fd: number(program),
        attach_type: AttachType::NETFILTER.0,
        family: place.family,
        hook: place.hook,
        priority: place.priority,
        netfilter_flags: place.flags,
        ..abi::NetfilterLinkCreate::default()
    };
    // SAFETY: `NetfilterLinkCreate` is what `BPF_LINK_CREATE` takes; it holds no address.
    let fd = unsafe { bpf(Command::LinkCreate, &mut attr) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { own(fd) })
}

/// Registers the struct of operations in `map` by a link (Linux 6.4).
pub(in crate::kernel::linux) fn link_operations(map: BorrowedFd<'_>) -> Answer<OwnedFd> {
    let mut attr = abi::LinkCreate {
        // `map_fd` lies where `prog_fd` does.
        prog_fd: number(map),
        attach_type: AttachType::STRUCT_OPS.0,
        ..abi::LinkCreate::default()
    };
    // SAFETY: `LinkCreate` is what `BPF_LINK_CREATE` takes; it holds no address.
    let fd = unsafe { bpf(Command::LinkCreate, &mut attr) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { own(fd) })
}

/// Replaces the function with that id in the BTF of `target` by `program`.
pub(in crate::kernel::linux) fn replace_function(
    program: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    type_id: u32,
) -> Answer<OwnedFd> {
    let mut attr = abi::LinkCreate {
        prog_fd: number(program),
        target: number(target),
        // `target_btf_id` lies where `tcx.relative_fd` does.
        relative_fd: type_id,
        ..abi::LinkCreate::default()
    };
    // SAFETY: `LinkCreate` is what `BPF_LINK_CREATE` takes; it holds no address.
    let fd = unsafe { bpf(Command::LinkCreate, &mut attr) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { own(fd) })
}

/// Swaps the program of `link`, or the map with its operations; with `old`, only if the link runs that
/// one.
pub(in crate::kernel::linux) fn update_link(
    link: BorrowedFd<'_>,
    new: BorrowedFd<'_>,
    old: Option<BorrowedFd<'_>>,
) -> Answer<()> {
    let mut attr = abi::LinkUpdate {
        link_fd: number(link),
        new_prog_fd: number(new),
        flags: if old.is_some() { flags::REPLACE } else { 0 },
        old_prog_fd: old.map_or(0, number),
    };
    // SAFETY: `LinkUpdate` is what `BPF_LINK_UPDATE` takes; it holds no address.
    unsafe { bpf(Command::LinkUpdate, &mut attr) }.map(drop)
}

/// Detaches `link` from what it is attached to; it stays, and does nothing any more.
pub(in crate::kernel::linux) fn detach_link(link: BorrowedFd<'_>) -> Answer<()> {
    let mut attr = abi::LinkDetach { link_fd: number(link) };
    // SAFETY: `LinkDetach` is what `BPF_LINK_DETACH` takes; it holds no address.
    unsafe { bpf(Command::LinkDetach, &mut attr) }.map(drop)
}

/// Most programs at one hook (`BPF_MPROG_MAX`).
const PROGRAMS_MAX: usize = 64;

/// One program at a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernel::linux) struct Attached {
    pub(in crate::kernel::linux) program_id: u32,
    /// `None` for what is attached without a link.
    pub(in crate::kernel::linux) link_id: Option<u32>,
}

/// The programs at a hook, in the order in which they run.
#[derive(Clone, Debug, Default)]
pub(in crate::kernel::linux) struct Chain {
    pub(in crate::kernel::linux) attached: Vec<Attached>,
    /// Counts the changes of the hook.
    pub(in crate::kernel::linux) revision: u64,
}

/// The programs at a hook of an interface of this network namespace that several share
/// (`bpf_mprog_query`): tcx, `EINVAL` before Linux 6.6, or netkit, before 6.7.
pub(in crate::kernel::linux) fn query_chain(
    interface: u32,
    attach_type: AttachType,
) -> Answer<Chain> {
    let (mut programs, mut links) = ([0_u32; PROGRAMS_MAX], [0_u32; PROGRAMS_MAX]);
    let mut attr = abi::ProgQuery {
        target: interface,
        attach_type: attach_type.0,
        prog_ids: address_mut(&mut programs),
        count: length(&programs)?,
        link_ids: address_mut(&mut links),
        ..abi::ProgQuery::default()
    };
    // SAFETY: `ProgQuery` is what `BPF_PROG_QUERY` takes; both its addresses are of arrays of `count`
    // writable ids that outlive the call, and the others are zero.
    unsafe { bpf(Command::ProgQuery, &mut attr) }?;
    let count = usize::try_from(attr.count).map_err(|_beyond| Errno::OVERFLOW)?;
    let attached = programs.into_iter().zip(links).take(count);
    let attached = attached
        .map(|(program_id, link)| Attached { program_id, link_id: (link != 0).then_some(link) })
        .collect();
    Ok(Chain { attached, revision: attr.revision })
}

/// Attaches a raw tracepoint program to the tracepoint `name`, or one loaded for a tracepoint or function
/// to that. A cookie other than 0 needs Linux 6.10.
pub(in crate::kernel::linux) fn open_raw_tracepoint(
    program: BorrowedFd<'_>,
    name: Option<&CStr>,
    cookie: u64,
) -> Answer<OwnedFd> {
    let mut attr = abi::RawTracepointOpen {
        name: name.map_or(0, |name| address(name.to_bytes_with_nul())),
        prog_fd: number(program),
        pad: 0,
        cookie,
    };
    // SAFETY: `RawTracepointOpen` is what `BPF_RAW_TRACEPOINT_OPEN` takes; `name` is zero or the
    // address of NUL-terminated text that outlives the call.
    let fd = unsafe { bpf(Command::RawTracepointOpen, &mut attr) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { own(fd) })
}
