//! What is on record and no longer wanted: removed if it is ours, otherwise let go.

use std::collections::BTreeSet;

use crate::model::address::Address;
use crate::model::inventory::{Anchor, LinkRecord, MapRecord, ProgramRecord, Resource};
use crate::model::live::LiveObject;
use crate::model::pin::{PinPath, PinPolicy};

use super::draft::{Draft, Phase};
use super::{Action, Change, Step};

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
    fn reason(self) -> &'static str {
        match self {
            Self::Converge => "no longer in the manifest",
            Self::End | Self::Purge => "the deployment ends",
        }
    }
}

/// Plans the end of every recorded resource that the draft does not keep.
pub(super) fn prune(mode: Mode, draft: &mut Draft<'_>) {
    let kept: BTreeSet<PinPath> = draft.after.pins().map(|(pin, _)| pin.clone()).collect();
    let inventory = draft.inventory;
    let leaving = inventory.resources.iter();
    let leaving: Vec<_> =
        leaving.filter(|(address, _)| !draft.after.resources.contains_key(*address)).collect();
    for (address, resource) in leaving {
        match resource {
            Resource::Link(link) => prune_link(address, link, mode, draft),
            Resource::Program(program) => prune_program(address, program, mode, draft),
            Resource::Map(map) if map.pin.as_ref().is_some_and(|pin| kept.contains(pin)) => {
                draft.change(Change::new(
                    address.clone(),
                    Action::Forget,
                    "another object uses it",
                ));
            }
            Resource::Map(map) => prune_map(address, map, mode, draft),
        }
    }
}

fn prune_link(address: &Address, link: &LinkRecord, mode: Mode, draft: &mut Draft<'_>) {
    let change = match &link.anchor {
        Anchor::Pin(pin) => unpin(pin, link.id, Phase::RetireLinks, draft),
        Anchor::Filter { key, made_clsact } => {
            let program = draft.inventory.program(&link.program);
            let running = draft.live.filters.get(key).map(|filter| filter.program_id);
            match (program, running) {
                (_, None) => Err("already gone".to_owned()),
                (Some(program), Some(id)) if program.id == id => {
                    match draft.live.pins.get(&program.pin).and_then(LiveObject::id) {
                        Some(found) if found == id => {
                            let slot = draft.open(&program.pin, id);
                            let step = Step::RemoveFilter {
                                key: key.clone(),
                                program: slot,
                                with_clsact: *made_clsact,
                            };
                            draft.step(Phase::RetireLinks, step);
                            Ok(())
                        }
                        _ => {
                            Err(format!("its program's pin {} is gone; left in place", program.pin))
                        }
                    }
                }
                (_, Some(id)) => Err(format!("it runs program id {id}, not ours; left in place")),
            }
        }
    };
    conclude(address, change, mode, draft);
}

fn prune_program(address: &Address, program: &ProgramRecord, mode: Mode, draft: &mut Draft<'_>) {
    if let Some(public) = &program.public {
        let persists = public.policy == PinPolicy::PersistOnExit && mode != Mode::Purge;
        if persists {
            let at = draft.after.pin_root.join(&public.pin);
            let reason = format!("stays pinned at {} (persist-on-exit)", at.display());
            draft.change(Change::new(address.clone(), Action::Forget, reason));
            let _ = unpin(&program.pin, program.id, Phase::RetirePrograms, draft);
            return;
        }
        let _ = unpin(&public.pin, program.id, Phase::RetirePrograms, draft);
    }
    let result = unpin(&program.pin, program.id, Phase::RetirePrograms, draft);
    conclude(address, result, mode, draft);
}

fn prune_map(address: &Address, map: &MapRecord, mode: Mode, draft: &mut Draft<'_>) {
    let Some(pin) = &map.pin else {
        return draft.change(Change::new(address.clone(), Action::Delete, mode.reason()));
    };
    if !map.owned {
        let reason = "not ours: stays as it is";
        return draft.change(Change::new(address.clone(), Action::Forget, reason));
    }
    if map.policy == PinPolicy::PersistOnExit && mode != Mode::Purge {
        let there = draft.live.pins.get(pin).and_then(LiveObject::id) == Some(map.id);
        if there {
            if !map.forgotten {
                let at = draft.after.pin_root.join(pin);
                let reason = format!("stays pinned at {} (persist-on-exit)", at.display());
                draft.change(Change::new(address.clone(), Action::Forget, reason));
            }
            let record = MapRecord { forgotten: true, ..map.clone() };
            draft.after.resources.insert(address.clone(), Resource::Map(record));
            return;
        }
    }
    // Two addresses may share one pin; the first removes it.
    if draft.is_retired(pin) {
        return draft.change(Change::new(address.clone(), Action::Delete, mode.reason()));
    }
    let result = unpin(pin, map.id, Phase::RetireMaps, draft);
    conclude(address, result, mode, draft);
}

/// Plans to remove a pin of ours.
///
/// # Errors
/// Why there is nothing to remove, in words.
fn unpin(pin: &PinPath, id: u32, phase: Phase, draft: &mut Draft<'_>) -> Result<(), String> {
    match draft.live.pins.get(pin) {
        None => Err("already gone".to_owned()),
        Some(found) if found.id() == Some(id) => {
            draft.unpin(phase, pin, id);
            Ok(())
        }
        Some(found) => {
            let at = draft.after.pin_root.join(pin);
            Err(format!("{} holds {} that is not ours; left in place", at.display(), found.kind()))
        }
    }
}

fn conclude(address: &Address, result: Result<(), String>, mode: Mode, draft: &mut Draft<'_>) {
    let change = match result {
        Ok(()) => Change::new(address.clone(), Action::Delete, mode.reason()),
        Err(reason) => Change::new(address.clone(), Action::Forget, reason),
    };
    draft.change(change);
}
