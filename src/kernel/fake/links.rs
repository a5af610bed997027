//! Links: what they are attached to, and their programs.

use std::path::Path;

use rustix::io::Errno;

use super::super::{KernelError, Result};
use super::bpffs::Node;
use super::objects::{Link, Object};
use super::probes;
use super::state::{Counted, State};
use crate::model::attach::Attachment;
use crate::model::identity::{Identity, ObjectKind};
use crate::model::kinds::{AttachType, LinkType};
use crate::model::live::{LinkTarget, LiveObject, Occupant, TargetState};
use crate::model::net_hook::{Neighbour, Position};
use crate::model::program::ProgramSpec;

impl State {
    pub(super) fn attach(
        &mut self,
        program: Identity,
        spec: &ProgramSpec,
        attachment: &Attachment,
        others: &[Identity],
    ) -> Result<Identity> {
        let operation = format!("attach program `{}` to {attachment}", spec.name);
        self.program(program, &operation)?;
        let refused = |errno| KernelError::errno(operation.as_str(), errno);
        let other = others.first().copied();
        let (of_type, target) = match attachment {
            Attachment::Xdp { interface, .. } => {
                let index = self.hooks.interface(interface, &operation)?;
                let target = LinkTarget::Interface { index, attach_type: None };
                let busy = |(_, link): (Identity, &Link)| {
                    link.of_type == LinkType::XDP && link.target == target
                };
                if self.links().any(busy) || self.hooks.dispatchers.contains_key(&index) {
                    return Err(refused(Errno::BUSY));
                }
                (LinkType::XDP, target)
            }
            Attachment::Tcx { interface, direction, position } => {
                let index = self.hooks.interface(interface, &operation)?;
                let target =
                    LinkTarget::Interface { index, attach_type: Some(direction.tcx_type()) };
                self.takes_place(program, &target, position.as_ref(), other).map_err(refused)?;
                (LinkType::TCX, target)
            }
            Attachment::Netkit { interface, side, position } => {
                let index = self.hooks.interface(interface, &operation)?;
                let target = LinkTarget::Interface { index, attach_type: Some(side.attach_type()) };
                self.takes_place(program, &target, position.as_ref(), other).map_err(refused)?;
                (LinkType::NETKIT, target)
            }
            Attachment::Cgroup { .. } | Attachment::CgroupUnit { .. } => {
                let attach_type = made_for(spec, &operation)?;
                let id = self.hooks.cgroup(attachment).ok_or_else(|| refused(Errno::NOENT))?;
                (LinkType::CGROUP, LinkTarget::Cgroup { id, attach_type })
            }
            Attachment::SkLookup { netns } => {
                let inode = self.hooks.namespace(netns.as_deref());
                let inode = inode.ok_or_else(|| refused(Errno::NOENT))?;
                let attach_type = AttachType::SK_LOOKUP;
                (LinkType::NETNS, LinkTarget::Netns { inode, attach_type })
            }
            Attachment::FlowDissector { netns } => {
                let inode = self.hooks.namespace(netns.as_deref());
                let inode = inode.ok_or_else(|| refused(Errno::NOENT))?;
                let attach_type = AttachType::FLOW_DISSECTOR;
                let target = LinkTarget::Netns { inode, attach_type };
                self.has_room(&target).map_err(|_busy| refused(Errno::TOOBIG))?;
                (LinkType::NETNS, target)
            }
            Attachment::Sockmap { .. } => {
                let attach_type = made_for(spec, &operation)?;
                let map = other.ok_or_else(|| refused(Errno::BADF))?;
                self.expect(map, ObjectKind::Map, &operation)?;
                let target = LinkTarget::Map { id: map.id, attach_type };
                self.has_room(&target).map_err(refused)?;
                if self.keeps(map, attach_type) {
                    return Err(refused(Errno::BUSY));
                }
                (LinkType::SOCKMAP, target)
            }
            Attachment::Netfilter { family, at, priority, .. } => {
                let (family, hook, priority) = (family.number(), at.number(), *priority);
                let target = LinkTarget::Netfilter { family, hook, priority };
                self.has_room(&target).map_err(refused)?;
                (LinkType::NETFILTER, target)
            }
            _ => self.traced(spec, attachment, &operation)?,
        };
        let map = other.filter(|_| of_type == LinkType::SOCKMAP);
        let function = match attachment {
            Attachment::FreplacePinned { function, .. } => Some(function.clone()),
            _ => None,
        };
        Ok(self.add(Object::Link(Link { of_type, program, target, map, function })))
    }

    /// Links of what is not of the network.
    fn traced(
        &self,
        spec: &ProgramSpec,
        attachment: &Attachment,
        operation: &str,
    ) -> Result<(LinkType, LinkTarget)> {
        let refused = |reason: &str| Err(KernelError::reason(operation, reason));
        Ok(match attachment {
            Attachment::Tracepoint { category, name, .. } => {
                if !self.hooks.tracepoints.contains(&(category.clone(), name.clone())) {
                    return refused("there is no such tracepoint");
                }
                (LinkType::PERF_EVENT, LinkTarget::Tracepoint { name: Some(name.clone()) })
            }
            Attachment::RawTracepoint { name, .. } | Attachment::TpBtf { name, .. } => {
                (LinkType::RAW_TRACEPOINT, LinkTarget::Tracepoint { name: Some(name.clone()) })
            }
            Attachment::FreplacePinned { pin, function } => {
                let target = LinkTarget::Program { id: self.pinned_program(pin)?.id };
                let busy = |(_, link): (Identity, &Link)| {
                    link.target == target && link.function.as_ref() == Some(function)
                };
                if self.links().any(busy) {
                    return Err(KernelError::errno(operation, Errno::BUSY));
                }
                (LinkType::TRACING, target)
            }
            Attachment::LsmCgroup { .. } => {
                let id = self.hooks.cgroup(attachment);
                let id = id.ok_or_else(|| KernelError::errno(operation, Errno::NOENT))?;
                let attach_type = AttachType::LSM_CGROUP;
                (LinkType::CGROUP, LinkTarget::Cgroup { id, attach_type })
            }
            Attachment::Freplace { .. }
            | Attachment::Fentry(_)
            | Attachment::Fexit(_)
            | Attachment::Fsession(_)
            | Attachment::FmodRet(_)
            | Attachment::Lsm(_) => (LinkType::TRACING, LinkTarget::Other),
            Attachment::Iter(_) => (LinkType::ITER, LinkTarget::Other),
            Attachment::PerfEvent(_) => {
                (LinkType::PERF_EVENT, LinkTarget::Tracepoint { name: None })
            }
            Attachment::Kprobe(_)
            | Attachment::Kretprobe(_)
            | Attachment::Uprobe(_)
            | Attachment::Uretprobe(_)
            | Attachment::Usdt(_) => probes::link(spec, attachment),
            _ => return refused("this hook has no link"),
        })
    }

    /// The program pinned at an absolute path.
    pub(super) fn pinned_program(&self, pin: &Path) -> Result<Identity> {
        match self.tree.find(pin) {
            Some(Node::Pin(found)) if found.kind == ObjectKind::Program => Ok(found),
            Some(_) => Err(KernelError::reason("open the program", "it is none").at(pin)),
            None => Err(KernelError::reason("open the program", "nothing is pinned there").at(pin)),
        }
    }

    /// `EBUSY` if a link is there.
    fn has_room(&self, target: &LinkTarget) -> std::result::Result<(), Errno> {
        let taken = self.links().any(|(_, link)| link.target == *target);
        if taken { Err(Errno::BUSY) } else { Ok(()) }
    }

    /// Whether a program can be put among those of a hook (`bpf_mprog_attach`).
    fn takes_place(
        &self,
        program: Identity,
        target: &LinkTarget,
        position: Option<&Position>,
        own: Option<Identity>,
    ) -> std::result::Result<(), Errno> {
        if self.runs_in_chain(program, target) {
            return Err(Errno::EXIST);
        }
        let there = |link: &Link| link.target == *target;
        let neighbour = match position.and_then(Position::neighbour) {
            None => true,
            Some(Neighbour::Own { .. }) => {
                self.links().any(|(id, link)| Some(id) == own && there(link))
            }
            Some(Neighbour::Named(name)) => self.links().any(|(_, link)| {
                let LiveObject::Program(program) = self.describe(link.program) else {
                    return false;
                };
                there(link) && program.name == *name
            }),
            Some(Neighbour::Pinned(_)) => false,
        };
        if neighbour { Ok(()) } else { Err(Errno::NOENT) }
    }

    /// The links at what `attachment` names.
    pub(super) fn occupants(&self, attachment: &Attachment) -> Vec<Occupant> {
        let TargetState::Present(target) = self.hooks.target(attachment) else { return Vec::new() };
        let here = |link: &Link| match (attachment, &link.target) {
            (Attachment::Xdp { .. }, LinkTarget::Interface { index, .. }) => {
                link.of_type == LinkType::XDP && u64::from(*index) == target
            }
            (Attachment::Tcx { .. }, LinkTarget::Interface { index, .. }) => {
                link.of_type == LinkType::TCX && u64::from(*index) == target
            }
            (Attachment::Netkit { .. }, LinkTarget::Interface { index, .. }) => {
                link.of_type == LinkType::NETKIT && u64::from(*index) == target
            }
            (
                Attachment::Cgroup { .. } | Attachment::CgroupUnit { .. },
                LinkTarget::Cgroup { id, .. },
            ) => *id == target,
            (Attachment::SkLookup { .. }, LinkTarget::Netns { inode, attach_type }) => {
                (*inode, *attach_type) == (target, AttachType::SK_LOOKUP)
            }
            (Attachment::FlowDissector { .. }, LinkTarget::Netns { inode, attach_type }) => {
                (*inode, *attach_type) == (target, AttachType::FLOW_DISSECTOR)
            }
            _ => false,
        };
        let described = |(id, link): (Identity, &Link)| {
            let (LiveObject::Link(live), LiveObject::Program(program)) =
                (self.describe(id), self.describe(link.program))
            else {
                return None;
            };
            Some(Occupant::Linked { link: live, program: program.name })
        };
        self.links().filter(|(_, link)| here(link)).filter_map(described).collect()
    }

    pub(super) fn update_link(
        &mut self,
        link: Identity,
        new: Identity,
        old: Option<Identity>,
    ) -> Result<()> {
        const OPERATION: &str = "update the link";
        if new.kind == ObjectKind::Map {
            return self.update_operations(link, new, old);
        }
        let made_for = self.program(new, OPERATION)?.attach_type;
        let refused = |errno| Err(KernelError::errno(OPERATION, errno));
        let Some((_, found)) = self.links().find(|(id, _)| *id == link) else {
            return refused(Errno::INVAL);
        };
        let runs_at = match found.target {
            _ if !updatable(found.of_type) => return refused(Errno::INVAL),
            LinkTarget::Interface { index: 0, .. }
            | LinkTarget::Cgroup { id: 0, .. }
            | LinkTarget::Netns { inode: 0, .. }
            | LinkTarget::Map { id: 0, .. } => return refused(Errno::NOLINK),
            LinkTarget::Interface { attach_type, .. } => attach_type,
            LinkTarget::Cgroup { attach_type, .. }
            | LinkTarget::Netns { attach_type, .. }
            | LinkTarget::Map { attach_type, .. } => Some(attach_type),
            LinkTarget::Netfilter { .. }
            | LinkTarget::Tracepoint { .. }
            | LinkTarget::Program { .. }
            | LinkTarget::StructOps { .. }
            | LinkTarget::Other => None,
        };
        if let (Some(runs_at), Some(made_for)) = (runs_at, made_for)
            && runs_at != made_for
        {
            return Err(KernelError::reason(OPERATION, "the program is made for another hook"));
        }
        if old.is_some_and(|old| old != found.program) {
            return refused(Errno::PERM);
        }
        let replaced = found.program;
        let is_in_chain = matches!(found.of_type, LinkType::TCX | LinkType::NETKIT);
        if replaced != new && is_in_chain && self.runs_in_chain(new, &found.target) {
            return refused(Errno::EXIST);
        }
        self.hold(new);
        if let Some(counted) = self.objects.get_mut(&link)
            && let Object::Link(link) = &mut counted.object
        {
            link.program = new;
        }
        self.release(replaced);
        Ok(())
    }

    /// Severs a link. Links of tracepoints cannot be (`link_detach` in `kernel/bpf/syscall.c`).
    pub(super) fn detach(&mut self, link: Identity) -> Result<()> {
        const OPERATION: &str = "detach the link";
        self.expect(link, ObjectKind::Link, OPERATION)?;
        let Some(Counted { object: Object::Link(link), .. }) = self.objects.get_mut(&link) else {
            return Err(KernelError::errno(OPERATION, Errno::INVAL));
        };
        match &mut link.target {
            LinkTarget::Interface { index, .. } => *index = 0,
            LinkTarget::Cgroup { id, .. } => *id = 0,
            LinkTarget::Netns { inode, .. } => *inode = 0,
            LinkTarget::Map { id, .. } => *id = 0,
            LinkTarget::StructOps { map } => *map = 0,
            // The kernel tells of it what it told before; it has no place any more.
            LinkTarget::Netfilter { .. } => link.target = LinkTarget::Other,
            LinkTarget::Other if link.of_type == LinkType::NETFILTER => {}
            LinkTarget::Tracepoint { .. } | LinkTarget::Program { .. } | LinkTarget::Other => {
                return Err(KernelError::errno(OPERATION, Errno::OPNOTSUPP));
            }
        }
        Ok(())
    }

    /// A hook that several share takes each program once (`bpf_mprog_attach`).
    fn runs_in_chain(&self, program: Identity, target: &LinkTarget) -> bool {
        self.links().any(|(_, link)| link.program == program && link.target == *target)
    }
}

/// Which links take another program (`update_prog` of `struct bpf_link_ops`).
fn updatable(link_type: LinkType) -> bool {
    matches!(
        link_type,
        LinkType::XDP
            | LinkType::TCX
            | LinkType::NETKIT
            | LinkType::CGROUP
            | LinkType::ITER
            | LinkType::NETNS
            | LinkType::SOCKMAP
    )
}

/// Which of the hooks of its target a program is for.
fn made_for(spec: &ProgramSpec, operation: &str) -> Result<AttachType> {
    let attach_type = spec.kind.as_ref().and_then(|kind| kind.attach_type);
    attach_type.ok_or_else(|| KernelError::reason(operation, "the section does not say which hook"))
}
