//! All of a host: objects with their reference counts, the tree of pins, what programs attach to.

use std::collections::BTreeMap;
use std::fmt;

use rustix::io::Errno;

use super::super::{KernelError, Result};
use super::bpffs::Tree;
use super::fault::Faults;
use super::hooks::Hooks;
use super::objects::Object;
use crate::model::host::HostFacts;

/// What the fake says of its hardware.
pub(super) const FACTS: HostFacts = HostFacts { possible_cpus: 4, page_size: 4096 };

/// Inode of the one network namespace.
pub(super) const NETNS: u64 = 4_026_531_840;

/// Names one object: each kind counts its own ids, as in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectId {
    /// What it is.
    pub kind: Kind,
    /// The kernel's id.
    pub id: u32,
}

/// Kinds of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A map.
    Map,
    /// A program.
    Program,
    /// A link.
    Link,
    /// A BTF.
    Btf,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Map => "map",
            Kind::Program => "program",
            Kind::Link => "link",
            Kind::Btf => "btf",
        };
        write!(f, "{kind} {}", self.id)
    }
}

/// A host.
#[derive(Debug)]
pub(super) struct State {
    pub(super) tree: Tree,
    pub(super) hooks: Hooks,
    pub(super) faults: Faults,
    pub(super) objects: BTreeMap<ObjectId, Counted>,
    last_id: BTreeMap<Kind, u32>,
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
    pub(super) fn add(&mut self, object: Object) -> ObjectId {
        let kind = object.kind();
        let last = self.last_id.entry(kind).or_default();
        *last += 1;
        let id = ObjectId { kind, id: *last };
        for used in object.uses() {
            self.hold(used);
        }
        self.objects.insert(id, Counted { references: 1, users: 1, object });
        id
    }

    /// Takes another handle, or a pin.
    pub(super) fn hold_for_user(&mut self, id: ObjectId) {
        if let Some(counted) = self.objects.get_mut(&id) {
            counted.users += 1;
        }
        self.hold(id);
    }

    /// Gives a handle or a pin back; with the last, a prog array lets go of its programs.
    pub(super) fn release_by_user(&mut self, id: ObjectId) {
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
    pub(super) fn hold(&mut self, id: ObjectId) {
        if let Some(counted) = self.objects.get_mut(&id) {
            counted.references += 1;
        }
    }

    /// Gives a reference back; the last takes the object with it, and what only that one used.
    pub(super) fn release(&mut self, id: ObjectId) {
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
    pub(super) fn expect(&self, id: ObjectId, kind: Kind, operation: &str) -> Result<()> {
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
