//! `perf_event_open(2)`: tracepoints, counters, and probes of one place.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::ioctl::{self, IntegerSetter};

use super::abi::{self, Command, PerfEvent};
use super::{Answer, address, bpf, check, number, own};

/// `PERF_TYPE_TRACEPOINT`.
const TRACEPOINT: u32 = 2;
/// `PERF_FLAG_FD_CLOEXEC`.
const CLOSE_ON_EXEC: libc::c_ulong = 1 << 3;
/// `perf_event_attr.freq`: the period is a frequency.
const FREQUENCY: u64 = 1 << 10;
/// `PERF_UPROBE_REF_CTR_OFFSET_SHIFT`.
const COUNTER_SHIFT: u32 = 32;

/// Whose events are counted, and on which CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernel::linux) enum Scope {
    /// Of every process, counted on this CPU.
    Cpu(u32),
    /// Of this thread, on this CPU or on all.
    Thread(u32, Option<u32>),
}

/// A type of events for probes of functions, as the kernel numbers it (`/sys/bus/event_source/devices`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernel::linux) struct ProbeType {
    pub(in crate::kernel::linux) number: u32,
    /// Which bit of `config` means the function's return.
    pub(in crate::kernel::linux) return_bit: u32,
}

impl ProbeType {
    fn config(self, returns: bool) -> u64 {
        if returns { 1_u64.checked_shl(self.return_bit).unwrap_or_default() } else { 0 }
    }
}

/// Opens the tracepoint with that id (`events/<category>/<name>/id` in tracefs).
///
/// The event itself counts one CPU and every process; a program attached to it runs on all CPUs.
pub(in crate::kernel::linux) fn open_tracepoint_event(id: u64) -> Answer<OwnedFd> {
    let event = PerfEvent { event_type: TRACEPOINT, config: id, ..PerfEvent::default() };
    // SAFETY: events of this type take no address.
    unsafe { open(event, Scope::Cpu(0)) }
}

/// When a counter gives notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernel::linux) struct Sampling {
    /// Once in so many events, or so many times a second.
    pub(in crate::kernel::linux) value: u64,
    pub(in crate::kernel::linux) is_frequency: bool,
}

/// Opens a counter: `PERF_TYPE_HARDWARE`, `PERF_TYPE_SOFTWARE` or `PERF_TYPE_RAW`.
pub(in crate::kernel::linux) fn open_counter(
    event_type: CounterType,
    config: u64,
    sampling: Sampling,
    scope: Scope,
) -> Answer<OwnedFd> {
    let event = PerfEvent {
        event_type: event_type as u32,
        config,
        sample_period: sampling.value,
        flags: if sampling.is_frequency { FREQUENCY } else { 0 },
        ..PerfEvent::default()
    };
    // SAFETY: counters take no address.
    unsafe { open(event, scope) }
}

/// `enum perf_type_id`, of those that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(in crate::kernel::linux) enum CounterType {
    Hardware = 0,
    Software = 1,
    Raw = 4,
}

/// Opens a probe of an instruction of a file, at an offset in it. `counter` is the offset of the word by
/// which the program knows that it is watched; 0 for none.
pub(in crate::kernel::linux) fn open_uprobe(
    probe: ProbeType,
    path: &CStr,
    (offset, counter): (u64, u64),
    returns: bool,
    thread: Option<u32>,
) -> Answer<OwnedFd> {
    let event = PerfEvent {
        event_type: probe.number,
        config: probe.config(returns) | counter << COUNTER_SHIFT,
        config1: address(path.to_bytes_with_nul()),
        config2: offset,
        ..PerfEvent::default()
    };
    let scope = thread.map_or(Scope::Cpu(0), |thread| Scope::Thread(thread, None));
    // SAFETY: such events take the address of NUL-terminated text in `config1`, which outlives the call.
    unsafe { open(event, scope) }
}

/// Opens a probe of a kernel function, or of an instruction at an offset in it.
pub(in crate::kernel::linux) fn open_kprobe(
    probe: ProbeType,
    function: &CStr,
    offset: u64,
    returns: bool,
) -> Answer<OwnedFd> {
    let event = PerfEvent {
        event_type: probe.number,
        config: probe.config(returns),
        config1: address(function.to_bytes_with_nul()),
        config2: offset,
        ..PerfEvent::default()
    };
    // SAFETY: such events take the address of NUL-terminated text in `config1`, which outlives the call.
    unsafe { open(event, Scope::Cpu(0)) }
}

/// Attaches `program` to `event`, which takes one (`PERF_EVENT_IOC_SET_BPF`). It is attached as long as a
/// descriptor of the event is open. The events that are opened here are enabled from the beginning.
pub(in crate::kernel::linux) fn set_event_program(
    event: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
) -> Answer<()> {
    const SET_BPF: ioctl::Opcode = ioctl::opcode::write::<u32>(b'$', 8);
    let program = usize::try_from(number(program)).map_err(|_beyond| Errno::BADF)?;
    // SAFETY: the request takes a descriptor as its argument, by value.
    unsafe { ioctl::ioctl(event, IntegerSetter::<SET_BPF>::new_usize(program)) }
}

/// The kernel id of the program that an event runs, of which process `pid` has the descriptor `fd`
/// (`BPF_TASK_FD_QUERY`; the id is `event->prog` of a tracepoint or a probe). Of a counter that runs one
/// it is `EOPNOTSUPP`, of other files `ENOTSUPP` (524), without `CAP_SYS_ADMIN` `EPERM`.
pub(in crate::kernel::linux) fn event_program(pid: u32, fd: u32) -> Answer<u32> {
    let mut attr = abi::TaskFdQuery { pid, fd, ..abi::TaskFdQuery::default() };
    // SAFETY: `TaskFdQuery` is what `BPF_TASK_FD_QUERY` takes; with no buffer it holds no address.
    unsafe { bpf(Command::TaskFdQuery, &mut attr) }?;
    Ok(attr.prog_id)
}

/// Opens an event.
///
/// # Safety
/// What the type of the event takes as an address, is one of what the type says.
unsafe fn open(event: PerfEvent, scope: Scope) -> Answer<OwnedFd> {
    let size = u32::try_from(size_of::<PerfEvent>()).unwrap_or_default();
    let event = PerfEvent { size, ..event };
    let signed = |number: u32| libc::c_int::try_from(number).unwrap_or(libc::c_int::MAX);
    let (thread, cpu): (libc::pid_t, libc::c_int) = match scope {
        Scope::Cpu(cpu) => (-1, signed(cpu)),
        Scope::Thread(thread, cpu) => (signed(thread), cpu.map_or(-1, signed)),
    };
    let no_group: libc::c_int = -1;
    // SAFETY: `event` is a `perf_event_attr` of the size it states, and outlives the call; the addresses
    // in it are the caller's promise.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            std::ptr::from_ref(&event),
            thread,
            cpu,
            no_group,
            CLOSE_ON_EXEC,
        )
    };
    let fd = check(answer)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { own(fd) })
}
