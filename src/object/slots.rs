//! Initialised slots of prog arrays and map-in-maps, which are relocations of `.maps`.
//!
//! Source: `bpf_object__collect_map_relos` in libbpf's `src/libbpf.c`.

use std::collections::BTreeSet;

use super::elf::{Section, Symbol};
use super::input::Input;
use super::maps::{DeclaredMap, SECTION, map_defect, section_defect};
use super::programs;
use crate::model::kinds::MapType;
use crate::model::object::Defect;

/// Bytes of a slot: a pointer of the BPF machine.
const SLOT: u64 = 8;

/// Fills [`MapSpec::slots`](crate::model::map::MapSpec::slots) of the maps that have some.
pub(super) fn fill(input: &Input<'_>, maps: &mut [DeclaredMap], defects: &mut Vec<Defect>) {
    let Some(section) = input.elf.section(SECTION) else { return };
    let names: BTreeSet<_> = maps.iter().map(|map| map.spec.name.clone()).collect();
    for relocation in input.elf.relocations(section.index) {
        let Some(symbol) = input.elf.symbols.get(relocation.symbol) else {
            defects.push(section_defect(SECTION, "a slot refers to a symbol that is not there"));
            continue;
        };
        let Some(map) = map_at(maps, relocation.offset) else {
            defects.push(section_defect(
                SECTION,
                format!("refers to `{}` where no map is", symbol.name),
            ));
            continue;
        };
        let filled = slot_of(map, relocation.offset).and_then(|slot| {
            check(input, section, map, symbol, &names)?;
            Ok(slot)
        });
        match filled {
            Ok(slot) => map.spec.slots.push((slot, symbol.name.to_owned())),
            Err(problem) => defects.push(map_defect(&map.spec.name, problem)),
        }
    }
    for map in maps {
        map.spec.slots.sort();
        report_excess(map, defects);
    }
}

/// The map whose variable holds the slot. `maps` are sorted by offset.
fn map_at(maps: &mut [DeclaredMap], offset: u64) -> Option<&mut DeclaredMap> {
    let end = offset.checked_add(SLOT)?;
    let after = maps.partition_point(|map| map.offset <= offset);
    let map = maps.get_mut(after.checked_sub(1)?)?;
    (end <= map.offset.saturating_add(map.size)).then_some(map)
}

fn slot_of(map: &DeclaredMap, offset: u64) -> Result<u32, String> {
    let misplaced = || "has an initialiser outside its `values`".to_owned();
    let values = map.values_offset.ok_or_else(misplaced)?;
    let start = map.offset.saturating_add(values.into());
    let distance = offset.checked_sub(start).ok_or_else(misplaced)?;
    if distance % SLOT != 0 {
        return Err(misplaced());
    }
    u32::try_from(distance / SLOT).ok().ok_or_else(misplaced)
}

/// What a slot may hold depends on the map's type.
fn check(
    input: &Input<'_>,
    section: &Section<'_>,
    map: &DeclaredMap,
    symbol: &Symbol<'_>,
    names: &BTreeSet<String>,
) -> Result<(), String> {
    let shape = map.spec.shape;
    if shape.map_type == MapType::PROG_ARRAY {
        let holder = input.elf.sections.get(symbol.section);
        return if holder.is_some_and(|holder| programs::is_entry(holder, symbol)) {
            Ok(())
        } else {
            let what = described(symbol, holder);
            Err(format!("one of its slots holds {what}, which isn't an entry-point program"))
        };
    }
    if shape.map_type == MapType::HASH_OF_MAPS && shape.key_size != 4 {
        return Err(format!(
            "has initialised slots, so its key size should be 4, not {}",
            shape.key_size
        ));
    }
    if symbol.section != section.index || !names.contains(symbol.name) {
        let what = described(symbol, input.elf.sections.get(symbol.section));
        return Err(format!("one of its slots holds {what}, which isn't a map of `.maps`"));
    }
    Ok(())
}

/// Static functions are referred to by their section.
fn described(symbol: &Symbol<'_>, holder: Option<&Section<'_>>) -> String {
    match (symbol.name, holder) {
        ("", Some(holder)) => format!("something static of section `{}`", holder.name),
        (name, _) => format!("`{name}`"),
    }
}

/// The kernel refuses a slot past the end only when it is filled; say so now.
fn report_excess(map: &DeclaredMap, defects: &mut Vec<Defect>) {
    let entries = map.spec.shape.max_entries;
    let is_indexed = map.spec.shape.map_type != MapType::HASH_OF_MAPS;
    if let Some((slot, _)) =
        map.spec.slots.last().filter(|(slot, _)| is_indexed && *slot >= entries)
    {
        defects.push(map_defect(
            &map.spec.name,
            format!("its slot {slot} is initialised, but max_entries is {entries}"),
        ));
    }
}
