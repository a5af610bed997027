//! What programs are attached to: interfaces, cgroups, tracepoints, and filters of `clsact`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::super::{AttachedFilter, KernelError, Result};
use super::dispatchers::Member;
use super::sockets::Sockets;
use super::state::{NETNS, State};
use crate::model::attach::{Attachment, Direction};
use crate::model::identity::{Identity, ObjectKind};
use crate::model::live::{FilterKey, LinkTarget, LiveFilter, TargetState};
use crate::model::pattern::Interface;

/// Where priorities begin that the kernel gives itself (`tc_new_tfilter` in `net/sched/cls_api.c`).
const AUTO_PRIORITIES: u16 = 0x8000;
/// The first of them (`tcf_auto_prio`); each further one is the next below.
const FIRST_AUTO_PRIORITY: u16 = 0xc000;

/// Places on the host.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    interfaces: BTreeMap<String, u32>,
    cgroups: BTreeMap<PathBuf, u64>,
    namespaces: BTreeMap<PathBuf, u64>,
    pub(super) tracepoints: BTreeSet<(String, String)>,
    /// Indices of interfaces with a `clsact` qdisc.
    pub(super) clsact: BTreeSet<u32>,
    pub(super) filters: BTreeMap<Place, Identity>,
    /// What dispatchers call, by the index of their interface.
    pub(super) dispatchers: BTreeMap<u32, Vec<Member>>,
    /// Maps of struct ops that are registered without a link.
    pub(super) registered: BTreeMap<Identity, Attachment>,
    pub(super) lacks_tcx: bool,
    pub(super) lacks_event_links: bool,
    pub(super) sockets: Sockets,
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

    pub(super) fn interfaces(&self) -> Vec<Interface> {
        let names = self.interfaces.keys().cloned();
        names.map(|name| Interface { name, physical: false }).collect()
    }

    pub(super) fn interface_name(&self, index: u32) -> String {
        let named = self.interfaces.iter().find(|(_, of)| **of == index);
        named.map(|(name, _)| name.clone()).unwrap_or_default()
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
        self.dispatchers.clear();
        self.clsact.clear();
    }

    pub(super) fn target(&self, attachment: &Attachment) -> TargetState {
        let missing = |reason: String| TargetState::Missing { reason };
        match attachment {
            Attachment::Xdp { interface, .. }
            | Attachment::XdpShared { interface, .. }
            | Attachment::Tcx { interface, .. }
            | Attachment::Tc { interface, .. }
            | Attachment::Netkit { interface, .. } => match self.interfaces.get(interface) {
                Some(index) => TargetState::Present(u64::from(*index)),
                None => missing(format!("there is no network interface `{interface}`")),
            },
            Attachment::Cgroup { path } | Attachment::LsmCgroup { path, .. } => {
                match self.cgroups.get(path) {
                    Some(id) => TargetState::Present(*id),
                    None => missing(format!("there is no cgroup {}", path.display())),
                }
            }
            Attachment::CgroupUnit { unit } => match self.unit(unit) {
                Some(id) => TargetState::Present(id),
                None => missing(format!("unit `{unit}` has no cgroup")),
            },
            Attachment::SkLookup { netns } | Attachment::FlowDissector { netns } => {
                match self.namespace(netns.as_deref()) {
                    Some(inode) => TargetState::Present(inode),
                    None => missing(format!(
                        "there is no network namespace {}",
                        netns.clone().unwrap_or_default().display()
                    )),
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

    fn unit(&self, unit: &str) -> Option<u64> {
        let named = |path: &Path| path.file_name().is_some_and(|name| name == unit);
        self.cgroups.iter().find(|(path, _)| named(path)).map(|(_, id)| *id)
    }

    /// The inode of a network namespace.
    pub(super) fn namespace(&self, path: Option<&Path>) -> Option<u64> {
        path.map_or(Some(NETNS), |path| self.namespaces.get(path).copied())
    }

    pub(super) fn add_namespace(&mut self, path: &Path) {
        let inode = NETNS + 1 + u64::try_from(self.namespaces.len()).unwrap_or_default();
        self.namespaces.insert(path.to_owned(), inode);
    }

    /// The id of the cgroup that an attachment names.
    pub(super) fn cgroup(&self, attachment: &Attachment) -> Option<u64> {
        match attachment {
            Attachment::Cgroup { path } => self.cgroups.get(path).copied(),
            Attachment::CgroupUnit { unit } => self.unit(unit),
            _ => None,
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

    pub(super) fn interface(&self, name: &str, operation: &str) -> Result<u32> {
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
        self.sever_dispatcher(gone);
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

fn place(key: &FilterKey) -> Place {
    (key.index, key.direction, key.priority, key.handle)
}
