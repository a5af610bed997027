//! bpf(2) and `perf_event_open(2)`, each call behind a function that cannot be misused.
//!
//! The only room with `unsafe`. It knows the layout of the kernel's structures and nothing else: no
//! names, no advice, no policy. Everything else a host offers is asked through `rustix`.
#![expect(unsafe_code, reason = "bpf(2) and perf_event_open(2) have no safe wrapper")]

mod abi;
mod arena;
mod elements;
mod info;
mod link;
mod load;
mod mapped;
mod memlock;
mod operations;
mod perf;
mod pin;
mod probe;
mod sockets;
mod wait;

use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use rustix::io::Errno;

pub(super) use abi::flags;
pub(super) use arena::map_arena;
pub(super) use elements::{Batch, Elements};
pub(super) use info::{
    LinkName, MapInfo, btf_bytes, btf_id, kernel_btf_name, kind, link_info, link_name, map_info,
    next_btf_id, next_link, open_btf, open_link, open_map, open_program, program_info,
    program_map_ids, program_statistics,
};
pub(super) use link::{
    Attached, Beside, LinkTarget, NetfilterHook, create_link, create_netfilter_link,
    create_ordered_link, detach_link, link_operations, open_raw_tracepoint, query_chain,
    replace_function, update_link,
};
pub(super) use load::{
    JUMP_TARGET_SIZE, MapAttributes, MapTypes, ProgramAttributes, ProgramBtf, bind_map, create_map,
    freeze_map, has_attach_cookie, load_btf, load_event_program, load_multi_probe, load_program,
    load_socket_program, set_array_value, set_jump_target, set_slot,
};
pub(super) use mapped::{Mapped, map_kernel_btf};
pub(super) use operations::{OperationsState, delete_operations, operations_state, set_operations};
pub(super) use perf::{
    CounterType, ProbeType, Sampling, Scope, event_program, open_counter, open_kprobe,
    open_tracepoint_event, open_uprobe, set_event_program,
};
pub(super) use pin::{object_at, pin};
pub(super) use probe::{
    IterLimit, UserPlace, has_event_links, link_event, link_function, link_iterator,
    link_kernel_functions, link_user_places, try_kernel_functions,
};
pub(super) use sockets::{
    attach_to_sockets, detach_from_sockets, has_socket_links, program_of_sockets,
};
pub(super) use wait::wait_for_programs;

use abi::Command;

/// What a system call answers.
pub(super) type Answer<T> = Result<T, Errno>;

/// Calls bpf(2) with the whole of `attr`, again when a signal came in between.
///
/// A kernel whose `union bpf_attr` ends earlier takes the longer one as long as what it does not
/// know is zero (`bpf_check_uarg_tail_zero` in `kernel/bpf/syscall.c`), so a structure can always be
/// passed whole.
///
/// # Safety
/// `A` is the layout that `command` takes, without uninitialised padding, and every address in it is
/// valid for what the kernel reads or writes there.
unsafe fn bpf<A>(command: Command, attr: &mut A) -> Answer<i32> {
    loop {
        // SAFETY: the caller's promise.
        match unsafe { bpf_once(command, attr) } {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Calls bpf(2) as [`bpf`] does, but not again.
///
/// # Safety
/// As for [`bpf`].
unsafe fn bpf_once<A>(command: Command, attr: &mut A) -> Answer<i32> {
    // SAFETY: `attr` is a live, exclusive reference to `size_of::<A>()` bytes; what the kernel does
    // with their contents is the caller's promise.
    check(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            std::ptr::from_mut(attr),
            size_of::<A>(),
        )
    })
}

/// Calls bpf(2) for what the kernel may count as locked memory: refused (`EPERM`, as `bpf_charge_memlock`
/// answers), again with a higher limit. libbpf probes whether the kernel counts so
/// (`bump_rlimit_memlock`); that costs a call at every start, where almost no kernel does.
///
/// # Safety
/// As for [`bpf`].
unsafe fn bpf_charged<A>(command: Command, attr: &mut A) -> Answer<i32> {
    // SAFETY: the caller's promise.
    match unsafe { bpf(command, attr) } {
        // SAFETY: the caller's promise.
        Err(Errno::PERM) if memlock::raise() => unsafe { bpf(command, attr) },
        answer => answer,
    }
}

/// The answer of `syscall(2)`: a number that is not negative, or the thread's errno.
fn check(answer: libc::c_long) -> Answer<i32> {
    if answer < 0 {
        let error = std::io::Error::last_os_error();
        return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO));
    }
    i32::try_from(answer).map_err(|_beyond| Errno::OVERFLOW)
}

/// Takes a file descriptor the kernel has just made.
///
/// # Safety
/// `number` is open and belongs to nobody else.
unsafe fn own(number: RawFd) -> OwnedFd {
    // SAFETY: the caller's promise.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// A file descriptor as the kernel's structures hold it; open ones are never negative.
pub(super) fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().unsigned_abs()
}

/// The address of a buffer as the kernel's structures hold it.
fn address<T>(buffer: &[T]) -> u64 {
    buffer.as_ptr().expose_provenance() as u64
}

/// The address of a buffer that the kernel writes.
fn address_mut<T>(buffer: &mut [T]) -> u64 {
    buffer.as_mut_ptr().expose_provenance() as u64
}

/// The number of elements of a buffer as the kernel's structures hold it.
fn length<T>(buffer: &[T]) -> Answer<u32> {
    u32::try_from(buffer.len()).map_err(|_beyond| Errno::TOOBIG)
}

/// Text that the kernel ended with NUL, or that fills its field.
pub(super) fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(field.get(..end).unwrap_or_default()).into_owned()
}
