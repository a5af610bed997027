//! What is ours, from the record and from the directories that only this deployment uses.
//!
//! The record may be lost, damaged, or older than what a killed run left. Pins under `~progs`,
//! `~links` and `~maps` of the deployment's name are ours whatever the record says, and their names
//! tell what they are; so the record is brought in line with them before anything is planned.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::address::Address;
use crate::model::attach::Attachment;
use crate::model::identity::Identity;
use crate::model::inventory::{Anchor, Inventory, LinkRecord, MapRecord, ProgramRecord, Resource};
use crate::model::live::{FilterKey, LiveMap, LiveObject, LiveState};
use crate::model::name::Name;
use crate::model::pin::{PinPath, PinPolicy, PrivatePin};
use crate::model::socket_hook::Kept;

use super::interrupted::{self, Resumed};

/// The record in line with the live state.
pub(super) struct Known {
    /// What is ours.
    pub(super) inventory: Inventory,
    /// Pins of ours that belong to no resource: what a killed run left, in the stage or elsewhere.
    pub(super) litter: Vec<(PinPath, Identity)>,
    /// Filters of ours that a killed run left beside the one on record, with the programs they run.
    pub(super) stray_filters: Vec<(FilterKey, u32)>,
    /// Whether the last run was cut short.
    pub(super) interrupted: bool,
    /// Interfaces, by index, whose `clsact` qdisc a killed run may have added.
    pub(super) clsact: BTreeSet<u32>,
    /// Every program that is or was ours by its kernel id, with a pin of it where there is one. A
    /// killed run may have left the program that a link still runs in the stage.
    programs: BTreeMap<u32, Option<PinPath>>,
}

/// Brings the record in line with what is found in the private directories. An object whose
/// programs were not those on record counts as not loaded.
pub(super) fn known(inventory: &Inventory, live: &LiveState) -> Known {
    let Resumed { inventory: resumed, strays, clsact } = interrupted::resume(inventory, live);
    let pending = inventory.pending.iter().flat_map(|pending| pending.after.resources.values());
    let mut programs = BTreeMap::new();
    for resource in inventory.resources.values().chain(pending) {
        if let Resource::Program(program) = resource {
            programs.insert(program.id, None);
        }
    }
    let interrupted = inventory.pending.is_some();
    let recorded = inventory;
    let inventory = &resumed.clone();
    let mut known = Known {
        inventory: resumed,
        litter: strays,
        stray_filters: Vec::new(),
        interrupted,
        clsact,
        programs,
    };
    let name = inventory.name.clone();
    for (pin, found) in live.pins.iter().filter(|(pin, _)| pin.is_private_to(&name)) {
        let Some(identity) = found.identity() else { continue };
        if let LiveObject::Program(program) = found {
            known.programs.insert(program.id, Some(pin.clone()));
        }
        let stray = known.litter.iter().any(|(stray, _)| stray == pin);
        if stray || inventory.pins().any(|(recorded, of)| recorded == pin && of == identity) {
            continue;
        }
        match (pin.private_parts(&name), found) {
            (Some(PrivatePin::Program { object, program }), LiveObject::Program(found)) => {
                known.adopt_program(&object, &program, pin, found.id);
            }
            (Some(PrivatePin::Link { object, program, place }), LiveObject::Link(found)) => {
                known.adopt_link(&object, &program, &place, pin, found.id);
            }
            (Some(PrivatePin::Map { object, map }), LiveObject::Map(found)) => {
                known.adopt_map(&object, &map, pin, found);
            }
            _ => known.litter.push((pin.clone(), identity)),
        }
    }
    known.adopt_public_links(recorded, live);
    known.adopt_filters(live);
    known.adopt_called(live);
    known.adopt_kept(live);
    known
}

impl Known {
    /// Whether the program with that id is or was ours.
    pub(super) fn has_program(&self, id: u32) -> bool {
        self.programs.contains_key(&id)
    }

    /// A pin of the program with that id, if one is left.
    pub(super) fn program_pin(&self, id: u32) -> Option<&PinPath> {
        self.programs.get(&id)?.as_ref()
    }

    fn adopt_program(&mut self, object: &str, program: &str, pin: &PinPath, id: u32) {
        let Ok(object) = Name::new(object) else {
            return self.litter.push((pin.clone(), Identity::program(id)));
        };
        let address = Address::program(&object, program);
        let public = self.inventory.program(&address).and_then(|record| record.public.clone());
        let record = ProgramRecord { id, pin: pin.clone(), public };
        self.inventory.resources.insert(address, Resource::Program(record));
        self.inventory.objects.remove(&object);
    }

    fn adopt_link(&mut self, object: &str, program: &str, place: &str, pin: &PinPath, id: u32) {
        let Ok(name) = Name::new(object) else {
            return self.litter.push((pin.clone(), Identity::link(id)));
        };
        let record = LinkRecord {
            id,
            program: if place.starts_with("struct-ops:") {
                Address::map(&name, program)
            } else {
                Address::program(&name, program)
            },
            attachment: None,
            anchor: Anchor::Pin(pin.clone()),
            public: None,
        };
        let address = Address::link_at(object, program, place);
        self.inventory.resources.insert(address, Resource::Link(record));
    }

    fn adopt_map(&mut self, object: &str, map: &str, pin: &PinPath, found: &LiveMap) {
        let Ok(object) = Name::new(object) else {
            return self.litter.push((pin.clone(), Identity::map(found.id)));
        };
        let record = MapRecord {
            id: found.id,
            pin: Some(pin.clone()),
            home: None,
            policy: PinPolicy::None,
            owned: true,
            shape: found.shape,
            layout: None,
        };
        let address = Address::map(&object, map);
        self.inventory.resources.insert(address, Resource::Map(record));
    }

    /// Public pins of links that a killed run made, and whose ids it could not record: they run our
    /// programs.
    fn adopt_public_links(&mut self, inventory: &Inventory, live: &LiveState) {
        let pending = inventory.pending.iter().flat_map(|pending| pending.after.resources.values());
        for resource in pending {
            let Resource::Link(LinkRecord { public: Some(public), .. }) = resource else {
                continue;
            };
            let Some(LiveObject::Link(found)) = live.pins.get(&public.pin) else { continue };
            let identity = Identity::link(found.id);
            let recorded =
                self.inventory.pins().any(|(pin, of)| *pin == public.pin && of == identity);
            if !recorded && self.programs.contains_key(&found.program_id) {
                self.litter.push((public.pin.clone(), identity));
            }
        }
    }

    /// What dispatchers call of ours where the record does not know it.
    fn adopt_called(&mut self, live: &LiveState) {
        for (index, dispatcher) in &live.dispatchers {
            for member in &dispatcher.members {
                let Some((program, object, name)) = self.program_with(member.program_id) else {
                    continue;
                };
                let place = format!("xdp:{}", dispatcher.interface);
                let anchor =
                    Anchor::Dispatcher { interface: dispatcher.interface.clone(), index: *index };
                let record = LinkRecord { id: 0, program, attachment: None, anchor, public: None };
                let address = Address::link_at(&object, &name, &place);
                self.inventory.resources.entry(address).or_insert(Resource::Link(record));
            }
        }
    }

    /// What maps of sockets keep of ours where the record does not know it.
    fn adopt_kept(&mut self, live: &LiveState) {
        for (hook, kept) in live.sockets.iter().flatten() {
            let Kept::Program { id, .. } = kept else { continue };
            let Some((program, object, name)) = self.program_with(*id) else { continue };
            let maps = self.inventory.resources.iter();
            let mut maps = maps.filter(|(_, found)| found.identity() == Identity::map(hook.map));
            let Some((map, _)) = maps.next() else { continue };
            let map = map.clone();
            let at = map.as_str();
            let place = format!("sockmap:{}", at.strip_prefix("map.").unwrap_or(at));
            let anchor = Anchor::Map { map, attach_type: hook.attach_type };
            let record = LinkRecord { id: 0, program, attachment: None, anchor, public: None };
            let address = Address::link_at(&object, &name, &place);
            self.inventory.resources.entry(address).or_insert(Resource::Link(record));
        }
    }

    /// The program of ours with that id, by its address, and by the names of its object and itself.
    fn program_with(&self, id: u32) -> Option<(Address, String, String)> {
        self.inventory.resources.iter().find_map(|(address, resource)| {
            let Resource::Program(program) = resource else { return None };
            let parts = program.pin.private_parts(&self.inventory.name)?;
            let PrivatePin::Program { object, program: name } = parts else { return None };
            (program.id == id).then(|| (address.clone(), object, name))
        })
    }

    /// Filters that run our programs where the record does not know them.
    fn adopt_filters(&mut self, live: &LiveState) {
        for (key, filter) in &live.filters {
            let anchored = |resource: &Resource| match resource {
                Resource::Link(LinkRecord { anchor: Anchor::Filter { key: of, .. }, .. }) => {
                    of == key
                }
                _ => false,
            };
            if self.inventory.resources.values().any(anchored) {
                continue;
            }
            let Some((program, object, name)) = self.program_with(filter.program_id) else {
                continue;
            };
            let place = Attachment::Tc {
                interface: key.interface.clone(),
                direction: key.direction,
                priority: None,
                handle: None,
            };
            let made_clsact = self.clsact.contains(&key.index);
            let record = LinkRecord {
                id: 0,
                program,
                attachment: None,
                anchor: Anchor::Filter { key: key.clone(), made_clsact },
                public: None,
            };
            let address = Address::link_at(&object, &name, &place.to_string());
            match self.inventory.resources.entry(address) {
                Entry::Vacant(entry) => drop(entry.insert(Resource::Link(record))),
                // Others may attach our programs as well, but hardly just then.
                Entry::Occupied(_) if self.interrupted => {
                    self.stray_filters.push((key.clone(), filter.program_id));
                }
                Entry::Occupied(_) => {}
            }
        }
    }
}
