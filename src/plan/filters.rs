//! Filters of `clsact`: added, replaced in place, or taken over. They have no link and no pin.

use std::collections::BTreeSet;

use crate::model::address::Address;
use crate::model::inventory::{Anchor, LinkRecord, Resource};
use crate::model::live::FilterKey;

use super::draft::{Draft, Phase};
use super::links::{Wanted, runs_another};
use super::options::options;
use super::{Action, Change, Step, adopt};

impl Wanted<'_> {
    pub(super) fn plan_filter(
        self,
        target: u64,
        wanted: &BTreeSet<Address>,
        draft: &mut Draft<'_>,
    ) {
        let found = live_filter(&self.address, target, draft).or_else(|| {
            let place = format!("[{}]", self.attachment);
            let leaving = draft.inventory().resources.keys().filter(|address| {
                address.as_str().ends_with(&place)
                    && !wanted.contains(*address)
                    && !draft.taken.contains_key(*address)
            });
            leaving.cloned().find_map(|address| live_filter(&address, target, draft))
        });
        let Some((address, record, key)) = found else {
            let reason = match draft.inventory().link(&self.address) {
                Some(_) => "its filter is gone",
                None => "not attached yet",
            };
            return self.attach_filter(Action::Create, reason, target, draft);
        };
        if let Some(old) = self.other_options(&address, draft) {
            let reason = format!(
                "its options changed ({} → {}): the new filter is there before the old one goes",
                options(&old),
                options(self.attachment)
            );
            remove_old_filter(&key, draft);
            return self.attach_filter(Action::Replace, &reason, target, draft);
        }
        let program_id = draft.live.filters.get(&key).map_or(0, |filter| filter.program_id);
        let keeps = self.runs_already(program_id, draft);
        if keeps && address == self.address {
            draft.change(Change::new(self.address.clone(), Action::NoOp, "attached as declared"));
        } else {
            let ours = draft.known.has_program(program_id);
            if !ours && !adopt::takes_back(&address, record.id, draft) {
                let reason = format!(
                    "the filter runs program id {program_id}, which is not this deployment's: remove \
                     it with `tc filter del dev {} {} pref {}`",
                    key.interface,
                    key.direction.as_str(),
                    key.priority
                );
                return draft.refuse(self.address, reason);
            }
            let (previous, reason) = if ours {
                let reason = "its program changed: replaced in place".to_owned();
                (draft.open_program(program_id), reason)
            } else {
                let reason = format!("{}: put back in place", runs_another(program_id));
                (Some(draft.open_foreign(program_id)), reason)
            };
            self.hold_program(draft);
            let program = self.program.slot.clone();
            draft.step(Phase::Links, Step::ReplaceFilter { key, program, previous });
            draft.change(Change::new(self.address.clone(), Action::Update, reason));
        }
        if address != self.address {
            draft.taken.insert(address, self.address.clone());
        }
        let attachment = Some(self.attachment.clone());
        let record = LinkRecord { attachment, program: self.program_address.clone(), ..record };
        draft.after.resources.insert(self.address, Resource::Link(record));
    }

    fn attach_filter(self, action: Action, reason: &str, target: u64, draft: &mut Draft<'_>) {
        self.hold_program(draft);
        let here = |index: &u32| u64::from(*index) == target;
        let known = draft.live.others.clsact.union(&draft.clsact).any(here)
            || draft.inventory().clsact().any(|index| here(&index));
        if known || !draft.live.clsact.iter().any(here) {
            draft.clsact.extend(u32::try_from(target));
        }
        let step = Step::AttachFilter {
            shares_clsact: known,
            address: self.address.clone(),
            program: self.program.clone(),
            attachment: self.attachment.clone(),
        };
        draft.step(Phase::Links, step);
        // The executor records it: the kernel may choose priority and handle.
        draft.change(Change::new(self.address.clone(), action, self.noted(reason)));
    }
}

/// Removes the filter that another of the same attachment replaces, if it runs what is ours.
fn remove_old_filter(key: &FilterKey, draft: &mut Draft<'_>) {
    let running = draft.live.filters.get(key).map_or(0, |filter| filter.program_id);
    if draft.known.has_program(running) {
        let program = draft.open_program(running);
        let step = Step::RemoveFilter { key: key.clone(), program, with_clsact: false };
        draft.step(Phase::RemoveFilters, step);
    }
}

/// The live filter on record for an address, at the wanted target.
fn live_filter(
    address: &Address,
    target: u64,
    draft: &Draft<'_>,
) -> Option<(Address, LinkRecord, FilterKey)> {
    let record = draft.inventory().link(address)?;
    let Anchor::Filter { key, .. } = &record.anchor else { return None };
    let there = u64::from(key.index) == target && draft.live.filters.contains_key(key);
    there.then(|| (address.clone(), record.clone(), key.clone()))
}
