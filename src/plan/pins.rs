//! From what every pin path holds to what it shall hold.
//!
//! Each claimed path is settled against what lies there: kept, renamed to, pinned, or swapped. Each
//! pin of ours that nobody claims is retired through the stage, or forgotten where it persists.
//! Nothing else in the planner decides about pins.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::address::Address;
use crate::model::identity::{Identity, ObjectKind};
use crate::model::inventory::{Anchor, LinkRecord, ProgramRecord, Resource};
use crate::model::kinds::LinkType;
use crate::model::live::LiveObject;
use crate::model::pin::{PinPath, PinPolicy};

use super::Step;
use super::draft::{Claim, Draft, Phase, Source, foreign};
use super::prune::Mode;

/// What becomes of a pin of ours that nobody claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is removed.
    Removed,
    /// It persists: it stays, and is remembered.
    Forgotten,
}

/// Plans the way of every pin.
pub(super) fn settle(mode: Mode, draft: &mut Draft<'_>) {
    bring_home(mode, draft);
    let ours = ours(mode, draft);
    let claims: Vec<(PinPath, Claim)> =
        draft.claims.iter().map(|(pin, claim)| (pin.clone(), claim.clone())).collect();
    let mut renamed = BTreeSet::new();
    for (pin, claim) in &claims {
        let from = movable(pin, claim, &ours, &renamed, draft).cloned();
        settle_claim(pin, claim, from.as_ref(), &ours, draft);
        renamed.extend(from);
    }
    for (pin, (identity, fate)) in &ours {
        if draft.claims.contains_key(pin) || renamed.contains(pin) {
            continue;
        }
        match fate {
            _ if draft.superseded.contains(pin) => retire(pin, *identity, draft),
            Fate::Removed => retire(pin, *identity, draft),
            Fate::Forgotten => drop(draft.after.forgotten.insert(pin.clone(), *identity)),
        }
    }
}

/// Something of ours persists and nobody wants it now. If a run that was killed has put something else in
/// its place, it claims that place again.
fn bring_home(mode: Mode, draft: &mut Draft<'_>) {
    if mode == Mode::Purge {
        return;
    }
    for (address, resource) in &draft.inventory().resources {
        let Some((from, home)) = put_aside(resource, draft) else { continue };
        let identity = resource.identity();
        let is_it = |claim: &Claim| claim.source.identity() == Some(identity);
        if draft.identity_at(from) != Some(identity)
            || draft.superseded.contains(from)
            || draft.claims.values().any(is_it)
        {
            continue;
        }
        let found = draft.identity_at(home);
        if let Some(claim) = draft.claims.get(home) {
            // The one that the killed run was to leave there, or another like it.
            if claim.replaces || (found.is_some() && claim.source.identity() == found) {
                draft.superseded.insert(from.clone());
                continue;
            }
            let reason = format!(
                "it persists and belongs to {}, from where a run that was killed has put it aside: \
                 apply the manifest before that one, or choose another `subpath` for what shall be \
                 there now",
                draft.after.pin_root.join(home).display()
            );
            draft.refuse(address.clone(), reason);
            continue;
        }
        let is_free = !draft.live.pins.contains_key(home);
        if !is_free && !is_litter(home, draft) {
            continue;
        }
        let source = Source::Live { pin: from.clone(), identity };
        draft.claim(home.clone(), address, source, Phase::PinMaps);
        draft.superseded.insert(from.clone());
        draft.after.forgotten.insert(home.clone(), identity);
    }
}

/// Where something that persists is, and where it belongs, if a run that was killed has parted those. A
/// map has no other pin; programs and links have a private one, so only their public pin is another's.
fn put_aside<'r>(resource: &'r Resource, draft: &Draft<'_>) -> Option<(&'r PinPath, &'r PinPath)> {
    let (from, public) = match resource {
        Resource::Map(map) if map.owned && map.policy == PinPolicy::PersistOnExit => {
            return Some((map.pin.as_ref()?, map.home.as_ref()?));
        }
        Resource::Program(program) => (&program.pin, program.public.as_ref()?),
        Resource::Link(LinkRecord { anchor: Anchor::Pin(pin), public, .. }) => {
            (pin, public.as_ref()?)
        }
        Resource::Map(_) | Resource::Link(_) => return None,
    };
    let persists = public.policy == PinPolicy::PersistOnExit;
    (persists && is_litter(&public.pin, draft)).then_some((from, &public.pin))
}

/// Whether what lies at a pin path is what a killed run left and nothing uses.
pub(super) fn is_litter(pin: &PinPath, draft: &Draft<'_>) -> bool {
    let found = draft.identity_at(pin);
    draft.known.litter.iter().any(|(of, identity)| of == pin && Some(*identity) == found)
}

/// Every pin that is ours and there, with its object and what becomes of it if unclaimed.
fn ours(mode: Mode, draft: &Draft<'_>) -> BTreeMap<PinPath, (Identity, Fate)> {
    let persists = if mode == Mode::Purge { Fate::Removed } else { Fate::Forgotten };
    let fate = |policy| if policy == PinPolicy::PersistOnExit { persists } else { Fate::Removed };
    let inventory = draft.inventory();
    let mut all: BTreeMap<PinPath, (Identity, Fate)> = BTreeMap::new();
    let mut add = |pin: &PinPath, identity: Identity, fate: Fate| {
        if draft.identity_at(pin) != Some(identity) || draft.released.contains(pin) {
            return;
        }
        // Of two resources that share a pin, the one that persists decides.
        let entry = all.entry(pin.clone()).or_insert((identity, fate));
        if fate == Fate::Forgotten {
            entry.1 = fate;
        }
    };
    let owned = inventory.resources.iter().filter(|(_, resource)| resource.is_owned());
    for (address, resource) in owned {
        for (pin, identity) in resource.pins() {
            let fate = match resource {
                Resource::Map(map) => fate(map.policy),
                Resource::Program(ProgramRecord { public: Some(public), .. })
                    if public.pin == *pin =>
                {
                    fate(public.policy)
                }
                // One that is pinned elsewhere has moved.
                Resource::Link(LinkRecord { public: Some(public), .. })
                    if public.pin == *pin && !is_public(address, draft) =>
                {
                    fate(public.policy)
                }
                Resource::Program(_) | Resource::Link(_) => Fate::Removed,
            };
            add(pin, identity, fate);
        }
    }
    for (pin, identity) in &inventory.forgotten {
        add(pin, *identity, persists);
    }
    for (pin, identity) in &draft.known.litter {
        add(pin, *identity, Fate::Removed);
    }
    all
}

/// Whether a wanted link has a pin for users.
fn is_public(address: &Address, draft: &Draft<'_>) -> bool {
    draft.after.link(address).is_some_and(|link| link.public.is_some())
}

/// The pin that a claimed object can simply be renamed from: ours, claimed by nobody, not used yet.
fn movable<'c>(
    pin: &PinPath,
    claim: &'c Claim,
    ours: &BTreeMap<PinPath, (Identity, Fate)>,
    renamed: &BTreeSet<PinPath>,
    draft: &Draft<'_>,
) -> Option<&'c PinPath> {
    let Source::Live { pin: from, .. } = &claim.source else { return None };
    let free = from != pin
        && !draft.live.pins.contains_key(pin)
        && ours.contains_key(from)
        && !draft.claims.contains_key(from)
        && !renamed.contains(from);
    free.then_some(from)
}

fn settle_claim(
    pin: &PinPath,
    claim: &Claim,
    from: Option<&PinPath>,
    ours: &BTreeMap<PinPath, (Identity, Fate)>,
    draft: &mut Draft<'_>,
) {
    let released = draft.released.contains(pin);
    let Some(found) = draft.live.pins.get(pin).filter(|_| !released) else {
        let Some(from) = from else {
            draft.make_directories(pin);
            let slot = draft.slot(&claim.source);
            return draft.step(claim.phase, Step::Pin { slot, pin: pin.clone() });
        };
        draft.make_directories(pin);
        let step = Step::Rename { from: from.clone(), to: pin.clone() };
        return draft.step(claim.phase, step);
    };
    if is_it(&claim.source, found) {
        return;
    }
    let recorded = ours.get(pin).copied();
    if let Some((_, Fate::Forgotten)) = recorded
        && !claim.replaces
        && !has_another_place(found, draft)
    {
        let at = draft.after.pin_root.join(pin);
        let reason = format!(
            "{} holds a map or program of this deployment that persists: move it with a `subpath`, or \
             remove it with `destroy --purge`",
            at.display()
        );
        return draft.refuse(claim.address.clone(), reason);
    }
    let proven = || found.identity().filter(|found| is_provably_ours(pin, *found, draft));
    let Some(identity) = recorded.map(|(identity, _)| identity).or_else(proven) else {
        let reason = foreign(&draft.after.pin_root, pin, found);
        return draft.refuse(claim.address.clone(), reason);
    };
    let slot = draft.slot(&claim.source);
    let stage = draft.stage();
    draft.step(claim.phase, Step::Swap { slot, pin: pin.clone(), stage, identity });
}

/// Whether something that is on no record is ours all the same: it lies where only this deployment
/// pins, or it is a program that this deployment loaded, or an iterator that runs one. Any other link
/// that runs one may be someone else's that was adopted, with a pin that is still theirs.
fn is_provably_ours(pin: &PinPath, found: Identity, draft: &Draft<'_>) -> bool {
    let runs_ours = match draft.live.pins.get(pin) {
        Some(LiveObject::Link(link)) => {
            link.link_type == LinkType::ITER && draft.known.has_program(link.program_id)
        }
        _ => false,
    };
    (found.kind == ObjectKind::Program && draft.known.has_program(found.id))
        || runs_ours
        || pin.is_private_to(&draft.after.name)
}

/// Whether some claim keeps the object, wherever.
fn has_another_place(object: &LiveObject, draft: &Draft<'_>) -> bool {
    draft.claims.values().any(|claim| is_it(&claim.source, object))
}

/// Whether `found` is what the source names.
fn is_it(source: &Source, found: &LiveObject) -> bool {
    source.identity().is_some_and(|identity| found.identity() == Some(identity))
}

fn retire(pin: &PinPath, identity: Identity, draft: &mut Draft<'_>) {
    if pin.is_staged() {
        // It is where retired pins go; it only has to be dropped.
        draft.open(pin, identity);
        return draft.step(Phase::DropStaged, Step::DropStaged(pin.clone()));
    }
    let stage = draft.stage();
    draft.step(Phase::Retire, Step::Retire { pin: pin.clone(), stage, identity });
}
