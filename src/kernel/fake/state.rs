//! All of a host: objects with their reference counts, the tree of pins, what programs attach to.

use std::collections::BTreeMap;

use rustix::io::Errno;

use super::super::{KernelError, Result};
use super::bpffs::Tree;
use super::fault::Faults;
use super::hooks::Hooks;
use super::objects::Object;
use crate::model::host::HostFacts;
use crate::model::identity::{Identity, ObjectKind};

/// What the fake says of its hardware.
pub(super) const FACTS: HostFacts = HostFacts { possible_cpus: 4, page_size: 4096 };

/// Inode of the one network namespace.
pub(super) const NETNS: u64 = 4_026_531_840;

/// A host.
#[derive(Debug)]
pub(super) struct State {
    pub(super) tree: Tree,
    pub(super) hooks: Hooks,
    pub(super) faults: Faults,
    pub(super) objects: BTreeMap<Identity, Counted>,
    last_id: BTreeMap<ObjectKind, u32>,
    boots: u64,
}

/// An object that dies with its last reference.
#[derive(Debug)]
pub(super) struct Counted {
    references: usize,
    /// Those among them that are handles and pins.
    users: usize,
    pub(super) object: Object,
}

impl Default for State {
    fn default() -> Self {
        Self {
            tree: Tree::new(1),
            hooks: Hooks::default(),
            faults: Faults::default(),
            objects: BTreeMap::new(),
            last_id: BTreeMap::new(),
            boots: 1,
        }
    }
}

impl State {
    /// Adds an object with one handle, which the caller owns. The object holds what it uses.
    pub(super) fn add(&mut self, object: Object) -> Identity {
        let kind = object.kind();
        let last = self.last_id.entry(kind).or_default();
        *last += 1;
        let id = Identity { kind, id: *last };
        for used in object.uses() {
            self.hold(used);
        }
        self.objects.insert(id, Counted { references: 1, users: 1, object });
        id
    }

    /// Takes another handle, or a pin.
    pub(super) fn hold_for_user(&mut self, id: Identity) {
        if let Some(counted) = self.objects.get_mut(&id) {
            counted.users += 1;
        }
        self.hold(id);
    }

    /// Gives a handle or a pin back; with the last, a prog array lets go of its programs.
    pub(super) fn release_by_user(&mut self, id: Identity) {
        let Some(counted) = self.objects.get_mut(&id) else { return };
        counted.users -= 1;
        if counted.users == 0 {
            for dropped in counted.object.empty() {
                self.release(dropped);
            }
        }
        self.release(id);
    }

    /// Takes another reference.
    pub(super) fn hold(&mut self, id: Identity) {
        if let Some(counted) = self.objects.get_mut(&id) {
            counted.references += 1;
        }
    }

    /// Gives a reference back; the last takes the object with it, and what only that one used.
    pub(super) fn release(&mut self, id: Identity) {
        let mut due = vec![id];
        while let Some(id) = due.pop() {
            let Some(counted) = self.objects.get_mut(&id) else { continue };
            counted.references -= 1;
            if counted.references == 0
                && let Some(dead) = self.objects.remove(&id)
            {
                due.extend(dead.object.uses());
            }
        }
    }

    /// `EINVAL` unless `id` is a living object of that kind.
    pub(super) fn expect(&self, id: Identity, kind: ObjectKind, operation: &str) -> Result<()> {
        if id.kind == kind && self.objects.contains_key(&id) {
            Ok(())
        } else {
            Err(KernelError::errno(operation, Errno::INVAL))
        }
    }

    /// Which boot this is.
    pub(super) fn boot_id(&self) -> String {
        format!("boot-{}", self.boots)
    }

    /// Loses everything of BPF. Ids go on, so that a handle from before names nothing new.
    pub(super) fn reboot(&mut self) {
        self.boots += 1;
        self.tree = Tree::new(self.tree.device() + 1);
        self.objects.clear();
        self.hooks.forget_filters();
    }
}
