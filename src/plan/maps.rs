//! Maps: which existing map each wanted one is, and which are created.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::address::Address;
use crate::model::digest::Digest;
use crate::model::entries::Transfer;
use crate::model::identity::Identity;
use crate::model::inventory::{MapRecord, Resource};
use crate::model::live::{LiveMap, LiveObject};
use crate::model::map::{MapShape, MapSpec};
use crate::model::name::Name;
use crate::model::pin::{OnMismatch, PinPath, PinPolicy};
use crate::validate::{Desired, DesiredMap, DesiredObject};

use super::compat::{self, Mismatch};
use super::draft::{Draft, Phase, Source, foreign};
use super::migrate::{self, Migration};
use super::pins::is_litter;
use super::private::drops_contents_unreferenced;
use super::{Action, Adoption, Change, Slot, Step};

/// The pinned maps of one object: where each comes from; `None` where the plan is refused.
pub(super) type Bindings = BTreeMap<String, Option<Source>>;

/// A wanted map with a pin path.
struct Wanted<'d> {
    address: Address,
    object: &'d Name,
    map: &'d DesiredMap,
    pin: &'d PinPath,
    /// Whether a fresh map takes the place of one of the same shape.
    renew: bool,
}

/// Why an initialised prog array is made anew.
const RENEWED: &str = "loaded again: a fresh one with its initial programs takes its place";

/// A map that is ours and there.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) pin: PinPath,
    record: MapRecord,
    pub(super) found: LiveMap,
}

/// Decides on every pinned map of every object. Maps with one path are one map. For the paths of
/// `renewed`, what is there is not used again.
pub(super) fn bind(
    desired: &Desired,
    renewed: &BTreeSet<PinPath>,
    draft: &mut Draft<'_>,
) -> Vec<Bindings> {
    let wanted = all_wanted(desired, renewed);
    let places = places(&wanted, draft);
    let mut decided: BTreeMap<&PinPath, (Address, Option<Source>)> = BTreeMap::new();
    let mut bindings: BTreeMap<&Name, Bindings> = BTreeMap::new();
    for one in &wanted {
        let source = if let Some((owner, source)) = decided.get(one.pin) {
            share(one, owner, source.as_ref(), draft);
            source.clone()
        } else {
            let sharers = wanted.iter().filter(|other| other.pin == one.pin);
            let held = sharers.filter_map(|sharer| held(&sharer.address, draft));
            let mut held = held.filter(|held| places.get(&held.found.id) == Some(&one.pin));
            let source = one.decide(held.next(), &places, draft);
            decided.insert(one.pin, (one.address.clone(), source.clone()));
            source
        };
        let of_object = bindings.entry(one.object).or_default();
        of_object.insert(one.map.spec.name.clone(), source);
    }
    let take = |object: &DesiredObject| bindings.remove(&object.name).unwrap_or_default();
    desired.objects.iter().map(take).collect()
}

fn all_wanted<'d>(desired: &'d Desired, renewed: &BTreeSet<PinPath>) -> Vec<Wanted<'d>> {
    let mut all = Vec::new();
    for object in &desired.objects {
        all.extend(object.maps.iter().filter_map(|map| {
            let address = Address::map(&object.name, &map.spec.name);
            let pin = map.pin.as_ref()?;
            let renew = renewed.contains(pin);
            Some(Wanted { address, object: &object.name, map, pin, renew })
        }));
    }
    all
}

/// Which path each map that is ours goes to. A map has one place: where it is, if anyone wants it
/// there, otherwise the first path that its resource moved to.
fn places<'d>(wanted: &[Wanted<'d>], draft: &Draft<'_>) -> BTreeMap<u32, &'d PinPath> {
    let mut places = BTreeMap::new();
    let ours = wanted.iter().filter(|one| !one.map.external);
    let ours: Vec<_> = ours.filter_map(|one| Some((one.pin, held(&one.address, draft)?))).collect();
    let is_its_own =
        |pin: &PinPath, held: &Held| *pin == held.pin || held.record.home.as_ref() == Some(pin);
    for (pin, held) in ours.iter().filter(|(pin, held)| is_its_own(pin, held)) {
        places.insert(held.found.id, *pin);
    }
    for (pin, held) in &ours {
        places.entry(held.found.id).or_insert(*pin);
    }
    places
}

/// The map on record for a resource, if it is ours and pinned somewhere.
pub(super) fn held(address: &Address, draft: &Draft<'_>) -> Option<Held> {
    let record = draft.inventory().map(address).filter(|record| record.owned)?;
    let pin = record.pin.as_ref()?;
    match draft.live.pins.get(pin) {
        Some(LiveObject::Map(found)) if found.id == record.id => {
            Some(Held { pin: pin.clone(), record: record.clone(), found: found.clone() })
        }
        _ => None,
    }
}

/// A second object's use of a map that the plan has decided on.
fn share(one: &Wanted<'_>, owner: &Address, source: Option<&Source>, draft: &mut Draft<'_>) {
    let Some(Resource::Map(record)) = draft.after.resources.get(owner).cloned() else { return };
    let known = draft.inventory().map(&one.address).map(|map| Identity::map(map.id));
    let same = known.is_some() && source.and_then(Source::identity) == known;
    let action = if same { Action::NoOp } else { Action::Adopt };
    let reason = format!("shares the map of {owner}");
    draft.change(Change::new(one.address.clone(), action, reason));
    draft.after.resources.insert(one.address.clone(), Resource::Map(record));
}

impl Wanted<'_> {
    fn decide(
        &self,
        held: Option<Held>,
        places: &BTreeMap<u32, &PinPath>,
        draft: &mut Draft<'_>,
    ) -> Option<Source> {
        if let Some(held) = held.filter(|_| !self.map.external) {
            return self.decide_held(&held, draft);
        }
        let found = match draft.live.pins.get(self.pin) {
            None if self.map.external => {
                let path = draft.after.pin_root.join(self.pin);
                let reason = format!(
                    "an external map must exist, and nothing is pinned at {}: start its owner first",
                    path.display()
                );
                return self.refuse(reason, draft);
            }
            None if self.unpinned(draft).is_some() => return self.decide_unpinned(draft),
            None => {
                let known = draft.inventory().map(&self.address);
                let reason = match known.map(|record| record.pin.as_ref()) {
                    Some(Some(pin)) if pin == self.pin => "its pin is gone; starts empty",
                    Some(None) => "was not pinned before, so it cannot be kept; starts empty",
                    _ => "not pinned yet",
                };
                return Some(self.create(Action::Create, reason, draft));
            }
            Some(found) => found,
        };
        match found {
            LiveObject::Map(found) if places.contains_key(&found.id) && !self.map.external => {
                Some(self.create(Action::Create, "not pinned yet", draft))
            }
            LiveObject::Map(found) => {
                let found = found.clone();
                self.decide_found(&found, draft)
            }
            found if found.identity().is_some() && draft.owns(self.pin, found) => {
                Some(self.create(Action::Create, "not pinned yet", draft))
            }
            found => {
                let reason = foreign(&draft.after.pin_root, self.pin, found);
                self.refuse(reason, draft)
            }
        }
    }

    /// The map of this very resource is there, at its path or at another.
    fn decide_held(&self, held: &Held, draft: &mut Draft<'_>) -> Option<Source> {
        if held.pin.is_staged() {
            // Whatever becomes of the map, a killed run's stage is not where it stays.
            draft.superseded.insert(held.pin.clone());
        }
        let recorded = held.record.layout;
        let differences = self.differences(&held.found, recorded, draft);
        if !differences.is_empty() {
            if held.record.policy == PinPolicy::None {
                let reason = "not pinned yet; its contents were not to be kept (policy none)";
                return Some(self.create(Action::Create, reason, draft));
            }
            return self.differing(&held.found, &held.pin, true, &differences, draft);
        }
        if self.renew {
            return Some(self.create(Action::Replace, RENEWED, draft));
        }
        let root = draft.after.pin_root.clone();
        let change = if held.pin != *self.pin {
            Change::new(self.address.clone(), Action::Move, "its path changed; contents kept")
                .before(root.join(&held.pin).display().to_string())
                .after(root.join(self.pin).display().to_string())
        } else if held.record.policy != self.map.policy {
            Change::new(self.address.clone(), Action::Update, "its pin policy changed")
                .before(held.record.policy.as_str())
                .after(self.map.policy.as_str())
        } else {
            Change::new(self.address.clone(), Action::NoOp, "pinned as declared")
        };
        draft.change(change);
        Some(self.bound(
            Source::Live { pin: held.pin.clone(), identity: Identity::map(held.found.id) },
            true,
            draft,
        ))
    }

    /// The map of this very resource, whose pin someone has removed and that programs still use. What
    /// the kernel empties without a pin is not worth keeping.
    fn unpinned<'l>(&self, draft: &Draft<'l>) -> Option<&'l LiveMap> {
        let record = draft.inventory().map(&self.address).filter(|record| record.owned)?;
        let kept = !drops_contents_unreferenced(&self.map.spec) && !self.renew;
        draft.live.unpinned.get(&record.id).filter(|_| kept)
    }

    fn decide_unpinned(&self, draft: &mut Draft<'_>) -> Option<Source> {
        let found = self.unpinned(draft)?;
        let recorded = draft.inventory().map(&self.address).and_then(|record| record.layout);
        if !self.differences(found, recorded, draft).is_empty() {
            let reason =
                "its pin is gone, and the map that was there has another shape; starts empty";
            return Some(self.create(Action::Create, reason, draft));
        }
        let reason = "its pin is gone, and programs still use the map: pinned again, contents kept";
        let change = Change::new(self.address.clone(), Action::Update, reason)
            .after(self.located(draft, &format!("id {}", found.id)));
        draft.change(change);
        Some(self.bound(Source::Unpinned { id: found.id }, true, draft))
    }

    /// A map that is not on record for this resource lies at its path.
    fn decide_found(&self, found: &LiveMap, draft: &mut Draft<'_>) -> Option<Source> {
        let ours = |at: &LiveObject| draft.inventory().owns(self.pin, at);
        let ours = draft.live.pins.get(self.pin).is_some_and(ours) || is_litter(self.pin, draft);
        let owned = !self.map.external && ours;
        let recorded = recorded_layout(self.pin, found.id, draft);
        let differences = self.differences(found, recorded, draft);
        if !differences.is_empty() {
            return self.differing(found, self.pin, owned, &differences, draft);
        }
        if let Some(other) = draft.live.others.pins.get(self.pin).filter(|_| !self.map.external) {
            let reason = format!(
                "{} belongs to deployment `{other}`: say `external = true` to use its map, or choose \
                 another `subpath`",
                draft.after.pin_root.join(self.pin).display()
            );
            return self.refuse(reason, draft);
        }
        if let Some(ours) = self.displaced(found, draft) {
            let reason = format!(
                "{} holds map id {} in the place of ours, id {ours}, which would be lost: remove that \
                 pin, and ours is pinned again; or apply without `--on-drift heal` to use the other",
                draft.after.pin_root.join(self.pin).display(),
                found.id
            );
            return self.refuse(reason, draft);
        }
        if self.renew && owned {
            return Some(self.create(Action::Replace, RENEWED, draft));
        }
        if self.renew {
            let reason = format!(
                "{} holds a prog array that is not on record as this deployment's, and the object \
                 initialises its slots, which would change programs that run: remove the pin by \
                 hand, choose another `subpath`, or use it as it is with `external = true`",
                draft.after.pin_root.join(self.pin).display()
            );
            return self.refuse(reason, draft);
        }
        let taken = !owned && !self.map.external && draft.adoption == Adoption::Foreign;
        let owned = owned || taken;
        let known = draft.inventory().map(&self.address);
        let same = known.is_some_and(|record| record.id == found.id && record.owned == owned);
        let change = if same {
            Change::new(self.address.clone(), Action::NoOp, "used as before")
        } else {
            let mut reason = match (self.map.external, owned) {
                _ if taken => "pinned by someone else with the same shape: taken over, contents kept",
                (true, _) => "external: used, never created, replaced or unlinked",
                (false, true) => "pinned before with the same shape; contents kept",
                (false, false) => {
                    "pinned by someone else with the same shape: used, contents kept, never unlinked \
                     (`ebpf-apply adopt` takes it over)"
                }
            }
            .to_owned();
            if compat::layout_is_unknown(&self.map.spec, found, recorded) {
                reason.push_str(
                    "; only sizes could be compared, since its BTF may not be read (CAP_SYS_ADMIN)",
                );
            }
            Change::new(self.address.clone(), Action::Adopt, reason)
                .before(self.located(draft, &format!("id {}", found.id)))
        };
        draft.change(change);
        Some(self.bound(
            Source::Live { pin: self.pin.clone(), identity: Identity::map(found.id) },
            owned,
            draft,
        ))
    }

    /// The map of ours in whose place another one is pinned. A run that takes back what drifted does
    /// not give up its contents for that.
    fn displaced(&self, found: &LiveMap, draft: &Draft<'_>) -> Option<u32> {
        let record = draft.inventory().map(&self.address).filter(|record| record.owned)?;
        let displaced = draft.adoption == Adoption::Drifted
            && record.pin.as_ref() == Some(self.pin)
            && record.id != found.id;
        displaced.then_some(record.id)
    }

    fn differing(
        &self,
        found: &LiveMap,
        at: &PinPath,
        owned: bool,
        all: &[Mismatch],
        draft: &mut Draft<'_>,
    ) -> Option<Source> {
        let differences = list(all);
        let ours = owned && !self.map.external;
        let migration = self.migration(found, at, draft);
        match (self.map.on_mismatch, &migration) {
            (OnMismatch::Replace, _) if ours => {
                let reason =
                    format!("another shape, contents dropped (on-mismatch): {differences}");
                return Some(self.create(Action::Replace, &reason, draft));
            }
            (OnMismatch::Migrate, Ok(migration)) if ours => {
                let reason = format!("another shape: {differences}; {}", migration.terms);
                return Some(self.migrate(found, at, (migration.transfer, &reason), draft));
            }
            _ => {}
        }
        let advice = match (self.map.on_mismatch, migration) {
            _ if self.map.external => "its owner must change it".to_owned(),
            _ if !owned => {
                "it is not on record as this deployment's, so it is not replaced: remove \
                            it by hand, or choose another `subpath`"
                    .to_owned()
            }
            (OnMismatch::Migrate, Err(why)) => format!(
                "its entries cannot be migrated: {why}; `on-mismatch = \"replace\"` starts empty"
            ),
            (_, Err(why)) => format!(
                "`on-mismatch = \"replace\"` starts empty; \"migrate\" cannot carry its entries over: \
                 {why}; \"fail\", as now, changes nothing"
            ),
            (_, Ok(_)) => {
                "`on-mismatch` says what to do: \"migrate\" carries its entries over into a \
                           new map, \"replace\" starts empty, \"fail\", as now, changes nothing"
                    .to_owned()
            }
        };
        let reason = format!("a pin of another shape is there: {differences}; {advice}");
        let before = draft.after.pin_root.join(at);
        let before = format!("{} ({})", before.display(), compat::describe(&found.shape));
        let change = Change::new(self.address.clone(), Action::Refuse, reason)
            .before(before)
            .after(compat::describe(&self.shape(draft)));
        draft.change(change);
        None
    }

    /// How the entries of `found` could be carried over, or why not.
    fn migration(
        &self,
        found: &LiveMap,
        at: &PinPath,
        draft: &Draft<'_>,
    ) -> Result<Migration, String> {
        let recorded = recorded_layout(at, found.id, draft);
        migrate::migration(&self.map.spec, found, recorded, draft.live.host)
    }

    /// A new map takes the place and the entries of the one at `at`.
    fn migrate(
        &self,
        found: &LiveMap,
        at: &PinPath,
        (transfer, reason): (Transfer, &str),
        draft: &mut Draft<'_>,
    ) -> Source {
        let source = self.create(Action::Migrate, reason, draft);
        let (from, to) = (draft.open(at, Identity::map(found.id)), Slot::New(self.address.clone()));
        if at != self.pin {
            draft.superseded.insert(at.clone());
        }
        let step = Step::CopyEntries { from: from.clone(), to: to.clone(), transfer };
        draft.step(Phase::CopyEntries, step);
        draft.step(Phase::CarryEntries, Step::CarryEntries { from, to, transfer });
        source
    }

    fn create(&self, action: Action, reason: &str, draft: &mut Draft<'_>) -> Source {
        let takes_over = matches!(action, Action::Replace | Action::Migrate);
        let mut change = Change::new(self.address.clone(), action, reason)
            .after(self.located(draft, &compat::describe(&self.shape(draft))));
        if takes_over && let Some(LiveObject::Map(found)) = draft.live.pins.get(self.pin) {
            change = change.before(compat::describe(&found.shape));
        }
        draft.change(change);
        create_step(&self.address, self.object, &self.map.spec, draft);
        let source = self.bound(Source::New(self.address.clone()), true, draft);
        if takes_over && let Some(claim) = draft.claims.get_mut(self.pin) {
            claim.replaces = true;
        }
        source
    }

    /// Claims the path, unless it is someone else's, and records the map.
    fn bound(&self, source: Source, owned: bool, draft: &mut Draft<'_>) -> Source {
        let id = source.recorded_id();
        draft.claim(self.pin.clone(), &self.address, source.clone(), Phase::PinMaps);
        record(&self.address, self.map, Some(self.pin.clone()), (id, owned), draft);
        source
    }

    fn refuse(&self, reason: impl Into<String>, draft: &mut Draft<'_>) -> Option<Source> {
        draft.refuse(self.address.clone(), reason);
        None
    }

    fn differences(
        &self,
        found: &LiveMap,
        recorded: Option<Digest>,
        draft: &Draft<'_>,
    ) -> Vec<Mismatch> {
        compat::mismatches(&self.map.spec, found, recorded, &draft.live.host)
    }

    fn shape(&self, draft: &Draft<'_>) -> MapShape {
        self.map.spec.shape.reported(&draft.live.host)
    }

    fn located(&self, draft: &Draft<'_>, text: &str) -> String {
        format!("{} ({text})", draft.after.pin_root.join(self.pin).display())
    }
}

/// The layout on record for a map with that id at that path, whichever resource it was.
fn recorded_layout(pin: &PinPath, id: u32, draft: &Draft<'_>) -> Option<Digest> {
    draft.inventory().resources.values().find_map(|resource| match resource {
        Resource::Map(map) if map.id == id && map.pin.as_ref() == Some(pin) => map.layout,
        _ => None,
    })
}

pub(super) fn create_step(address: &Address, object: &Name, spec: &MapSpec, draft: &mut Draft<'_>) {
    let step = Step::CreateMap {
        address: address.clone(),
        object: object.clone(),
        map: spec.name.clone(),
    };
    draft.step(Phase::CreateMaps, step);
}

pub(super) fn record(
    address: &Address,
    map: &DesiredMap,
    pin: Option<PinPath>,
    (id, owned): (u32, bool),
    draft: &mut Draft<'_>,
) {
    let record = MapRecord {
        id,
        pin,
        home: None,
        // What becomes of an external map's pin is its owner's matter.
        policy: if map.external { PinPolicy::None } else { map.policy },
        owned,
        shape: map.spec.shape.reported(&draft.live.host),
        layout: compat::layout_digest(&map.spec),
    };
    draft.after.resources.insert(address.clone(), Resource::Map(record));
}

fn list(differences: &[Mismatch]) -> String {
    let words = differences.iter().map(|difference| {
        let Mismatch { field, declared, found } = difference;
        format!("{field} {declared} in the object, {found} in the pin")
    });
    words.collect::<Vec<_>>().join("; ")
}
