//! Attaching programs by links, and swapping the programs of links.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::super::{KernelError, Result};
use super::handle::Handle;
use super::sys::{self, Answer, LinkTarget, flags};
use super::{
    capability, interface, occupant, probe, replaced, since, struct_ops, target, tracefs, xdp,
};
use crate::model::attach::{Attachment, Position, XdpMode};
use crate::model::identity::ObjectKind;
use crate::model::kinds::{AttachType, LinkType};
use crate::model::program::ProgramSpec;

/// Attaches `program`, with the maps that the hook needs; the link lives as long as what is returned, or
/// its pin.
pub(super) fn attach(
    program: &Handle,
    spec: &ProgramSpec,
    attachment: &Attachment,
    maps: &BTreeMap<&str, &Handle>,
) -> Result<Handle> {
    let operation = format!("attach program `{}` to {attachment}", spec.name);
    let call = Call { operation: &operation, attachment };
    let program = program.expect(ObjectKind::Program).map_err(|errno| call.refused(errno))?;
    let link = match attachment {
        Attachment::Xdp { interface, mode } => {
            let index = call.interface(interface)?;
            let link = sys::create_link(
                program,
                LinkTarget::Interface(index),
                AttachType::XDP,
                xdp::flags(*mode),
            );
            link.map_err(|errno| call.xdp_refused(errno, index, *mode))?
        }
        Attachment::Tcx { interface, direction, position } => {
            let index = LinkTarget::Interface(call.interface(interface)?);
            sys::create_link(program, index, direction.tcx_type(), tcx_flags(*position))
                .map_err(|errno| call.refused(errno))?
        }
        Attachment::Cgroup { path } => {
            let Some(attach_type) = spec.kind.as_ref().and_then(|kind| kind.attach_type) else {
                return Err(KernelError::reason(
                    operation.as_str(),
                    format!("section `{}` does not say which hook of a cgroup", spec.section),
                )
                .advice("name one in the section, such as `cgroup_skb/ingress`"));
            };
            let directory = target::cgroup(path, &operation)?;
            sys::create_link(program, LinkTarget::File(directory.as_fd()), attach_type, 0)
                .map_err(|errno| call.refused(errno))?
        }
        Attachment::Tracepoint { category, name, cookie } => {
            let id = tracefs::event_id(category, name).map_err(|missing| {
                KernelError::reason(operation.as_str(), missing.reason(category, name))
            })?;
            let event = sys::open_tracepoint_event(id).map_err(|errno| call.refused(errno))?;
            sys::link_event(program, event.as_fd(), cookie.unwrap_or(0))
                .map_err(|errno| call.refused(errno))?
        }
        Attachment::RawTracepoint { name, cookie } => {
            raw_tracepoint(program, name, *cookie).map_err(|errno| call.refused(errno))?
        }
        // The program was loaded for its tracepoint or function, so it is not named again.
        Attachment::TpBtf { .. } | Attachment::Freplace { .. } => {
            let cookie = attachment.cookie().unwrap_or(0);
            sys::open_raw_tracepoint(program, None, cookie).map_err(|errno| call.refused(errno))?
        }
        Attachment::Fentry(_)
        | Attachment::Fexit(_)
        | Attachment::FmodRet(_)
        | Attachment::Lsm(_)
        | Attachment::LsmCgroup { .. }
        | Attachment::Kprobe(_)
        | Attachment::Kretprobe(_)
        | Attachment::Uprobe(_)
        | Attachment::Uretprobe(_)
        | Attachment::Usdt(_)
        | Attachment::PerfEvent(_)
        | Attachment::Iter(_) => {
            let attach_type = spec.kind.as_ref().and_then(|kind| kind.attach_type);
            let call = probe::Call { operation: &operation, program, attach_type, maps };
            probe::attach(&call, attachment)?
        }
        Attachment::FreplacePinned { pin, function } => {
            replaced::attach(program, (pin, function), &operation)?
                .map_err(|errno| call.refused(errno))?
        }
        Attachment::Tc { .. } | Attachment::StructOps { .. } => {
            return Err(KernelError::reason(
                operation,
                "no program is attached to this hook by a link",
            ));
        }
    };
    Handle::of_kind(link, ObjectKind::Link).map_err(|errno| call.refused(errno))
}

/// Detaches `link` from what it is attached to.
pub(super) fn detach(link: &Handle) -> Result<()> {
    let failed = |errno| KernelError::errno("detach the link", errno);
    let fd = link.expect(ObjectKind::Link).map_err(failed)?;
    sys::detach_link(fd).map_err(|errno| match errno {
        Errno::OPNOTSUPP => {
            failed(errno).advice("links of this type end with their last reference")
        }
        Errno::INVAL => failed(errno).advice("Linux detaches links since 5.9"),
        _ => failed(errno),
    })
}

/// Swaps the program of `link` atomically; with `old`, only if the link runs that one.
pub(super) fn update(link: &Handle, new: &Handle, old: Option<&Handle>) -> Result<()> {
    const OPERATION: &str = "update the link";
    let failed = |errno| KernelError::errno(OPERATION, errno);
    let fd = link.expect(ObjectKind::Link).map_err(failed)?;
    if new.kind() == ObjectKind::Map {
        return struct_ops::update(fd, new, old);
    }
    let program = new.expect(ObjectKind::Program).map_err(failed)?;
    let info = sys::link_info(fd).map_err(failed)?;
    // The kernel does not compare attach types of cgroup and tcx links: a program for one hook would
    // run at the other.
    let runs_at = match info.link_type {
        LinkType::CGROUP => Some(info.cgroup_attach_type()),
        LinkType::TCX => Some(info.interface_attach_type()),
        _ => None,
    };
    if let (Some(runs_at), Some(made_for)) = (runs_at, new.attach_type())
        && runs_at != made_for
    {
        return Err(KernelError::reason(
            OPERATION,
            format!("the program is made for {made_for} and the link is at {runs_at}"),
        ));
    }
    let answer = sys::update_link(fd, program, old.map(Handle::as_fd));
    answer.map_err(|errno| {
        let error = failed(errno);
        match errno {
            Errno::PERM if old.is_some() => error.advice(
                "the link runs another program than it was thought to: somebody else changed it",
            ),
            Errno::EXIST => error.advice("the program is at this hook already by another link"),
            Errno::NOLINK => error.advice("its interface or cgroup has gone; attach anew"),
            Errno::INVAL | Errno::OPNOTSUPP => error.advice(format!(
                "links of type {} cannot be updated, or not with a program of this type",
                info.link_type
            )),
            _ => error,
        }
    })
}

fn raw_tracepoint(program: BorrowedFd<'_>, name: &str, cookie: Option<u64>) -> Answer<OwnedFd> {
    let name = CString::new(name).map_err(|_nul| Errno::NOENT)?;
    sys::open_raw_tracepoint(program, Some(&name), cookie.unwrap_or(0))
}

/// Without a program to be relative to, `BEFORE` is before all and `AFTER` is after all.
fn tcx_flags(position: Option<Position>) -> u32 {
    match position {
        Some(Position::First) => flags::BEFORE,
        Some(Position::Last) | None => flags::AFTER,
    }
}

/// One attachment under way, for its errors.
struct Call<'a> {
    operation: &'a str,
    attachment: &'a Attachment,
}

impl Call<'_> {
    fn interface(&self, name: &str) -> Result<u32> {
        interface::index(name).map_err(|errno| target::interface_error(self.operation, name, errno))
    }

    fn xdp_refused(&self, errno: Errno, index: u32, mode: XdpMode) -> KernelError {
        let error = KernelError::errno(self.operation, errno);
        match errno {
            Errno::BUSY => error.advice(occupant::of_xdp(index, mode)),
            Errno::OPNOTSUPP if mode == XdpMode::Native => error.advice(
                "the interface's driver does not run XDP itself; use mode `generic` or `auto`",
            ),
            Errno::OPNOTSUPP | Errno::INVAL if mode == XdpMode::Offload => error.advice(
                "only a few cards run XDP themselves, and the program must be loaded for the card; \
                 use mode `native` or `auto`",
            ),
            Errno::INVAL | Errno::RANGE => error.advice(
                "the interface's mode does not allow XDP: MTU, LRO or header split (`ethtool -k`), \
                 a program without `xdp.frags` on a large MTU, or a kernel before 5.9, which has no \
                 XDP links",
            ),
            _ => self.refused(errno),
        }
    }

    fn refused(&self, errno: Errno) -> KernelError {
        let error = KernelError::errno(self.operation, errno);
        let advice = match (errno, self.attachment) {
            (Errno::PERM | Errno::ACCESS, attachment) => match attachment {
                Attachment::Tracepoint { .. }
                | Attachment::RawTracepoint { .. }
                | Attachment::TpBtf { .. } => capability::advice(CapabilitySet::PERFMON),
                _ => capability::advice(CapabilitySet::NET_ADMIN),
            },
            (Errno::NODEV, _) => "the interface has gone meanwhile".to_owned(),
            (Errno::NOENT, Attachment::RawTracepoint { name, .. }) => {
                format!("the kernel has no tracepoint `{name}`")
            }
            (Errno::BUSY, Attachment::Freplace { .. } | Attachment::FreplacePinned { .. }) => {
                "the function is replaced by another program already, or traced (fentry, fexit)"
                    .to_owned()
            }
            (Errno::INVAL, Attachment::FreplacePinned { .. }) => {
                "the function has other arguments or another result than what replaces it, or its \
                 program is of another type than the one it was loaded for"
                    .to_owned()
            }
            (Errno::EXIST, Attachment::Tcx { .. }) => {
                "the same program is at this hook already, and tcx takes each once".to_owned()
            }
            (Errno::INVAL, Attachment::Tcx { .. }) => {
                "tcx links need Linux 6.6; use hook `tc` before that".to_owned()
            }
            (
                Errno::INVAL | Errno::TOOBIG,
                Attachment::RawTracepoint { cookie: Some(_), .. }
                | Attachment::TpBtf { cookie: Some(_), .. },
            ) => format!(
                "the running kernel has no cookies of raw tracepoints; {}",
                since::compare((6, 10), since::running())
            ),
            (Errno::INVAL, Attachment::Tracepoint { .. }) => {
                "links to tracepoints need Linux 5.15; or the program reads beyond the \
                 tracepoint's fields"
                    .to_owned()
            }
            (Errno::INVAL, Attachment::Cgroup { .. }) => {
                "cgroup links need Linux 5.7; or the program's type does not fit its section"
                    .to_owned()
            }
            _ => return error,
        };
        error.advice(advice)
    }
}
