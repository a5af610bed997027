//! Programs of maps of sockets before Linux 6.10, which has links to them: the map itself keeps them.
//!
//! A map takes what is attached last, whoever does it, and keeps it as long as the map is pinned or held. So
//! what it runs tells what of it is ours, and what is ours and not wanted is detached, program by program.
//! Before Linux 5.18 the kernel does not tell what a map runs: then only the record does, and only of maps
//! that are this deployment's own.

use std::collections::BTreeSet;

use crate::model::address::Address;
use crate::model::attach::Attachment;
use crate::model::identity::Identity;
use crate::model::inventory::{Anchor, LinkRecord, Resource};
use crate::model::kinds::AttachType;
use crate::model::live::LiveObject;
use crate::model::name::Name;
use crate::model::socket_hook::{Kept, SocketHook};

use super::draft::{Draft, Phase, Source};
use super::link_kinds::lost_reason;
use super::links::{Wanted, runs_another};
use super::prune::Mode;
use super::{Action, Change, Slot, Sockets, Step, adopt};

/// What it means that a map keeps an attachment.
const KEPT: &str = "Linux has links to maps of sockets since 6.10, so the map keeps it: it has no pin of its \
                    own, and stays with the map until it is detached";

/// What is to be done at a hook.
enum Verdict {
    /// The program is there.
    Stays,
    /// It is attached, in the place of the other one.
    Attached(Action, String, Option<Slot>),
    /// It cannot be.
    Refused(String),
}

impl Wanted<'_> {
    pub(super) fn plan_kept(self, wanted: &BTreeSet<Address>, draft: &mut Draft<'_>) {
        let Some((map, attach_type, source)) = self.sockets() else {
            return draft.refuse(self.address, "its section does not say for which calls it is");
        };
        let hook = source.identity().map(|map| SocketHook { map: map.id, attach_type });
        let verdict = match hook {
            Some(hook) => self.settle_hook(hook, draft),
            None => self.attached_anew(draft),
        };
        let (action, reason, old) = match verdict {
            Verdict::Refused(reason) => return draft.refuse(self.address, reason),
            Verdict::Stays => (Action::NoOp, "attached as declared".to_owned(), None),
            Verdict::Attached(action, reason, old) => (action, format!("{reason}; {KEPT}"), old),
        };
        if action != Action::NoOp {
            self.hold_program(draft);
            let change = Sockets {
                map: draft.slot(&source),
                attach_type,
                from: old,
                to: Some(self.program.slot.clone()),
            };
            draft.step(Phase::Links, Step::Sockets(change));
        }
        draft.change(Change::new(self.address.clone(), action, reason));
        if let Some(hook) = hook {
            draft.kept_hooks.insert(hook);
            let heir = leaving(hook, wanted, draft);
            draft.taken.extend(heir.map(|address| (address, self.address.clone())));
        }
        let record = LinkRecord {
            id: 0,
            program: self.program_address.clone(),
            attachment: Some(self.attachment.clone()),
            anchor: Anchor::Map { map, attach_type },
            public: None,
        };
        draft.after.resources.insert(self.address, Resource::Link(record));
    }

    /// The map, the hook, and where the map comes from.
    fn sockets(&self) -> Option<(Address, AttachType, Source)> {
        let Attachment::Sockmap { object, map } = self.attachment else { return None };
        let address = Address::map(&Name::new(object).ok()?, map);
        Some((address, self.attach_type()?, self.others.get(map)?.clone()))
    }

    /// Nobody is attached to a map that is yet to be made, or at an empty hook.
    fn attached_anew(&self, draft: &Draft<'_>) -> Verdict {
        let (action, reason) = self.anew(draft);
        Verdict::Attached(action, reason.to_owned(), None)
    }

    fn anew(&self, draft: &Draft<'_>) -> (Action, &'static str) {
        match draft.inventory().link(&self.address) {
            Some(_) => (Action::Replace, lost_reason(self.attachment)),
            None => (Action::Create, "not attached yet"),
        }
    }

    fn settle_hook(&self, hook: SocketHook, draft: &mut Draft<'_>) -> Verdict {
        let at = |hook: SocketHook| draft.live.sockets.as_ref()?.get(&hook);
        match at(hook) {
            None | Some(Kept::Nothing) => {
                match hook.rival().and_then(|rival| Some((rival, at(rival)?))) {
                    Some((rival, Kept::Program { id, name })) if !draft.known.has_program(*id) => {
                        Verdict::Refused(foreign(rival, *id, name))
                    }
                    _ => self.attached_anew(draft),
                }
            }
            Some(Kept::Untold) => self.settle_untold(hook, draft),
            Some(Kept::Program { id, .. }) if self.runs_already(*id, draft) => Verdict::Stays,
            Some(kept @ Kept::Program { id, .. }) if draft.known.has_program(*id) => {
                let old = program(*id, kept, draft);
                Verdict::Attached(Action::Update, CHANGED.to_owned(), old)
            }
            Some(Kept::Program { id, .. }) if adopt::takes_back(&self.address, 0, draft) => {
                let reason = format!("{}: put back in its place", runs_another(*id));
                Verdict::Attached(Action::Update, reason, Some(draft.open_foreign(*id)))
            }
            Some(Kept::Program { id, name }) => Verdict::Refused(foreign(hook, *id, name)),
        }
    }

    /// Where the kernel does not tell, nobody else's program may be there by all that is known.
    fn settle_untold(&self, hook: SocketHook, draft: &mut Draft<'_>) -> Verdict {
        let recorded = recorded(hook, draft);
        if let Some(id) = recorded.filter(|_| !draft.known.interrupted)
            && self.runs_already(id, draft)
        {
            return Verdict::Stays;
        }
        let old = recorded.and_then(|id| draft.open_program(id));
        if draft.known.interrupted && recorded.is_some() {
            let reason = "the last run was cut short, and the kernel does not tell what it has attached: \
                          attached again";
            return Verdict::Attached(Action::Update, reason.to_owned(), old);
        }
        if recorded.is_some() {
            return Verdict::Attached(Action::Update, CHANGED.to_owned(), old);
        }
        let identity = Identity::map(hook.map);
        if draft.inventory().owned_pins().any(|(_, of)| of == identity) {
            let (action, reason) = self.anew(draft);
            return Verdict::Attached(action, format!("{reason}; {BLIND}"), None);
        }
        Verdict::Refused(format!(
            "map id {} is not on record as this deployment's, and before Linux 5.18 the kernel does not tell \
             whether another program is attached to it, which would lose its place: choose a `subpath` \
             where nothing is pinned, or remove the pin, and a map of this deployment's own is made",
            hook.map
        ))
    }
}

/// What is said of a hook whose program is swapped.
const CHANGED: &str = "its program changed: swapped atomically";

/// What is said of a map of ours of which nobody knows what it runs.
const BLIND: &str = "what else somebody may have attached to this map of ours loses its place, for before \
                     Linux 5.18 the kernel does not tell of it";

/// Why a program of someone else's is in the way.
fn foreign(hook: SocketHook, id: u32, name: &str) -> String {
    let named = if name.is_empty() { String::new() } else { format!(" (`{name}`)") };
    format!(
        "program id {id}{named} is attached to the map as {}, without a link, and is not this \
         deployment's: it must go first (`{}`)",
        hook.word(),
        hook.detach_command(id)
    )
}

/// The program on record for a hook.
fn recorded(hook: SocketHook, draft: &Draft<'_>) -> Option<u32> {
    let inventory = draft.inventory();
    inventory.resources.values().find_map(|resource| {
        let Resource::Link(link) = resource else { return None };
        let here = inventory.socket_hook(link) == Some(hook);
        here.then(|| inventory.program(&link.program)).flatten().map(|program| program.id)
    })
}

/// What is on record for the hook and leaves.
fn leaving(hook: SocketHook, wanted: &BTreeSet<Address>, draft: &Draft<'_>) -> Option<Address> {
    let inventory = draft.inventory();
    let mut leaving = inventory.resources.iter().filter(|(address, _)| !wanted.contains(*address));
    let here = leaving.find(|(_, resource)| match resource {
        Resource::Link(link) => inventory.socket_hook(link) == Some(hook),
        _ => false,
    });
    here.map(|(address, _)| address.clone())
}

/// Says what becomes of an attachment that leaves.
pub(super) fn prune(address: &Address, record: &LinkRecord, mode: Mode, draft: &mut Draft<'_>) {
    let hook = draft.inventory().socket_hook(record);
    let found = hook.and_then(|hook| draft.live.sockets.as_ref()?.get(&hook));
    let change = match found {
        None | Some(Kept::Nothing) => Change::new(address.clone(), Action::Delete, "already gone"),
        Some(Kept::Program { id, .. }) if !draft.known.has_program(*id) => {
            let reason = format!("program id {id} is attached there, not ours; left in place");
            Change::new(address.clone(), Action::Forget, reason)
        }
        Some(Kept::Untold) if !is_pinned(&record.program, draft) => {
            let reason = "its program is not pinned any more, and only who has it can detach it: stays \
                          with the map";
            Change::new(address.clone(), Action::Forget, reason)
        }
        Some(_) => Change::new(address.clone(), Action::Delete, mode.reason()),
    };
    draft.change(change);
}

fn is_pinned(program: &Address, draft: &Draft<'_>) -> bool {
    let recorded = draft.inventory().program(program);
    recorded.is_some_and(|program| draft.known.program_pin(program.id).is_some())
}

/// Detaches what is ours and not wanted.
pub(super) fn settle(draft: &mut Draft<'_>) {
    let live = draft.live;
    for (hook, kept) in live.sockets.iter().flatten() {
        if draft.kept_hooks.contains(hook) {
            continue;
        }
        for id in ours(*hook, kept, draft) {
            let (Some(map), Some(program)) = (map(hook.map, draft), program(id, kept, draft))
            else {
                continue;
            };
            let attach_type = hook.attach_type;
            let change = Sockets { map, attach_type, from: Some(program), to: None };
            // A map takes one of two kinds of verdicts; what is attached to another map comes first.
            let stays = draft.kept_hooks.iter().any(|kept| kept.map == hook.map);
            let phase = if stays { Phase::Unregister } else { Phase::RemoveFilters };
            draft.step(phase, Step::Sockets(change));
        }
    }
}

/// The programs of ours that are at a hook, or may be: where the kernel does not tell, the one on record,
/// and after a run that was cut short any that fits.
fn ours(hook: SocketHook, kept: &Kept, draft: &Draft<'_>) -> BTreeSet<u32> {
    match kept {
        Kept::Program { id, .. } if draft.known.has_program(*id) => BTreeSet::from([*id]),
        Kept::Untold if draft.known.interrupted => {
            let fitting = draft.live.pins.values().filter_map(|found| match found {
                LiveObject::Program(found) if found.program_type == hook.program_type() => {
                    Some(found.id)
                }
                _ => None,
            });
            fitting.filter(|id| draft.known.has_program(*id)).collect()
        }
        Kept::Untold => recorded(hook, draft).into_iter().collect(),
        Kept::Nothing | Kept::Program { .. } => BTreeSet::new(),
    }
}

/// A program of ours. One that lost its pin is there all the same if the kernel tells of it.
fn program(id: u32, kept: &Kept, draft: &mut Draft<'_>) -> Option<Slot> {
    match (draft.open_program(id), kept) {
        (None, Kept::Program { .. }) => Some(draft.open_foreign(id)),
        (opened, _) => opened,
    }
}

/// A map of sockets, wherever it is pinned; without a pin, it keeps nothing that could be detached.
fn map(id: u32, draft: &mut Draft<'_>) -> Option<Slot> {
    let identity = Identity::map(id);
    let mut pins = draft.live.pins.iter();
    let pin = pins.find(|(_, found)| found.identity() == Some(identity))?.0.clone();
    Some(draft.open(&pin, identity))
}
