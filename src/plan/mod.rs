//! From the desired and the live state to a plan: pure, deterministic, without I/O, clock or environment.
//!
//! A [`Plan`] is a value with two faces. Its *changes* tell people what happens to each resource and
//! why; its *steps* tell the executor what to do, in order. A plan that contains a refusal has no
//! steps: all of it is done, or nothing.

mod change;
pub mod compat;
mod draft;
mod drift;
mod end;
mod links;
mod maps;
mod programs;
mod prune;
mod step;
#[cfg(test)]
mod tests;

use crate::model::address::Address;
use crate::model::digest::Digest;
use crate::model::inventory::{Inventory, ObjectRecord};
use crate::model::live::{LiveState, RootState};
use crate::validate::Desired;

pub use change::{Action, Change, summarise};
pub use drift::{ResourceState, ResourceStatus, drift};
pub use end::end;
pub use step::{ProgramRef, Slot, Step};

use draft::Draft;

/// What a run would do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// For people, in the order of the manifest.
    pub changes: Vec<Change>,
    /// For the executor, in order; empty if anything is refused.
    pub steps: Vec<Step>,
    /// The inventory once every step is done. Ids of what steps make are 0 until then.
    pub after: Inventory,
    /// Fingerprint of the state the plan assumed.
    pub base: Digest,
}

impl Plan {
    /// Whether it cannot be done.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.changes.iter().any(|change| change.action == Action::Refuse)
    }

    /// Whether everything is as wanted already.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.changes.iter().all(|change| change.action == Action::NoOp)
    }

    /// The refusals.
    pub fn refusals(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.action == Action::Refuse)
    }
}

/// Plans the way from `live` to `desired`, where `inventory` says what is ours.
#[must_use]
pub fn plan(desired: &Desired, live: &LiveState, inventory: &Inventory) -> Plan {
    let mut draft = Draft::new(live, inventory, desired.pin_root.clone());
    draft.after.manifest.clone_from(&desired.manifest);
    refuse_root(desired, live, inventory, &mut draft);
    let bindings = maps::bind(desired, &mut draft);
    for (object, bound) in desired.objects.iter().zip(&bindings) {
        let reload = programs::reload_reason(object, bound, &draft);
        maps::plan_private(object, reload.as_deref(), &mut draft);
        programs::plan(object, bound, reload.as_deref(), &mut draft);
        links::plan(object, reload.is_some(), &mut draft);
        let record = ObjectRecord {
            path: object.image.path.clone(),
            digest: object.image.digest,
            load_digest: object.load_digest,
        };
        draft.after.objects.insert(object.name.clone(), record);
    }
    prune::prune(prune::Mode::Converge, &mut draft);
    draft.finish()
}

/// What makes a pin root unusable, as changes of their own.
fn refuse_root(desired: &Desired, live: &LiveState, inventory: &Inventory, draft: &mut Draft<'_>) {
    if let RootState::NotBpffs { directory, magic } = &live.root {
        let reason = format!(
            "{} is not on bpffs (its file system has magic {magic:#x}): mount one with \
             `mount -t bpf bpf /sys/fs/bpf`, or choose a pin-root below an existing one",
            directory.display()
        );
        draft.change(Change::new(Address::pin_root(), Action::Refuse, reason));
    }
    if inventory.pin_root != desired.pin_root && !inventory.resources.is_empty() {
        let reason = format!(
            "the deployment's pins lie below {}: end it with `ebpf-apply destroy --name {}` before \
             the pin root changes",
            inventory.pin_root, inventory.name
        );
        let change = Change::new(Address::pin_root(), Action::Refuse, reason)
            .before(inventory.pin_root.to_string())
            .after(desired.pin_root.to_string());
        draft.change(change);
    }
}

/// Fingerprint of all that a plan depends on beside the desired state.
fn fingerprint(live: &LiveState, inventory: &Inventory) -> Digest {
    let live = format!("{live:?}");
    let inventory = format!("{inventory:?}");
    Digest::of_parts([live.as_bytes(), inventory.as_bytes()])
}
