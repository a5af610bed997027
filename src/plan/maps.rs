//! Maps: which pins are used, created, replaced, moved or refused.

use std::collections::BTreeMap;

use crate::model::address::Address;
use crate::model::inventory::{MapRecord, Resource};
use crate::model::kinds::MapType;
use crate::model::live::{LiveMap, LiveObject};
use crate::model::map::MapSpec;
use crate::model::name::Name;
use crate::model::pin::{OnMismatch, PinPath, PinPolicy};
use crate::validate::{Desired, DesiredMap, DesiredObject};

use super::compat::{self, Mismatch};
use super::draft::{Draft, Phase, foreign};
use super::{Action, Change, Slot, Step};

/// The pinned maps of one object: where each is found.
pub(super) type Bindings = BTreeMap<String, Binding>;

/// Where a pinned map is found.
#[derive(Clone, Debug)]
pub(super) enum Binding {
    /// Pinned already; at `pin` when the run begins.
    Existing { pin: PinPath, id: u32 },
    /// Created by this run.
    Created(Address),
    /// Neither: the plan is refused.
    Refused,
}

/// Decides on every pinned map of every object. Two objects with one path share one map.
pub(super) fn bind(desired: &Desired, draft: &mut Draft<'_>) -> Vec<Bindings> {
    let mut shared: BTreeMap<PinPath, (Address, Binding)> = BTreeMap::new();
    let mut all = Vec::new();
    for object in &desired.objects {
        let mut bindings = Bindings::new();
        for map in &object.maps {
            let Some(pin) = &map.pin else { continue };
            let address = Address::map(&object.name, &map.spec.name);
            let binding = if let Some((owner, binding)) = shared.get(pin) {
                share(&address, owner, draft);
                binding.clone()
            } else {
                let binding = Decision { address: &address, map, pin, object }.decide(draft);
                shared.insert(pin.clone(), (address, binding.clone()));
                binding
            };
            bindings.insert(map.spec.name.clone(), binding);
        }
        all.push(bindings);
    }
    all
}

/// A second object's use of a map that the plan has decided on.
fn share(address: &Address, owner: &Address, draft: &mut Draft<'_>) {
    let record = draft.after.resources.get(owner).cloned();
    let known = draft.inventory.map(address).map(|map| map.id);
    let action = match &record {
        Some(Resource::Map(map)) if map.id != 0 && Some(map.id) == known => Action::NoOp,
        _ => Action::Adopt,
    };
    draft.change(Change::new(address.clone(), action, format!("shares the map of {owner}")));
    if let Some(record) = record {
        draft.after.resources.insert(address.clone(), record);
    }
}

/// One pinned map to decide on.
struct Decision<'d> {
    address: &'d Address,
    map: &'d DesiredMap,
    pin: &'d PinPath,
    object: &'d DesiredObject,
}

impl Decision<'_> {
    fn decide(&self, draft: &mut Draft<'_>) -> Binding {
        match draft.live.pins.get(self.pin) {
            None => self.absent(draft),
            Some(LiveObject::Map(found)) => {
                let differences = compat::mismatches(&self.map.spec, found, &draft.live.host);
                if differences.is_empty() {
                    self.matching(found, draft)
                } else {
                    self.differing(found, &differences, draft)
                }
            }
            Some(LiveObject::Unreadable { reason }) => {
                let path = draft.after.pin_root.join(self.pin);
                let reason = format!("{} cannot be opened: {reason}", path.display());
                self.refuse(reason, draft)
            }
            Some(other) => {
                let reason = foreign(&draft.after.pin_root, self.pin, other);
                self.refuse(reason, draft)
            }
        }
    }

    fn absent(&self, draft: &mut Draft<'_>) -> Binding {
        if self.map.external {
            let path = draft.after.pin_root.join(self.pin);
            let reason = format!(
                "an external map must exist, and nothing is pinned at {}: start its owner first",
                path.display()
            );
            return self.refuse(reason, draft);
        }
        let record = draft.inventory.map(self.address);
        if let Some((from, found)) = record.and_then(|record| self.moved_from(record, draft)) {
            return self.move_pin(&from, &found, draft);
        }
        let lost = record.is_some_and(|record| record.pin.as_ref() == Some(self.pin));
        let reason = if lost { "its pin is gone; starts empty" } else { "not pinned yet" };
        self.create(Action::Create, reason, draft)
    }

    /// The pin of the same map at another path, if the manifest moved it.
    fn moved_from(&self, record: &MapRecord, draft: &Draft<'_>) -> Option<(PinPath, LiveMap)> {
        let from = record.pin.as_ref().filter(|from| *from != self.pin && record.owned)?;
        match draft.live.pins.get(from) {
            Some(LiveObject::Map(found)) if found.id == record.id => {
                Some((from.clone(), found.clone()))
            }
            _ => None,
        }
    }

    fn move_pin(&self, from: &PinPath, found: &LiveMap, draft: &mut Draft<'_>) -> Binding {
        let differences = compat::mismatches(&self.map.spec, found, &draft.live.host);
        if !differences.is_empty() {
            let reason = format!(
                "the map at {from} would have to move, and its shape differs: {}",
                list(&differences)
            );
            return self.refuse(reason, draft);
        }
        let root = draft.after.pin_root.clone();
        let change = Change::new(self.address.clone(), Action::Move, "its path changed")
            .before(root.join(from).display().to_string())
            .after(root.join(self.pin).display().to_string());
        draft.change(change);
        draft.rename(Phase::PinMaps, from, self.pin);
        self.record(found.id, true, draft);
        Binding::Existing { pin: from.clone(), id: found.id }
    }

    fn matching(&self, found: &LiveMap, draft: &mut Draft<'_>) -> Binding {
        let owned = !self.map.external && draft.inventory.owns(self.pin, found.id);
        let record = draft.inventory.map(self.address);
        if record.is_some_and(|record| self.moved_from(record, draft).is_some()) {
            let reason = format!(
                "{} is taken by another map, and this deployment's map would have to move there",
                draft.after.pin_root.join(self.pin).display()
            );
            return self.refuse(reason, draft);
        }
        let known = record.is_some_and(|record| {
            record.id == found.id && record.owned == owned && !record.forgotten
        });
        let change = match record {
            Some(record) if known && record.policy != kept_policy(self.map) => {
                Change::new(self.address.clone(), Action::Update, "its pin policy changed")
                    .before(record.policy.as_str())
                    .after(kept_policy(self.map).as_str())
            }
            Some(_) if known => {
                Change::new(self.address.clone(), Action::NoOp, "pinned as declared")
            }
            _ => {
                let reason = if self.map.external {
                    "external: used, never created, replaced or unlinked"
                } else if owned {
                    "pinned before with the same shape; contents kept"
                } else {
                    "pinned by someone else with the same shape: used, contents kept, never unlinked"
                };
                Change::new(self.address.clone(), Action::Adopt, reason)
                    .before(self.located(draft, &format!("id {}", found.id)))
            }
        };
        draft.change(change);
        self.record(found.id, owned, draft);
        Binding::Existing { pin: self.pin.clone(), id: found.id }
    }

    fn differing(&self, found: &LiveMap, all: &[Mismatch], draft: &mut Draft<'_>) -> Binding {
        let owned = draft.inventory.owns(self.pin, found.id);
        let differences = list(all);
        match self.map.on_mismatch {
            OnMismatch::Replace if owned && !self.map.external => {
                let reason =
                    format!("another shape, contents dropped (on-mismatch): {differences}");
                self.create(Action::Replace, &reason, draft)
            }
            on_mismatch => {
                let advice = match on_mismatch {
                    _ if self.map.external => "its owner must change it",
                    _ if !owned => {
                        "it is not on record as this deployment's, so it is not replaced: remove it \
                         by hand, or choose another `subpath`"
                    }
                    OnMismatch::Fail | OnMismatch::Replace => {
                        "set `on-mismatch = \"replace\"` to start empty, or move the new map with a \
                         `subpath`"
                    }
                    OnMismatch::Migrate => {
                        "this version cannot migrate entries yet: use `on-mismatch = \"replace\"` to \
                         start empty"
                    }
                };
                let reason = format!("a pin of another shape is there: {differences}; {advice}");
                let change = Change::new(self.address.clone(), Action::Refuse, reason)
                    .before(self.located(draft, &compat::describe(&found.shape)))
                    .after(compat::describe(&self.shape(draft)));
                draft.change(change);
                Binding::Refused
            }
        }
    }

    fn create(&self, action: Action, reason: &str, draft: &mut Draft<'_>) -> Binding {
        let after = self.located(draft, &compat::describe(&self.shape(draft)));
        let mut change = Change::new(self.address.clone(), action, reason).after(after);
        if let Some(LiveObject::Map(found)) = draft.live.pins.get(self.pin) {
            change = change.before(compat::describe(&found.shape));
        }
        create_step(self.address, &self.object.name, &self.map.spec, draft);
        let slot = Slot::New(self.address.clone());
        if let Err(reason) = draft.place(Phase::PinMaps, slot, self.pin) {
            return self.refuse(reason, draft);
        }
        draft.change(change);
        self.record(0, true, draft);
        Binding::Created(self.address.clone())
    }

    fn refuse(&self, reason: impl Into<String>, draft: &mut Draft<'_>) -> Binding {
        draft.refuse(self.address.clone(), reason);
        Binding::Refused
    }

    fn shape(&self, draft: &Draft<'_>) -> crate::model::map::MapShape {
        self.map.spec.shape.normalised(&draft.live.host)
    }

    fn located(&self, draft: &Draft<'_>, text: &str) -> String {
        format!("{} ({text})", draft.after.pin_root.join(self.pin).display())
    }

    fn record(&self, id: u32, owned: bool, draft: &mut Draft<'_>) {
        record(self.address, self.map, Some(self.pin.clone()), id, owned, draft);
    }
}

/// Plans the maps that are not pinned by name: made anew whenever their object is loaded.
pub(super) fn plan_private(object: &DesiredObject, reload: Option<&str>, draft: &mut Draft<'_>) {
    for map in object.maps.iter().filter(|map| map.pin.is_none()) {
        let address = Address::map(&object.name, &map.spec.name);
        let known = draft.inventory.map(&address).cloned();
        let unpinned = retire_public_pin(&address, known.as_ref(), draft);
        let keeper = keeps_contents_only_while_referenced(&map.spec)
            .then(|| PinPath::map(&draft.name(), &object.name, &map.spec.name));
        if reload.is_none() {
            if !unpinned {
                draft.change(Change::new(address.clone(), Action::NoOp, "held by its programs"));
            }
            record(&address, map, keeper, known.map_or(0, |known| known.id), true, draft);
            continue;
        }
        let (action, reason) = match (&known, map.spec.is_declared()) {
            (None, true) => (Action::Create, "policy none: held by its programs, not pinned"),
            (None, false) => (Action::Create, "data section"),
            (Some(_), true) => (Action::Replace, "loaded again: contents dropped (policy none)"),
            (Some(_), false) => (Action::Replace, "loaded again: contents as in the object"),
        };
        let shape = map.spec.shape.normalised(&draft.live.host);
        let change = Change::new(address.clone(), action, reason).after(compat::describe(&shape));
        create_step(&address, &object.name, &map.spec, draft);
        let placed = match &keeper {
            Some(pin) => draft.place(Phase::PinMaps, Slot::New(address.clone()), pin),
            None => Ok(()),
        };
        match placed {
            Ok(()) => draft.change(change),
            Err(reason) => draft.refuse(address.clone(), reason),
        }
        record(&address, map, keeper, 0, true, draft);
    }
}

/// Unpins a map that was pinned by name and no longer is; says whether it did.
fn retire_public_pin(address: &Address, known: Option<&MapRecord>, draft: &mut Draft<'_>) -> bool {
    let Some(known) = known.filter(|known| known.policy.is_pinned() && known.owned) else {
        return false;
    };
    let Some(pin) = &known.pin else { return false };
    if draft.live.pins.get(pin).and_then(LiveObject::id) != Some(known.id) {
        return false;
    }
    draft.unpin(Phase::RetireMaps, pin, known.id);
    let change = Change::new(address.clone(), Action::Update, "no longer pinned (policy none)")
        .before(draft.after.pin_root.join(pin).display().to_string());
    draft.change(change);
    true
}

/// Whether the kernel drops a map's contents with its last user reference, though programs still
/// use it (`map_release_uref` in `kernel/bpf/`: prog arrays, sockmaps; timers and work queues too).
fn keeps_contents_only_while_referenced(spec: &MapSpec) -> bool {
    let by_type = [MapType::PROG_ARRAY, MapType::SOCKMAP, MapType::SOCKHASH];
    let timers = |name: &str| matches!(name, "struct bpf_timer" | "struct bpf_wq");
    by_type.contains(&spec.shape.map_type)
        || spec.value.as_ref().is_some_and(|value| value.contains(&timers))
}

fn create_step(address: &Address, object: &Name, spec: &MapSpec, draft: &mut Draft<'_>) {
    let step = Step::CreateMap {
        address: address.clone(),
        object: object.clone(),
        map: spec.name.clone(),
    };
    draft.step(Phase::CreateMaps, step);
}

/// What becomes of the pin when we are done with it. That of an external map is its owner's matter.
fn kept_policy(map: &DesiredMap) -> PinPolicy {
    if map.external { PinPolicy::None } else { map.policy }
}

fn record(
    address: &Address,
    map: &DesiredMap,
    pin: Option<PinPath>,
    id: u32,
    owned: bool,
    draft: &mut Draft<'_>,
) {
    let record = MapRecord {
        id,
        pin,
        policy: kept_policy(map),
        owned,
        forgotten: false,
        shape: map.spec.shape.normalised(&draft.live.host),
        layout: compat::layout_digest(&map.spec),
    };
    draft.after.resources.insert(address.clone(), Resource::Map(record));
}

fn list(differences: &[Mismatch]) -> String {
    let words = differences.iter().map(|difference| {
        format!(
            "{} {} in the object, {} in the pin",
            difference.field, difference.declared, difference.found
        )
    });
    words.collect::<Vec<_>>().join("; ")
}
