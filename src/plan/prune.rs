//! What is on record and no longer wanted: its verdicts, and the filters that go.
//!
//! Pins are settled elsewhere ([`super::pins`]); here it is said what became of each resource.

use std::collections::BTreeMap;

use crate::model::address::Address;
use crate::model::identity::Identity;
use crate::model::inventory::{Anchor, LinkRecord, Resource};
use crate::model::live::{FilterKey, LiveObject};
use crate::model::pin::PinPath;

use super::draft::{Draft, Phase};
use super::{Action, Change, Step, dispatchers, held, sockets};

/// Why resources are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// They left the manifest.
    Converge,
    /// The deployment ends by its pin policies.
    End,
    /// The deployment ends, and persisting pins go too.
    Purge,
}

impl Mode {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Converge => "no longer in the manifest",
            Self::End | Self::Purge => "the deployment ends",
        }
    }
}

/// Removes the filters that a killed run added and nothing needs, before others take their places.
pub(super) fn remove_stray_filters(draft: &mut Draft<'_>) {
    for (key, program) in &draft.known.stray_filters {
        let program = draft.open_program(*program);
        let step = Step::RemoveFilter { key: key.clone(), program, with_clsact: false };
        draft.step(Phase::Links, step);
    }
}

/// Says what becomes of every recorded resource that the draft does not keep, and removes the
/// filters among them.
pub(super) fn prune(mode: Mode, draft: &mut Draft<'_>) {
    let inventory = draft.inventory();
    let leaving: Vec<_> = inventory
        .resources
        .iter()
        .filter(|(address, _)| !draft.after.resources.contains_key(*address))
        .collect();
    for (address, resource) in &leaving {
        if let Some(heir) = draft.taken.get(*address).cloned() {
            let reason = format!("its place is taken over by {heir}");
            draft.change(Change::new((*address).clone(), Action::Move, reason));
            continue;
        }
        match resource {
            Resource::Link(LinkRecord { anchor: Anchor::Filter { key, .. }, program, .. }) => {
                prune_filter(address, key, program, mode, draft);
            }
            Resource::Link(LinkRecord { anchor: Anchor::Registration { map }, .. }) => {
                let gone = !draft.live.registered.contains(map);
                let reason = if gone { "already gone" } else { mode.reason() };
                draft.change(Change::new((*address).clone(), Action::Delete, reason));
            }
            Resource::Link(record @ LinkRecord { anchor: Anchor::Held(_), .. }) => {
                let gone = held::live(record, draft).is_none();
                let reason = if gone { "already gone" } else { mode.reason() };
                draft.change(Change::new((*address).clone(), Action::Delete, reason));
            }
            Resource::Link(record @ LinkRecord { anchor: Anchor::Map { .. }, .. }) => {
                sockets::prune(address, record, mode, draft);
            }
            Resource::Link(LinkRecord {
                anchor: Anchor::Dispatcher { index, .. },
                program,
                ..
            }) => dispatchers::prune(address, *index, program, mode, draft),
            _ => prune_pinned(address, resource, mode, draft),
        }
    }
    if mode == Mode::Purge {
        for (pin, identity) in &inventory.forgotten {
            let gone = draft.identity_at(pin) != Some(*identity);
            let reason = if gone { "already gone" } else { "the deployment ends" };
            let address = Address::pin(pin.as_str());
            draft.change(Change::new(address, Action::Delete, reason));
        }
    }
    hand_on_clsact(draft);
}

fn prune_pinned(address: &Address, resource: &Resource, mode: Mode, draft: &mut Draft<'_>) {
    let owned = resource.is_owned();
    let pins: Vec<PinPath> = resource.pins().map(|(pin, _)| pin.clone()).collect();
    let mut verdict = Change::new(address.clone(), Action::Delete, mode.reason());
    if !owned {
        verdict = Change::new(address.clone(), Action::Forget, "not ours: stays as it is");
    }
    // It persists where it is not yet: on its way back from where a killed run has put it.
    let identity = resource.identity();
    let mut forgotten = draft.after.forgotten.iter().filter(|(_, of)| **of == identity);
    if let Some((home, _)) = forgotten.find(|(pin, _)| draft.identity_at(pin) != Some(identity)) {
        let at = draft.after.pin_root.join(home);
        let reason = format!("put back to {}, where it stays (persist-on-exit)", at.display());
        return draft.change(Change::new(address.clone(), Action::Forget, reason));
    }
    for pin in pins.iter().filter(|_| owned) {
        let at = draft.after.pin_root.join(pin);
        let at = at.display();
        let forget = |reason: String| Change::new(address.clone(), Action::Forget, reason);
        match draft.live.pins.get(pin) {
            Some(LiveObject::Unreadable { reason }) => {
                return draft.refuse(address.clone(), format!("{at} cannot be opened: {reason}"));
            }
            Some(found) if !resource.is(found) => {
                verdict =
                    forget(format!("{at} holds {} that is not ours; left in place", found.kind()));
            }
            _ if draft.after.forgotten.contains_key(pin) => {
                verdict = forget(format!("stays pinned at {at} (persist-on-exit)"));
            }
            _ if draft.claims.contains_key(pin) && !pin.is_private() => {
                verdict = forget(format!("{at} is used by another resource now"));
            }
            None => verdict = Change::new(address.clone(), Action::Delete, "already gone"),
            Some(LiveObject::Link(link)) if mode == Mode::Converge && link.is_severed() => {
                let reason = "what it was attached to is gone";
                verdict = Change::new(address.clone(), Action::Delete, reason);
            }
            Some(_) => {}
        }
    }
    draft.change(verdict);
}

fn prune_filter(
    address: &Address,
    key: &FilterKey,
    program: &Address,
    mode: Mode,
    draft: &mut Draft<'_>,
) {
    let program =
        draft.inventory().program(program).map(|program| (program.pin.clone(), program.id));
    let running = draft.live.filters.get(key).map(|filter| filter.program_id);
    let change = match (program, running) {
        (_, None) => Change::new(address.clone(), Action::Delete, "already gone"),
        (Some((pin, id)), Some(found)) if id == found => {
            let there = draft.holds_program(&pin, id);
            let program = there.then(|| draft.open(&pin, Identity::program(id)));
            let step = Step::RemoveFilter { key: key.clone(), program, with_clsact: false };
            draft.step(Phase::Links, step);
            Change::new(address.clone(), Action::Delete, mode.reason())
        }
        (_, Some(found)) => {
            let reason = format!("it runs program id {found}, not ours; left in place");
            Change::new(address.clone(), Action::Forget, reason)
        }
    };
    draft.change(change);
}

/// A `clsact` qdisc that we added goes with the last of our filters on its interface, whichever
/// brought it.
fn hand_on_clsact(draft: &mut Draft<'_>) {
    let made: Vec<u32> = draft.inventory().clsact().collect();
    for index in made {
        let kept =
            draft.after.resources.values_mut().find_map(|resource| match resource {
                Resource::Link(LinkRecord {
                    anchor: Anchor::Filter { key, made_clsact }, ..
                }) if key.index == index => Some(made_clsact),
                _ => None,
            });
        match kept {
            Some(made_clsact) => *made_clsact = true,
            None => draft.remove_clsact_of(index),
        }
    }
}

/// The last step of a plan that removes a filter of each interface.
pub(super) fn last_removals(steps: &mut [(Phase, Step)]) -> BTreeMap<u32, &mut bool> {
    let mut last = BTreeMap::new();
    for (_, step) in steps {
        if let Step::RemoveFilter { key, with_clsact, .. } = step {
            last.insert(key.index, with_clsact);
        }
    }
    last
}
