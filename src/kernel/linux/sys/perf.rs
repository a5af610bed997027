//! `perf_event_open(2)`, for tracepoints.

use std::os::fd::OwnedFd;

use super::abi::PerfEvent;
use super::{Answer, check, own};

/// `PERF_TYPE_TRACEPOINT`.
const TRACEPOINT: u32 = 2;
/// `PERF_FLAG_FD_CLOEXEC`.
const CLOSE_ON_EXEC: libc::c_ulong = 1 << 3;

/// Opens the tracepoint with that id (`events/<category>/<name>/id` in tracefs).
///
/// The event itself counts one CPU and every process; a program attached to it runs on all CPUs.
pub(in crate::kernel::linux) fn open_tracepoint_event(id: u64) -> Answer<OwnedFd> {
    let size = u32::try_from(size_of::<PerfEvent>()).unwrap_or_default();
    let event = PerfEvent { event_type: TRACEPOINT, size, config: id, ..PerfEvent::default() };
    let (any_process, first_cpu, no_group): (libc::pid_t, libc::c_int, libc::c_int) = (-1, 0, -1);
    // SAFETY: `event` is a `perf_event_attr` of the size it states, and outlives the call.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            std::ptr::from_ref(&event),
            any_process,
            first_cpu,
            no_group,
            CLOSE_ON_EXEC,
        )
    };
    let fd = check(answer)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { own(fd) })
}
