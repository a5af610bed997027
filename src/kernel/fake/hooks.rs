//! What programs are attached to: interfaces, cgroups, tracepoints, and filters of `clsact`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::super::{AttachedFilter, KernelError, Result};
use super::bpffs::Node;
use super::objects::{Link, Object};
use super::probes;
use super::state::{Counted, State};
use crate::model::attach::{Attachment, Direction};
use crate::model::identity::{Identity, ObjectKind};
use crate::model::kinds::{AttachType, LinkType};
use crate::model::live::{FilterKey, LinkTarget, LiveFilter, LiveObject, Occupant, TargetState};
use crate::model::program::ProgramSpec;

/// Where priorities begin that the kernel gives itself (`tc_new_tfilter` in `net/sched/cls_api.c`).
const AUTO_PRIORITIES: u16 = 0x8000;
/// The first of them (`tcf_auto_prio`); each further one is the next below.
const FIRST_AUTO_PRIORITY: u16 = 0xc000;

/// Places on the host.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    interfaces: BTreeMap<String, u32>,
    cgroups: BTreeMap<PathBuf, u64>,
    pub(super) tracepoints: BTreeSet<(String, String)>,
    /// Indices of interfaces with a `clsact` qdisc.
    pub(super) clsact: BTreeSet<u32>,
    pub(super) filters: BTreeMap<Place, Identity>,
    /// Maps of struct ops that are registered without a link.
    pub(super) registered: BTreeMap<Identity, Attachment>,
    last_index: u32,
    last_cgroup: u64,
}

/// A filter's place: interface index, direction, priority and handle.
pub(super) type Place = (u32, Direction, u16, u32);

impl Hooks {
    pub(super) fn add_interface(&mut self, name: &str) {
        self.last_index += 1;
        self.interfaces.insert(name.to_owned(), self.last_index);
    }

    pub(super) fn remove_interface(&mut self, name: &str) -> Option<u32> {
        self.interfaces.remove(name)
    }

    pub(super) fn add_cgroup(&mut self, path: &Path) {
        self.last_cgroup += 1;
        self.cgroups.insert(path.to_owned(), self.last_cgroup);
    }

    pub(super) fn remove_cgroup(&mut self, path: &Path) -> Option<u64> {
        self.cgroups.remove(path)
    }

    pub(super) fn forget_filters(&mut self) {
        self.registered.clear();
        self.filters.clear();
        self.clsact.clear();
    }

    pub(super) fn target(&self, attachment: &Attachment) -> TargetState {
        let missing = |reason: String| TargetState::Missing { reason };
        match attachment {
            Attachment::Xdp { interface, .. }
            | Attachment::Tcx { interface, .. }
            | Attachment::Tc { interface, .. } => match self.interfaces.get(interface) {
                Some(index) => TargetState::Present(u64::from(*index)),
                None => missing(format!("there is no network interface `{interface}`")),
            },
            Attachment::Cgroup { path } | Attachment::LsmCgroup { path, .. } => {
                match self.cgroups.get(path) {
                    Some(id) => TargetState::Present(*id),
                    None => missing(format!("there is no cgroup {}", path.display())),
                }
            }
            Attachment::Tracepoint { category, name, .. } => {
                if self.tracepoints.contains(&(category.clone(), name.clone())) {
                    TargetState::Present(0)
                } else {
                    missing(format!("the kernel has no tracepoint `{category}/{name}`"))
                }
            }
            _ => TargetState::Present(0),
        }
    }

    pub(super) fn filter(&self, key: &FilterKey) -> Option<LiveFilter> {
        self.filters.get(&place(key)).map(|program| LiveFilter { program_id: program.id })
    }

    pub(super) fn has_clsact(&self, interface: &str) -> bool {
        self.interfaces.get(interface).is_some_and(|index| self.clsact.contains(index))
    }

    pub(super) fn filters_at(
        &self,
        interface: &str,
        direction: Direction,
    ) -> BTreeMap<FilterKey, LiveFilter> {
        let Some(index) = self.interfaces.get(interface).copied() else { return BTreeMap::new() };
        let here = self.filters.iter().filter(|(at, _)| (at.0, at.1) == (index, direction));
        here.map(|(at, program)| {
            let (priority, handle) = (at.2, at.3);
            let interface = interface.to_owned();
            let key = FilterKey { interface, index, direction, priority, handle };
            (key, LiveFilter { program_id: program.id })
        })
        .collect()
    }

    fn interface(&self, name: &str, operation: &str) -> Result<u32> {
        let found = self.interfaces.get(name).copied();
        found.ok_or_else(|| KernelError::errno(operation, Errno::NODEV))
    }

    /// The priority and handle the kernel chooses for what is left open; `EEXIST` if the place is
    /// taken.
    fn choose(
        &self,
        index: u32,
        direction: Direction,
        priority: Option<u16>,
        handle: Option<u32>,
    ) -> std::result::Result<(u16, u32), Errno> {
        let here = || self.filters.keys().filter(|place| (place.0, place.1) == (index, direction));
        let priority = priority.filter(|priority| *priority != 0).unwrap_or_else(|| {
            let auto = here().map(|place| place.2).filter(|priority| *priority >= AUTO_PRIORITIES);
            auto.min().map_or(FIRST_AUTO_PRIORITY, |lowest| lowest - 1)
        });
        let taken = |handle: u32| self.filters.contains_key(&(index, direction, priority, handle));
        match handle.filter(|handle| *handle != 0) {
            Some(handle) if taken(handle) => Err(Errno::EXIST),
            Some(handle) => Ok((priority, handle)),
            None => (1..u32::MAX)
                .find(|handle| !taken(*handle))
                .map(|handle| (priority, handle))
                .ok_or(Errno::NOSPC),
        }
    }
}

impl State {
    pub(super) fn attach(
        &mut self,
        program: Identity,
        spec: &ProgramSpec,
        attachment: &Attachment,
    ) -> Result<Identity> {
        let operation = format!("attach program `{}` to {attachment}", spec.name);
        self.program(program, &operation)?;
        let refused = |errno| KernelError::errno(operation.as_str(), errno);
        let (of_type, target) = match attachment {
            Attachment::Xdp { interface, .. } => {
                let index = self.hooks.interface(interface, &operation)?;
                let target = LinkTarget::Interface { index, attach_type: None };
                let busy = |(_, link): (Identity, &Link)| {
                    link.of_type == LinkType::XDP && link.target == target
                };
                if self.links().any(busy) {
                    return Err(refused(Errno::BUSY));
                }
                (LinkType::XDP, target)
            }
            Attachment::Tcx { interface, direction, .. } => {
                let attach_type = Some(direction.tcx_type());
                let index = self.hooks.interface(interface, &operation)?;
                let target = LinkTarget::Interface { index, attach_type };
                if self.runs_by_tcx(program, &target) {
                    return Err(refused(Errno::EXIST));
                }
                (LinkType::TCX, target)
            }
            Attachment::Cgroup { path } => {
                let attach_type = spec.kind.as_ref().and_then(|kind| kind.attach_type);
                let attach_type = attach_type.ok_or_else(|| {
                    KernelError::reason(operation.as_str(), "the section does not say which hook")
                })?;
                let id = self.hooks.cgroups.get(path).ok_or_else(|| refused(Errno::NOENT))?;
                (LinkType::CGROUP, LinkTarget::Cgroup { id: *id, attach_type })
            }
            Attachment::Tracepoint { category, name, .. } => {
                if !self.hooks.tracepoints.contains(&(category.clone(), name.clone())) {
                    return Err(KernelError::reason(operation, "there is no such tracepoint"));
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
                    return Err(refused(Errno::BUSY));
                }
                (LinkType::TRACING, target)
            }
            Attachment::LsmCgroup { path, .. } => {
                let id = self.hooks.cgroups.get(path).ok_or_else(|| refused(Errno::NOENT))?;
                let attach_type = AttachType::LSM_CGROUP;
                (LinkType::CGROUP, LinkTarget::Cgroup { id: *id, attach_type })
            }
            Attachment::Freplace { .. }
            | Attachment::Fentry(_)
            | Attachment::Fexit(_)
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
            Attachment::Tc { .. } | Attachment::StructOps { .. } => {
                return Err(KernelError::reason(operation, "this hook has no link"));
            }
        };
        let function = match attachment {
            Attachment::FreplacePinned { function, .. } => Some(function.clone()),
            _ => None,
        };
        Ok(self.add(Object::Link(Link { of_type, program, target, function })))
    }

    /// The program pinned at an absolute path.
    pub(super) fn pinned_program(&self, pin: &Path) -> Result<Identity> {
        match self.tree.find(pin) {
            Some(Node::Pin(found)) if found.kind == ObjectKind::Program => Ok(found),
            Some(_) => Err(KernelError::reason("open the program", "it is none").at(pin)),
            None => Err(KernelError::reason("open the program", "nothing is pinned there").at(pin)),
        }
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
            (Attachment::Cgroup { .. }, LinkTarget::Cgroup { id, .. }) => *id == target,
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
            LinkTarget::Interface { index: 0, .. } | LinkTarget::Cgroup { id: 0, .. } => {
                return refused(Errno::NOLINK);
            }
            LinkTarget::Interface { attach_type, .. } => attach_type,
            LinkTarget::Cgroup { attach_type, .. } => Some(attach_type),
            LinkTarget::Tracepoint { .. }
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
        if replaced != new && found.of_type == LinkType::TCX && self.runs_by_tcx(new, &found.target)
        {
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
            LinkTarget::StructOps { map } => *map = 0,
            LinkTarget::Tracepoint { .. } | LinkTarget::Program { .. } | LinkTarget::Other => {
                return Err(KernelError::errno(OPERATION, Errno::OPNOTSUPP));
            }
        }
        Ok(())
    }

    /// tcx takes each program once (`bpf_mprog_attach`).
    fn runs_by_tcx(&self, program: Identity, target: &LinkTarget) -> bool {
        self.links().any(|(_, link)| link.program == program && link.target == *target)
    }

    pub(super) fn attach_filter(
        &mut self,
        program: Identity,
        attachment: &Attachment,
    ) -> Result<AttachedFilter> {
        let operation = format!("attach to {attachment}");
        self.expect(program, ObjectKind::Program, &operation)?;
        let Attachment::Tc { interface, direction, priority, handle } = attachment else {
            return Err(KernelError::reason(operation, "this hook is attached by a link"));
        };
        let index = self.hooks.interface(interface, &operation)?;
        let (priority, handle) = self
            .hooks
            .choose(index, *direction, *priority, *handle)
            .map_err(|errno| KernelError::errno(operation, errno))?;
        let made_clsact = self.hooks.clsact.insert(index);
        let key = FilterKey {
            interface: interface.clone(),
            index,
            direction: *direction,
            priority,
            handle,
        };
        self.hold(program);
        self.hooks.filters.insert(place(&key), program);
        Ok(AttachedFilter { key, made_clsact })
    }

    pub(super) fn replace_filter(&mut self, program: Identity, key: &FilterKey) -> Result<()> {
        const OPERATION: &str = "replace the filter";
        self.expect(program, ObjectKind::Program, OPERATION)?;
        if !self.hooks.interfaces.values().any(|index| *index == key.index) {
            return Err(KernelError::errno(OPERATION, Errno::NODEV));
        }
        self.hooks.clsact.insert(key.index);
        self.hold(program);
        if let Some(replaced) = self.hooks.filters.insert(place(key), program) {
            self.release(replaced);
        }
        Ok(())
    }

    pub(super) fn remove_filter(&mut self, key: &FilterKey, with_clsact: bool) {
        if let Some(program) = self.hooks.filters.remove(&place(key)) {
            self.release(program);
        }
        if with_clsact && !self.hooks.filters.keys().any(|place| place.0 == key.index) {
            self.hooks.clsact.remove(&key.index);
        }
    }

    /// The interface with that index has gone.
    pub(super) fn sever_interface(&mut self, gone: u32) {
        for link in self.links_mut() {
            if let LinkTarget::Interface { index, .. } = &mut link.target
                && *index == gone
            {
                *index = 0;
            }
        }
        self.hooks.clsact.remove(&gone);
        let places: Vec<Place> =
            self.hooks.filters.keys().filter(|place| place.0 == gone).copied().collect();
        for place in places {
            if let Some(program) = self.hooks.filters.remove(&place) {
                self.release(program);
            }
        }
    }

    /// The cgroup with that id has gone.
    pub(super) fn sever_cgroup(&mut self, gone: u64) {
        for link in self.links_mut() {
            if let LinkTarget::Cgroup { id, .. } = &mut link.target
                && *id == gone
            {
                *id = 0;
            }
        }
    }
}

/// Which links take another program (`update_prog` of `struct bpf_link_ops`).
fn updatable(link_type: LinkType) -> bool {
    matches!(link_type, LinkType::XDP | LinkType::TCX | LinkType::CGROUP | LinkType::ITER)
}

fn place(key: &FilterKey) -> Place {
    (key.index, key.direction, key.priority, key.handle)
}
