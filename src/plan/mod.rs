//! From the desired and the live state to a plan: pure, deterministic, without I/O, clock or environment.
//!
//! A [`Plan`] is a value with two faces. Its *changes* tell people what happens to each resource and
//! why; its *steps* tell the executor what to do, in order. A plan that contains a refusal has no
//! steps: all of it is done, or nothing.

mod adopt;
mod capabilities;
mod change;
pub mod compat;
mod dispatchers;
mod draft;
mod drift;
mod end;
mod expand;
mod filters;
mod held;
mod interrupted;
mod link_kinds;
mod links;
mod maps;
mod migrate;
mod neighbours;
mod netfilter;
mod operations;
mod options;
mod pins;
mod private;
mod probes;
mod programs;
mod prune;
mod recover;
mod released;
mod replacements;
mod saved;
mod slots;
mod sockets;
mod step;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::model::address::Address;
use crate::model::inventory::{Inventory, ObjectRecord};
use crate::model::live::{LiveState, RootState};
use crate::validate::Desired;

pub use adopt::Adoption;
pub use capabilities::{Capabilities, capabilities};
pub use change::{Action, Change, summarise};
pub use drift::{ResourceState, ResourceStatus, drift};
pub use end::end;
pub use expand::{Surroundings, expand, has_patterns, has_tcx};
pub use held::{has_events, hold_events};
pub use saved::{SavedPlan, Stale};
pub use step::{Dispatch, Member, ObjectLoad, Operations, ProgramRef, Slot, Sockets, Step};

use draft::Draft;
use prune::Mode;

/// What a run would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// For people, one a resource: first those of the manifest in its order, then those that leave.
    pub changes: Vec<Change>,
    /// For the executor, in order; empty if anything is refused.
    pub steps: Vec<Step>,
    /// The inventory while steps change what others see: what was ours before, with the rest pending.
    pub underway: Inventory,
    /// The inventory once every step is done. Ids of what steps make are 0 until then, and filters
    /// that steps add are missing.
    pub after: Inventory,
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
        self.steps.is_empty() && self.changes.iter().all(|change| change.action.is_at_rest())
    }

    /// Whether only the stage is left to be cleared.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let clears =
            |step: &Step| step.clears() || matches!(step, Step::Open { .. } | Step::OpenMap { .. });
        self.steps.iter().all(clears)
            && self.changes.iter().all(|change| change.action.is_at_rest())
    }

    /// The attachments whose targets are waited for.
    pub fn waiting(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.action == Action::Wait)
    }

    /// The refusals.
    pub fn refusals(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.action == Action::Refuse)
    }
}

/// Plans the way from `live` to `desired`, where `inventory` says what is ours, and `adoption` whether
/// more than that may become ours.
#[must_use]
pub fn plan(
    desired: &Desired,
    live: &LiveState,
    inventory: &Inventory,
    adoption: Adoption,
) -> Plan {
    let known = recover::known(inventory, live);
    let mut draft = Draft::new(live, &known, desired.pin_root.clone());
    draft.adoption = adoption;
    draft.after.manifest.clone_from(&desired.manifest);
    refuse_root(desired, &mut draft);
    let bindings = slots::bind(desired, &mut draft);
    let wanted = links::wanted(desired);
    prune::remove_stray_filters(&mut draft);
    let reloads = replacements::reload_reasons(desired, &bindings, &draft);
    let maps = probes::Maps { desired, bindings: &bindings, reloads: &reloads };
    for ((object, bound), reload) in desired.objects.iter().zip(&bindings).zip(&reloads) {
        private::plan(object, reload.is_some(), &mut draft);
        programs::plan(object, bound, reload.as_deref(), &mut draft);
        if reload.is_some() {
            replacements::plan(object, bound, desired, &reloads, &mut draft);
            slots::plan(object, bound, &mut draft);
        }
        links::plan(object, reload.is_some(), &wanted, maps, &mut draft);
        operations::plan(object, reload.is_some(), &wanted, &mut draft);
        let record = ObjectRecord {
            path: object.image.path.clone(),
            digest: object.image.digest,
            load_digest: object.load_digest,
        };
        draft.after.objects.insert(object.name.clone(), record);
    }
    neighbours::plan(desired, &reloads, &mut draft);
    draft.finish(Mode::Converge)
}

/// What makes a pin root unusable, as a change of its own.
fn refuse_root(desired: &Desired, draft: &mut Draft<'_>) {
    if let RootState::NotBpffs { directory, magic } = &draft.live.root {
        let reason = format!(
            "{} is not on bpffs (its file system has magic {magic:#x}): mount one with \
             `mount -t bpf bpf /sys/fs/bpf`, or choose a pin-root below an existing one",
            directory.display()
        );
        draft.refuse(Address::pin_root(), reason);
    }
    if let RootState::Exposed { reason, mend } = &draft.live.root {
        let reason = format!("others could change what is pinned: {reason}; `{mend}` mends it");
        draft.refuse(Address::pin_root(), reason);
    }
    let inventory = draft.inventory();
    if inventory.pin_root != desired.pin_root && !inventory.is_spent() {
        let ended = inventory.resources.is_empty();
        let reason = if ended {
            format!(
                "maps that persist lie below {}: remove them with `ebpf-apply destroy --name {} \
                 --purge` (their contents are lost), or move them by hand",
                inventory.pin_root, inventory.name
            )
        } else {
            format!(
                "the deployment's pins lie below {}: end it with `ebpf-apply destroy --name {}` \
                 before the pin root changes",
                inventory.pin_root, inventory.name
            )
        };
        let change = Change::new(Address::pin_root(), Action::Refuse, reason)
            .before(inventory.pin_root.to_string())
            .after(desired.pin_root.to_string());
        draft.change(change);
    }
}
