//! What is ours after a run that was cut short.
//!
//! The record then tells of each resource twice: as it was, and as it was to be. Which of the two is
//! true, the pins tell: each holds the object of the one or of the other. A map that the run has
//! put into the stage is still there and takes its place again, unless the run came so far that
//! programs at work use the one that replaced it.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::address::Address;
use crate::model::identity::{Identity, ObjectKind};
use crate::model::inventory::{
    Anchor, Inventory, LinkRecord, MapRecord, ObjectRecord, ProgramRecord, Resource,
};
use crate::model::live::{LinkTarget, LiveObject, LiveState};
use crate::model::name::Name;
use crate::model::pin::{PinPath, PinPolicy};
use crate::model::socket_hook::Kept;

/// One record again, and what belongs to nothing in it.
pub(super) struct Resumed {
    /// What is ours, each where it is now; nothing is pending.
    pub(super) inventory: Inventory,
    /// Pins of ours that no resource needs: what the run made and nothing uses.
    pub(super) strays: Vec<(PinPath, Identity)>,
    /// Interfaces, by index, whose `clsact` qdisc the run may have added.
    pub(super) clsact: BTreeSet<u32>,
}

/// Makes one record of the two that a run which was cut short leaves.
pub(super) fn resume(inventory: &Inventory, live: &LiveState) -> Resumed {
    let Some(pending) = inventory.pending.as_deref() else {
        let (strays, clsact) = (Vec::new(), BTreeSet::new());
        return Resumed { inventory: inventory.clone(), strays, clsact };
    };
    let after = &pending.after;
    let witness = Witness::new(after, live);
    let mut merged = Inventory {
        pending: None,
        resources: BTreeMap::new(),
        objects: BTreeMap::new(),
        ..inventory.clone()
    };
    for address in inventory.resources.keys().chain(after.resources.keys()) {
        let new = after.resources.get(address);
        let left = witness.left(inventory, new);
        let old = inventory.resources.get(address).or(left.as_ref());
        if let Some(resource) = witness.resource(old, new) {
            merged.resources.insert(address.clone(), resource);
        }
    }
    merged.objects = loaded_objects(&merged, [after, inventory]);
    add_missing(&mut merged.directories, &after.directories);
    add_missing(&mut merged.root_directories, &after.root_directories);

    let persisting =
        persisting(inventory, &merged).chain(after.forgotten.iter().map(|(pin, of)| (pin, *of)));
    // One that was on its way back from the stage is there as well.
    let is_back =
        |pin: &PinPath, identity| pin.is_staged() && merged.pins().any(|(_, of)| of == identity);
    let persisting = persisting.filter(|(pin, identity)| !is_back(pin, *identity));
    let persisting: Vec<_> = witness.leftover(persisting, &merged).collect();
    merged.forgotten.extend(persisting);
    let strays = witness.leftover(inventory.owned_pins(), &merged).collect();
    Resumed { inventory: merged, strays, clsact: pending.clsact.clone() }
}

/// What the live state says of both records.
struct Witness<'a> {
    live: &'a LiveState,
    after: &'a Inventory,
    /// Where in the stage each map waits, by its id.
    staged_maps: BTreeMap<u32, &'a PinPath>,
    /// The same for links, which are at work there all the same.
    staged_links: BTreeMap<u32, &'a PinPath>,
    /// Maps that loaded programs use.
    held: BTreeSet<u32>,
    /// Maps that the pending programs of an object use of which one is at work.
    in_use: BTreeSet<u32>,
}

impl<'a> Witness<'a> {
    fn new(after: &'a Inventory, live: &'a LiveState) -> Self {
        let (mut staged_maps, mut staged_links) = (BTreeMap::new(), BTreeMap::new());
        // Maps of struct ops are at work themselves.
        let mut operations = live.registered.clone();
        let mut maps: BTreeMap<u32, &[u32]> = BTreeMap::new();
        let mut at_work: BTreeSet<u32> =
            live.filters.values().map(|filter| filter.program_id).collect();
        let called = live.dispatchers.values().flat_map(|dispatcher| &dispatcher.members);
        at_work.extend(called.map(|member| member.program_id));
        let kept = live.sockets.iter().flatten().filter_map(|(_, kept)| match kept {
            Kept::Program { id, .. } => Some(*id),
            Kept::Nothing | Kept::Untold => None,
        });
        at_work.extend(kept);
        for (pin, found) in &live.pins {
            match found {
                LiveObject::Map(map) if pin.is_staged() => drop(staged_maps.insert(map.id, pin)),
                LiveObject::Program(program) => drop(maps.insert(program.id, &program.map_ids)),
                LiveObject::Link(link) => {
                    at_work.insert(link.program_id);
                    if let LinkTarget::StructOps { map } = link.target {
                        operations.insert(map);
                    }
                    if pin.is_staged() {
                        staged_links.insert(link.id, pin);
                    }
                }
                _ => {}
            }
        }
        let held = maps.values().copied().flatten().copied().collect();
        let mut in_use = BTreeSet::new();
        for object in after.objects.keys() {
            let programs: Vec<u32> = of_object(after, object)
                .filter_map(|(_, resource)| match resource {
                    Resource::Program(program) => Some(program.id),
                    _ => None,
                })
                .collect();
            let own_maps = of_object(after, object).filter_map(|(_, resource)| match resource {
                Resource::Map(map) if operations.contains(&map.id) => Some(map.id),
                _ => None,
            });
            let own_maps: Vec<u32> = own_maps.collect();
            let is_at_work = !own_maps.is_empty() || programs.iter().any(|id| at_work.contains(id));
            in_use.extend(own_maps);
            if is_at_work {
                in_use.extend(programs.iter().filter_map(|id| maps.get(id)).copied().flatten());
            }
        }
        Self { live, after, staged_maps, staged_links, held, in_use }
    }

    fn is_at(&self, pin: &PinPath, identity: Identity) -> bool {
        self.live.pins.get(pin).and_then(LiveObject::identity) == Some(identity)
    }

    /// The true one of two records of a resource; `None` if it was never made.
    fn resource(&self, old: Option<&Resource>, new: Option<&Resource>) -> Option<Resource> {
        match (old, new) {
            (None | Some(Resource::Map(_)), None | Some(Resource::Map(_))) => {
                let map = |resource: Option<&'_ Resource>| match resource {
                    Some(Resource::Map(map)) => Some(map.clone()),
                    _ => None,
                };
                self.map(map(old), map(new)).map(Resource::Map)
            }
            (_, Some(Resource::Program(new))) => match old {
                Some(Resource::Program(old)) if self.is_unmoved(old) => {
                    Some(Resource::Program(old.clone()))
                }
                _ if self.is_at(&new.pin, Identity::program(new.id)) => {
                    Some(Resource::Program(new.clone()))
                }
                old => old.cloned(),
            },
            (Some(Resource::Link(old)), new) => {
                let new = match new {
                    Some(Resource::Link(new)) => self.link(new).filter(|made| {
                        // Where the run was to make another link, this one is still the old.
                        made.id != old.id || made.attachment == old.attachment
                    }),
                    _ => None,
                };
                Some(Resource::Link(new.unwrap_or_else(|| self.located_link(old))))
            }
            (_, Some(Resource::Link(new))) => self.link(new).map(Resource::Link),
            (old, _) => old.cloned(),
        }
    }

    /// The record with the place in the stage where its link is, if it is there.
    fn located_link(&self, link: &LinkRecord) -> LinkRecord {
        let stage = self.staged_links.get(&link.id).map(|stage| Anchor::Pin((*stage).clone()));
        let anchor = stage.unwrap_or_else(|| link.anchor.clone());
        LinkRecord { anchor, ..link.clone() }
    }

    /// Whether every pin of a program still is as recorded.
    fn is_unmoved(&self, program: &ProgramRecord) -> bool {
        let public = program.public.as_ref().map(|public| &public.pin);
        let identity = Identity::program(program.id);
        std::iter::once(&program.pin).chain(public).all(|pin| self.is_at(pin, identity))
    }

    /// The map that persists where a pending one was to lie, though nobody wanted it, as that one's
    /// predecessor, if the run has put it into the stage.
    fn left(&self, inventory: &Inventory, new: Option<&Resource>) -> Option<Resource> {
        let Some(Resource::Map(new)) = new else { return None };
        let left = inventory.forgotten.get(new.pin.as_ref()?)?;
        let stage = *self.staged_maps.get(&left.id)?;
        let Some(LiveObject::Map(map)) = self.live.pins.get(stage) else { return None };
        let record = MapRecord {
            id: map.id,
            policy: PinPolicy::PersistOnExit,
            shape: map.shape,
            layout: None,
            ..new.clone()
        };
        (left.kind == ObjectKind::Map).then_some(Resource::Map(record))
    }

    fn map(&self, old: Option<MapRecord>, new: Option<MapRecord>) -> Option<MapRecord> {
        let pinned = |map: &MapRecord| {
            map.pin.as_ref().is_some_and(|pin| self.is_at(pin, Identity::map(map.id)))
        };
        let made = new.filter(|new| match new.pin {
            Some(_) => pinned(new),
            None => self.held.contains(&new.id),
        });
        let (old, new) = match (old, made) {
            (Some(old), Some(new)) => (old, new),
            (old, made) => return made.or(old.map(|old| self.located(old))),
        };
        if pinned(&old) && (new.id == old.id || !self.in_use.contains(&new.id)) {
            return Some(self.located(old));
        }
        let replaced = new.id != old.id && !self.in_use.contains(&new.id);
        if replaced && old.owned && self.staged_maps.contains_key(&old.id) {
            return Some(self.located(old));
        }
        Some(new)
    }

    /// The record with the place where its map is now: at home, or in the stage. From there it is to go
    /// home again.
    fn located(&self, map: MapRecord) -> MapRecord {
        let home = map.home.clone().or_else(|| map.pin.clone());
        if home.as_ref().is_some_and(|home| self.is_at(home, Identity::map(map.id))) {
            return MapRecord { pin: home, home: None, ..map };
        }
        match self.staged_maps.get(&map.id) {
            Some(stage) if map.owned => MapRecord { pin: Some((*stage).clone()), home, ..map },
            _ => map,
        }
    }

    /// The link, if it is there, with its id.
    fn link(&self, new: &LinkRecord) -> Option<LinkRecord> {
        match &new.anchor {
            Anchor::Pin(pin) => match self.live.pins.get(pin) {
                Some(LiveObject::Link(found)) => Some(LinkRecord { id: found.id, ..new.clone() }),
                _ => None,
            },
            Anchor::Filter { key, .. } => self.live.filters.contains_key(key).then(|| new.clone()),
            Anchor::Registration { map } => self.live.registered.contains(map).then(|| new.clone()),
            // What it calls, whoever plans looks at.
            Anchor::Dispatcher { index, .. } => {
                self.live.dispatchers.contains_key(index).then(|| new.clone())
            }
            Anchor::Map { .. } => self.may_be_kept(new).then(|| new.clone()),
            Anchor::Held(by) => self.live.held.contains_key(by).then(|| new.clone()),
        }
    }

    /// Whether a map of sockets keeps the pending program, or may.
    fn may_be_kept(&self, new: &LinkRecord) -> bool {
        let program = self.after.program(&new.program).map(|program| program.id);
        let hook = self.after.socket_hook(new);
        match hook.and_then(|hook| self.live.sockets.as_ref()?.get(&hook)) {
            Some(Kept::Program { id, .. }) => Some(*id) == program,
            Some(Kept::Untold) => true,
            Some(Kept::Nothing) | None => false,
        }
    }

    /// Those pins that hold the recorded object where `merged` does not expect it.
    fn leftover<'p>(
        &self,
        pins: impl Iterator<Item = (&'p PinPath, Identity)>,
        merged: &Inventory,
    ) -> impl Iterator<Item = (PinPath, Identity)> {
        let left = pins.filter(|(pin, identity)| {
            self.is_at(pin, *identity) && !merged.pins().any(|kept| kept == (*pin, *identity))
        });
        left.map(|(pin, identity)| (pin.clone(), identity))
    }
}

/// What each object is loaded from: as the record says with which all its maps and programs agree.
/// Where they are mixed, the object counts as not loaded.
fn loaded_objects(merged: &Inventory, records: [&Inventory; 2]) -> BTreeMap<Name, ObjectRecord> {
    let mut objects = BTreeMap::new();
    for record in records {
        for (object, source) in &record.objects {
            let mut parts = of_object(record, object);
            let agrees = |(address, part): (&Address, &Resource)| {
                merged
                    .resources
                    .get(address)
                    .is_some_and(|found| found.identity() == part.identity())
            };
            if !objects.contains_key(object) && parts.all(agrees) {
                objects.insert(object.clone(), source.clone());
            }
        }
    }
    objects
}

/// The maps and programs on record of one object. Its name holds no dot.
fn of_object<'i>(
    record: &'i Inventory,
    object: &Name,
) -> impl Iterator<Item = (&'i Address, &'i Resource)> {
    let prefixes = [format!("program.{object}."), format!("map.{object}.")];
    let of = move |address: &str| prefixes.iter().any(|prefix| address.starts_with(prefix));
    record.resources.iter().filter(move |(address, _)| of(address.as_str()))
}

/// The pins on record that outlive the deployment. That of an iterator which is pinned elsewhere now has
/// moved.
fn persisting<'i>(
    inventory: &'i Inventory,
    merged: &'i Inventory,
) -> impl Iterator<Item = (&'i PinPath, Identity)> {
    let moved = |address| merged.link(address).is_some_and(|link| link.public.is_some());
    inventory.resources.iter().filter_map(move |(address, resource)| match resource {
        Resource::Map(MapRecord { pin: Some(pin), policy, owned: true, id, .. })
            if *policy == PinPolicy::PersistOnExit =>
        {
            Some((pin, Identity::map(*id)))
        }
        Resource::Program(ProgramRecord { public: Some(public), id, .. })
            if public.policy == PinPolicy::PersistOnExit =>
        {
            Some((&public.pin, Identity::program(*id)))
        }
        Resource::Link(LinkRecord { public: Some(public), id, .. })
            if public.policy == PinPolicy::PersistOnExit && !moved(address) =>
        {
            Some((&public.pin, Identity::link(*id)))
        }
        _ => None,
    })
}

fn add_missing<T: Clone + PartialEq>(known: &mut Vec<T>, all: &[T]) {
    let missing: Vec<T> = all.iter().filter(|one| !known.contains(one)).cloned().collect();
    known.extend(missing);
}
