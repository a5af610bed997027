//! Initialised slots: filled by the load that creates their map, and never again.
//!
//! libbpf writes the slots of a prog array again when it reuses a pin. Here a live prog array is
//! never refilled, for its old programs and the new would run mixed: with every load of its object a
//! fresh one takes its place. The slots of an adopted map-in-map stay as they are, as with libbpf.

use std::collections::BTreeSet;

use crate::model::address::Address;
use crate::model::kinds::MapType;
use crate::model::pin::PinPath;
use crate::validate::{Desired, DesiredMap, DesiredObject};

use super::draft::{Draft, Phase, Source};
use super::maps::{self, Bindings};
use super::{Slot, Step, programs};

/// Decides on every pinned map, with fresh prog arrays for all objects that are loaded again.
pub(super) fn bind(desired: &Desired, draft: &mut Draft<'_>) -> Vec<Bindings> {
    let mut renewed = BTreeSet::new();
    loop {
        let mut attempt = draft.clone();
        let bindings = maps::bind(desired, &renewed, &mut attempt);
        let stale = stale_arrays(desired, &bindings, &attempt);
        // A fresh array may be shared, so that another object is loaded again: it only grows.
        if stale.is_subset(&renewed) {
            *draft = attempt;
            return bindings;
        }
        renewed.extend(stale);
    }
}

/// The pins of initialised prog arrays that are bound as they are, though their object is loaded
/// again.
fn stale_arrays(desired: &Desired, all: &[Bindings], draft: &Draft<'_>) -> BTreeSet<PinPath> {
    let mut stale = BTreeSet::new();
    for (object, bindings) in desired.objects.iter().zip(all) {
        let existing = |map: &DesiredMap| {
            let source = bindings.get(&map.spec.name).and_then(Option::as_ref);
            source.is_some_and(|source| source.identity().is_some())
        };
        let arrays: Vec<&DesiredMap> =
            object.maps.iter().filter(|map| is_initialised_array(map) && existing(map)).collect();
        if !arrays.is_empty() && programs::reload_reason(object, bindings, draft).is_some() {
            stale.extend(arrays.iter().filter_map(|map| map.pin.clone()));
        }
    }
    stale
}

/// The slots of an external map are its owner's matter.
fn is_initialised_array(map: &DesiredMap) -> bool {
    map.spec.shape.map_type == MapType::PROG_ARRAY && !map.spec.slots.is_empty() && !map.external
}

/// Fills the slots of the maps that loading `object` creates.
pub(super) fn plan(object: &DesiredObject, bindings: &Bindings, draft: &mut Draft<'_>) {
    let with_slots: Vec<&DesiredMap> =
        object.maps.iter().filter(|map| fills(object, map, bindings)).collect();
    if with_slots.is_empty() {
        return;
    }
    let maps = programs::map_slots(object, bindings, draft);
    for map in with_slots {
        let Some(slot) = maps.get(&map.spec.name) else { continue };
        let programs = map.spec.shape.map_type == MapType::PROG_ARRAY;
        let content = |name: &str| {
            if programs {
                Some(Slot::New(Address::program(&object.name, name)))
            } else {
                maps.get(name).cloned()
            }
        };
        let slots = map
            .spec
            .slots
            .iter()
            .filter_map(|(index, name)| Some((*index, content(name)?)))
            .collect();
        draft.step(Phase::FillSlots, Step::FillSlots { map: slot.clone(), slots });
    }
}

/// Whether this object fills that map: it creates it, or it is a fresh prog array that it shares.
fn fills(object: &DesiredObject, map: &DesiredMap, bindings: &Bindings) -> bool {
    let types = [MapType::PROG_ARRAY, MapType::ARRAY_OF_MAPS, MapType::HASH_OF_MAPS];
    if map.spec.slots.is_empty() || !types.contains(&map.spec.shape.map_type) {
        return false;
    }
    match bindings.get(&map.spec.name) {
        None => map.pin.is_none(),
        Some(Some(Source::New(owner))) => {
            is_initialised_array(map) || *owner == Address::map(&object.name, &map.spec.name)
        }
        Some(Some(Source::Live { .. } | Source::Unpinned { .. }) | None) => false,
    }
}
