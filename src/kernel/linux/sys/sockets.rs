//! Programs of maps of sockets: `BPF_PROG_ATTACH`, `BPF_PROG_DETACH` and `BPF_PROG_QUERY`.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::abi::{self, Command};
use super::{Answer, address_mut, bpf, number, own};
use crate::model::kinds::AttachType;

/// Attaches `program` to `map`, in the place of whatever is there (`sock_map_get_from_fd` in
/// `net/core/sock_map.c`).
pub(in crate::kernel::linux) fn attach_to_sockets(
    map: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    attach_type: AttachType,
) -> Answer<()> {
    let mut attr = place(map, program, attach_type);
    // SAFETY: `ProgAttach` is what `BPF_PROG_ATTACH` takes; it holds no address.
    unsafe { bpf(Command::ProgAttach, &mut attr) }.map(drop)
}

/// Detaches `program` from `map`, `ENOENT` if another is attached or none (`sock_map_prog_detach`).
pub(in crate::kernel::linux) fn detach_from_sockets(
    map: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    attach_type: AttachType,
) -> Answer<()> {
    let mut attr = place(map, program, attach_type);
    // SAFETY: `ProgAttach` is what `BPF_PROG_DETACH` takes; it holds no address.
    unsafe { bpf(Command::ProgDetach, &mut attr) }.map(drop)
}

fn place(map: BorrowedFd<'_>, program: BorrowedFd<'_>, attach_type: AttachType) -> abi::ProgAttach {
    abi::ProgAttach {
        target_fd: number(map),
        attach_bpf_fd: number(program),
        attach_type: attach_type.0,
        attach_flags: 0,
    }
}

/// The id of the program attached to `map`; `EINVAL` before Linux 5.18 (`sock_map_bpf_prog_query`).
pub(in crate::kernel::linux) fn program_of_sockets(
    map: BorrowedFd<'_>,
    attach_type: AttachType,
) -> Answer<Option<u32>> {
    let mut programs = [0_u32; 1];
    let mut attr = abi::ProgQuery {
        target: number(map),
        attach_type: attach_type.0,
        prog_ids: address_mut(&mut programs),
        count: 1,
        ..abi::ProgQuery::default()
    };
    // SAFETY: `ProgQuery` is what `BPF_PROG_QUERY` takes; its one address is of an array of `count`
    // writable ids that outlives the call, and the others are zero.
    unsafe { bpf(Command::ProgQuery, &mut attr) }?;
    let [program] = programs;
    Ok((attr.count != 0 && program != 0).then_some(program))
}

/// Whether the kernel has links to maps of sockets: one that has not, does not look at the descriptor.
pub(in crate::kernel::linux) fn has_socket_links(program: BorrowedFd<'_>) -> bool {
    let mut attr = abi::LinkCreate {
        prog_fd: number(program),
        target: u32::MAX,
        attach_type: AttachType::SK_MSG_VERDICT.0,
        ..abi::LinkCreate::default()
    };
    // SAFETY: `LinkCreate` is what `BPF_LINK_CREATE` takes; it holds no address.
    match unsafe { bpf(Command::LinkCreate, &mut attr) } {
        // No descriptor has that number, so nothing is made.
        Err(errno) => errno == Errno::BADF,
        Ok(fd) => {
            // SAFETY: the kernel has just made this descriptor for us.
            drop(unsafe { own(fd) });
            true
        }
    }
}
