//! Attachments that a descriptor of a process keeps in place: what perf events have before Linux 5.15.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::io::Errno;

use super::super::error::ENOTSUPP;
use super::super::{KernelError, Result};
use super::handle::Handle;
use super::probe::{self, By};
use super::{attach, sys};
use crate::model::attach::Attachment;
use crate::model::identity::ObjectKind;
use crate::model::live::{Descriptor, LiveHeld};
use crate::model::program::ProgramSpec;

/// A perf event that runs a program until it is dropped.
#[derive(Debug)]
pub struct Held(OwnedFd);

impl Held {
    /// What others see of it.
    pub(super) fn descriptor(&self) -> Result<Descriptor> {
        const OPERATION: &str = "look when this process started";
        // A thread may have descriptors of its own; that of the main thread is the process's.
        let pid = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
        let started = started(pid)
            .ok_or_else(|| KernelError::reason(OPERATION, "/proc does not tell: is it mounted?"))?;
        Ok(Descriptor { pid, started, number: sys::number(self.0.as_fd()) })
    }
}

/// Attaches `program` to a perf event.
pub(super) fn attach(
    program: &Handle,
    spec: &ProgramSpec,
    attachment: &Attachment,
    maps: &BTreeMap<&str, &Handle>,
) -> Result<Held> {
    let operation = format!("attach program `{}` to {attachment}", spec.name);
    let failed = |errno| KernelError::errno(operation.as_str(), errno);
    let program = program.expect(ObjectKind::Program).map_err(failed)?;
    let event = if let Attachment::Tracepoint { .. } = attachment {
        let event = attach::tracepoint(attachment, &operation)?;
        sys::set_event_program(event.as_fd(), program)
            .map_err(|errno| attach::refused(attachment, &operation, errno))?;
        event
    } else {
        let attach_type = spec.kind.as_ref().and_then(|kind| kind.attach_type);
        let by = By::Event;
        let call = probe::Call { operation: &operation, program, attach_type, maps, by };
        probe::attach(&call, attachment)?
    };
    Ok(Held(event))
}

/// Whether the attachment is there: the process is the one that made it, and what it has open under that
/// number runs a program.
pub(super) fn look(descriptor: &Descriptor) -> Result<Option<LiveHeld>> {
    if started(descriptor.pid) != Some(descriptor.started) {
        return Ok(None);
    }
    match sys::event_program(descriptor.pid, descriptor.number) {
        Ok(program_id) => Ok(Some(LiveHeld { program_id: Some(program_id) })),
        Err(Errno::OPNOTSUPP | Errno::PERM) => Ok(Some(LiveHeld { program_id: None })),
        Err(Errno::NOENT | Errno::BADF | Errno::SRCH) => Ok(None),
        Err(errno) if errno.raw_os_error() == ENOTSUPP => Ok(None),
        Err(errno) => {
            let of = format!("look at descriptor {} of pid {}", descriptor.number, descriptor.pid);
            Err(KernelError::errno(of, errno))
        }
    }
}

/// When a process started, in clock ticks since the boot: the 22nd field of `/proc/<pid>/stat`.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The second field is the name in parentheses, which may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}
