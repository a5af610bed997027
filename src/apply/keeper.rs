//! Attachments that end with this process, because nothing can pin them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::kernel::Kernel;
use crate::model::inventory::{Anchor, Inventory, LinkRecord, Resource};
use crate::model::live::Descriptor;

/// Keeps them in place from one run to the next, as long as it lives itself.
pub struct Keeper<K: Kernel> {
    held: RefCell<BTreeMap<Descriptor, K::Held>>,
}

impl<K: Kernel> Keeper<K> {
    /// Takes what a run has made over, and lets go of all that is no longer on record.
    pub(super) fn keep(&self, made: BTreeMap<Descriptor, K::Held>, record: &Inventory) {
        let wanted: BTreeSet<Descriptor> = record.resources.values().filter_map(held).collect();
        let mut held = self.held.borrow_mut();
        held.extend(made);
        held.retain(|descriptor, _| wanted.contains(descriptor));
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.held.borrow().len()
    }
}

fn held(resource: &Resource) -> Option<Descriptor> {
    match resource {
        Resource::Link(LinkRecord { anchor: Anchor::Held(descriptor), .. }) => Some(*descriptor),
        _ => None,
    }
}

impl<K: Kernel> Default for Keeper<K> {
    fn default() -> Self {
        Self { held: RefCell::default() }
    }
}

impl<K: Kernel> fmt::Debug for Keeper<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.held.borrow().keys()).finish()
    }
}
