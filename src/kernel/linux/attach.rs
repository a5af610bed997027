//! Attaching programs by links, and swapping the programs of links.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::super::{KernelError, Result};
use super::handle::Handle;
use super::mprog::Hook;
use super::sys::{self, Answer, LinkTarget};
use super::{
    capability, interface, netfilter, netns, occupant, probe, replaced, since, sockets, struct_ops,
    target, tracefs, xdp,
};
use crate::model::attach::{Attachment, XdpMode};
use crate::model::identity::ObjectKind;
use crate::model::kinds::{AttachType, LinkType};
use crate::model::program::ProgramSpec;
use crate::model::release::Release;

/// Attaches `program`, with the other objects that the hook names; the link lives as long as what is
/// returned, or its pin.
pub(super) fn attach(
    program: &Handle,
    spec: &ProgramSpec,
    attachment: &Attachment,
    others: &BTreeMap<&str, &Handle>,
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
            link.map_err(|errno| call.xdp_refused(errno, (interface, index), *mode))?
        }
        Attachment::Tcx { interface, direction, position } => {
            let hook = call.hook(interface, direction.tcx_type())?;
            let link = hook.attach(program, position.as_ref(), others)?;
            link.map_err(|errno| call.refused(errno))?
        }
        Attachment::Netkit { interface, side, position } => {
            let hook = call.hook(interface, side.attach_type())?;
            let link = hook.attach(program, position.as_ref(), others)?;
            link.map_err(|errno| call.refused(errno))?
        }
        Attachment::Cgroup { .. } | Attachment::CgroupUnit { .. } => {
            let attach_type = call.attach_type(spec, "name one, such as `cgroup_skb/ingress`")?;
            let directory =
                target::cgroup(&target::cgroup_path(attachment, &operation)?, &operation)?;
            call.link(program, directory.as_fd(), attach_type)?
        }
        Attachment::SkLookup { netns } => {
            let namespace = netns::namespace(netns.as_deref(), &operation)?;
            call.link(program, namespace.as_fd(), AttachType::SK_LOOKUP)?
        }
        Attachment::FlowDissector { netns } => {
            let namespace = netns::namespace(netns.as_deref(), &operation)?;
            call.link(program, namespace.as_fd(), AttachType::FLOW_DISSECTOR)?
        }
        Attachment::Sockmap { map, .. } => {
            let attach_type = call.attach_type(spec, "name one, such as `sk_skb/verdict`")?;
            let map = others.get(map.as_str()).ok_or_else(|| call.refused(Errno::BADF))?;
            sockets::is_free(map, attach_type, &operation)?;
            let map = map.expect(ObjectKind::Map).map_err(|errno| call.refused(errno))?;
            call.link(program, map, attach_type)?
        }
        Attachment::Netfilter { family, at, priority, defrag } => {
            netfilter::attach(program, *family, *at, *priority, *defrag)
                .map_err(|errno| call.refused(errno))?
        }
        Attachment::Tracepoint { cookie, .. } => {
            let event = tracepoint(attachment, &operation)?;
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
        | Attachment::Fsession(_)
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
            let (maps, by) = (others, probe::By::Link);
            let call = probe::Call { operation: &operation, program, attach_type, maps, by };
            probe::attach(&call, attachment)?
        }
        Attachment::FreplacePinned { pin, function } => {
            replaced::attach(program, (pin, function), &operation)?
                .map_err(|errno| call.refused(errno))?
        }
        Attachment::Tc { .. } | Attachment::XdpShared { .. } | Attachment::StructOps { .. } => {
            return Err(KernelError::reason(
                operation,
                "no program is attached to this hook by a link",
            ));
        }
    };
    Handle::of_kind(link, ObjectKind::Link).map_err(|errno| call.refused(errno))
}

/// Opens the event of a tracepoint.
pub(super) fn tracepoint(attachment: &Attachment, operation: &str) -> Result<OwnedFd> {
    let Attachment::Tracepoint { category, name, .. } = attachment else {
        return Err(KernelError::reason(operation, "it is no tracepoint"));
    };
    let id = tracefs::event_id(category, name)
        .map_err(|missing| KernelError::reason(operation, missing.reason(category, name)))?;
    sys::open_tracepoint_event(id).map_err(|errno| refused(attachment, operation, errno))
}

/// The refusal of an attachment, with advice.
pub(super) fn refused(attachment: &Attachment, operation: &str, errno: Errno) -> KernelError {
    Call { operation, attachment }.refused(errno)
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
        LinkType::TCX | LinkType::NETKIT => Some(info.interface_attach_type()),
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
            Errno::NOLINK => error.advice("what it was attached to has gone; attach anew"),
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

/// One attachment under way, for its errors.
struct Call<'a> {
    operation: &'a str,
    attachment: &'a Attachment,
}

impl Call<'_> {
    fn interface(&self, name: &str) -> Result<u32> {
        interface::index(name).map_err(|errno| target::interface_error(self.operation, name, errno))
    }

    /// The hook of an interface that several programs share.
    fn hook(&self, interface: &str, attach_type: AttachType) -> Result<Hook<'_>> {
        let interface = self.interface(interface)?;
        Ok(Hook { interface, attach_type, operation: self.operation })
    }

    /// Which of the hooks of its target a program is for.
    fn attach_type(&self, spec: &ProgramSpec, advice: &str) -> Result<AttachType> {
        spec.kind.as_ref().and_then(|kind| kind.attach_type).ok_or_else(|| {
            let section = &spec.section;
            let reason = format!("section `{section}` does not say which of the target's hooks");
            KernelError::reason(self.operation, reason).advice(advice.to_owned())
        })
    }

    fn link(
        &self,
        program: BorrowedFd<'_>,
        target: BorrowedFd<'_>,
        attach_type: AttachType,
    ) -> Result<OwnedFd> {
        sys::create_link(program, LinkTarget::File(target), attach_type, 0)
            .map_err(|errno| self.refused(errno))
    }

    fn xdp_refused(
        &self,
        errno: Errno,
        (interface, index): (&str, u32),
        mode: XdpMode,
    ) -> KernelError {
        let error = KernelError::errno(self.operation, errno);
        match errno {
            // `EEXIST`: what runs there runs in the other mode (`dev_xdp_attach`).
            Errno::BUSY | Errno::EXIST => error.advice(occupant::of_xdp(interface, index, mode)),
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
            (Errno::EXIST, Attachment::Tcx { .. } | Attachment::Netkit { .. }) => {
                "the same program is at this hook already, which takes each once".to_owned()
            }
            (Errno::NOENT, Attachment::Tcx { .. } | Attachment::Netkit { .. }) => {
                "the program that it shall be beside is not attached at this hook".to_owned()
            }
            (Errno::STALE, Attachment::Tcx { .. } | Attachment::Netkit { .. }) => {
                "somebody else keeps changing the programs at this hook; run it again".to_owned()
            }
            (Errno::NXIO, Attachment::Netkit { interface, .. }) => {
                format!("`{interface}` is no netkit device (`ip -d link show type netkit`)")
            }
            (Errno::INVAL, Attachment::Netkit { .. }) => "netkit links need Linux 6.7".to_owned(),
            (Errno::INVAL, Attachment::Tcx { .. }) => {
                "tcx links need Linux 6.6; use hook `tc` before that".to_owned()
            }
            (
                Errno::INVAL | Errno::TOOBIG,
                Attachment::RawTracepoint { cookie: Some(_), .. }
                | Attachment::TpBtf { cookie: Some(_), .. },
            ) => format!(
                "the running kernel has no cookies of raw tracepoints; {}",
                since::compare(Release::new(6, 10), since::running())
            ),
            (Errno::INVAL, Attachment::Tracepoint { .. }) => {
                "the program reads beyond the tracepoint's fields".to_owned()
            }
            (errno, Attachment::Netfilter { priority, defrag, .. }) => {
                match netfilter::advice(errno, *priority, *defrag) {
                    Some(advice) => advice,
                    None => return error,
                }
            }
            (Errno::EXIST, Attachment::FlowDissector { .. }) => {
                "a flow dissector is attached already: without a link, or in the first network \
                 namespace, which then decides for all"
                    .to_owned()
            }
            (Errno::TOOBIG, Attachment::FlowDissector { .. }) => {
                "another flow dissector is attached, and a network namespace has one (`bpftool link` \
                 shows it)"
                    .to_owned()
            }
            (Errno::INVAL, Attachment::FlowDissector { .. }) => {
                "links of flow dissectors need Linux 5.8; or this is no network namespace".to_owned()
            }
            (Errno::INVAL, Attachment::SkLookup { .. }) => {
                "sk_lookup needs Linux 5.9; or this is no network namespace".to_owned()
            }
            (Errno::BUSY, Attachment::Sockmap { map, .. }) => {
                format!("another program of this kind is attached to `{map}` already")
            }
            (Errno::INVAL, Attachment::Sockmap { .. }) => {
                "sockmap links need Linux 6.10; or a `verdict` and a `stream_verdict` are both \
                 attached to this map"
                    .to_owned()
            }
            (Errno::INVAL, Attachment::Cgroup { .. } | Attachment::CgroupUnit { .. }) => {
                "cgroup links need Linux 5.7; or the program's type does not fit its section"
                    .to_owned()
            }
            _ => return error,
        };
        error.advice(advice)
    }
}
