//! Maps declared in `.maps`.
//!
//! Source: `bpf_object__init_user_btf_map` in libbpf's `src/libbpf.c`.

use super::ctypes::Types;
use super::definition::{Definition, Part as KeyOrValue, Values};
use super::elf::Section;
use super::input::{Input, Variable};
use crate::btf::{Btf, Linkage, List, Member, Shape};
use crate::model::kinds::MapType;
use crate::model::map::{MapOrigin, MapShape, MapSpec};
use crate::model::object::{Defect, Part};

/// Where maps are declared.
pub(super) const SECTION: &str = ".maps";
/// Most maps of one object. A program uses at most 64 (`MAX_USED_MAPS` in `include/linux/bpf_verifier.h`),
/// so this is far beyond what any object needs, and keeps a crafted one from planning a million.
pub(super) const MAPS_MAX: usize = 4096;

/// A map and where it lies, for the relocations that fill its slots.
pub(super) struct DeclaredMap {
    pub(super) spec: MapSpec,
    /// Offset of its variable, in bytes.
    pub(super) offset: u64,
    /// Size of its variable, in bytes.
    pub(super) size: u64,
    /// Where in the variable its slots begin, in bytes.
    pub(super) values_offset: Option<u32>,
}

/// The maps of `.maps`, in the order of their variables.
pub(super) fn declared(
    input: &Input<'_>,
    types: Option<&mut Types<'_>>,
    defects: &mut Vec<Defect>,
) -> Vec<DeclaredMap> {
    let Some(section) = input.elf.section(SECTION) else { return Vec::new() };
    let (Some(btf), Some(types)) = (&input.btf, types) else {
        return without_btf(input, section, defects);
    };
    let Some((_, variables)) = input.data_section(section) else {
        defects.push(section_defect(
            SECTION,
            "its DATASEC was not found in the object's BTF; compile with `clang -g`",
        ));
        return Vec::new();
    };
    if variables.len() > MAPS_MAX {
        let count = variables.len();
        let problem = format!("declares {count} maps; at most {MAPS_MAX} are read");
        defects.push(section_defect(SECTION, problem));
        return Vec::new();
    }
    let mut maps = Vec::new();
    for variable in &variables {
        let name = variable.name();
        if name.is_empty() {
            defects.push(section_defect(SECTION, "holds a map without a readable name"));
            continue;
        }
        let mut problems = Vec::new();
        let map = declared_map(btf, types, section, variable, &mut problems);
        defects.extend(problems.into_iter().map(|problem| map_defect(name, problem)));
        maps.push(map);
    }
    report_second_arena(&maps, defects);
    maps
}

fn declared_map(
    btf: &Btf<'_>,
    types: &mut Types<'_>,
    section: &Section<'_>,
    variable: &Variable<'_>,
    problems: &mut Vec<String>,
) -> DeclaredMap {
    let name = variable.name();
    let mut map = DeclaredMap {
        spec: unread_map(name),
        offset: variable.offset.unwrap_or(0).into(),
        size: variable.size.into(),
        values_offset: None,
    };
    let Shape::Var { target, linkage } = variable.var.shape() else { return map };
    problems.extend(linkage_problem(linkage));
    let size = u64::from(variable.size);
    if variable.offset.is_none_or(|offset| u64::from(offset) + size > section.size) {
        problems.push("its place in section `.maps` is unknown or outside (corrupted?)".to_owned());
    }
    let (members, size) = match definition_struct(btf, target) {
        Ok(found) => found,
        Err(problem) => {
            problems.push(problem);
            return map;
        }
    };
    if size > variable.size {
        problems.push("invalid def size: its struct is larger than the variable".to_owned());
    }
    let definition = Definition::read(btf, members);
    problems.extend(definition.problems.iter().cloned());
    map.values_offset = definition.values.as_ref().map(|values| values.offset);
    map.spec = spec(name, &definition, types);
    map
}

/// The members and the size of the struct that defines a map.
fn definition_struct<'a>(btf: &Btf<'a>, id: u32) -> Result<(List<'a, Member<'a>>, u32), String> {
    let found = btf.resolve(id).map_err(|error| format!("its type cannot be read: {error}"))?;
    match found.shape() {
        Shape::Struct(members) => Ok((members, found.size().unwrap_or(0))),
        _ => {
            Err(format!("unexpected def kind {}; a map is a variable of struct type", found.kind()))
        }
    }
}

fn linkage_problem(linkage: Linkage) -> Option<String> {
    match linkage {
        Linkage::Global => None,
        Linkage::Static => {
            Some("unsupported map linkage static; remove `static` from the variable".to_owned())
        }
        Linkage::Extern => Some(
            "is extern; join the object with the one that defines it (`bpftool gen object`)"
                .to_owned(),
        ),
        Linkage::Unknown(number) => Some(format!("unsupported map linkage {number}")),
    }
}

/// The definition as data, nothing normalised.
fn spec(name: &str, definition: &Definition, types: &mut Types<'_>) -> MapSpec {
    let mut ctype = |part: &KeyOrValue| part.type_id.and_then(|id| types.expand(id));
    let (key, value) = (ctype(&definition.key), ctype(&definition.value));
    let inner = definition.values.as_ref().and_then(|Values { inner, .. }| inner.as_deref());
    MapSpec {
        name: name.to_owned(),
        origin: MapOrigin::Declared,
        shape: MapShape {
            map_type: MapType(definition.map_type.unwrap_or(0)),
            key_size: definition.key.size.unwrap_or(0),
            value_size: definition.value.size.unwrap_or(0),
            max_entries: definition.max_entries.unwrap_or(0),
            map_flags: definition.map_flags.unwrap_or(0),
            map_extra: definition.map_extra.unwrap_or(0),
        },
        numa_node: definition.numa_node,
        pinning: definition.pinning,
        key,
        value,
        key_type_id: definition.key.type_id.unwrap_or(0),
        value_type_id: definition.value.type_id.unwrap_or(0),
        inner: inner.map(|inner| Box::new(spec(&format!("{name}.inner"), inner, types))),
        slots: Vec::new(),
    }
}

/// A map of which only the name is known.
fn unread_map(name: &str) -> MapSpec {
    let shape = MapShape {
        map_type: MapType::UNSPEC,
        key_size: 0,
        value_size: 0,
        max_entries: 0,
        map_flags: 0,
        map_extra: 0,
    };
    plain_map(name, MapOrigin::Declared, shape)
}

/// A map of that shape, and nothing more.
pub(super) fn plain_map(name: &str, origin: MapOrigin, shape: MapShape) -> MapSpec {
    MapSpec {
        name: name.to_owned(),
        origin,
        shape,
        numa_node: None,
        pinning: None,
        key: None,
        value: None,
        key_type_id: 0,
        value_type_id: 0,
        inner: None,
        slots: Vec::new(),
    }
}

/// Names the maps by their symbols, each with the reason why no more is known.
fn without_btf(
    input: &Input<'_>,
    section: &Section<'_>,
    defects: &mut Vec<Defect>,
) -> Vec<DeclaredMap> {
    let advice = "its definition is BTF, which this object lacks; compile with `clang -g`";
    let mut symbols: Vec<_> = input.symbols_in(section.index).collect();
    if symbols.is_empty() {
        defects.push(section_defect(SECTION, advice));
    }
    symbols.sort_by_key(|symbol| symbol.value);
    symbols
        .into_iter()
        .map(|symbol| {
            defects.push(map_defect(symbol.name, advice));
            DeclaredMap {
                spec: unread_map(symbol.name),
                offset: symbol.value,
                size: symbol.size,
                values_offset: None,
            }
        })
        .collect()
}

/// An object has at most one arena (libbpf `bpf_object__init_user_btf_maps`).
fn report_second_arena(maps: &[DeclaredMap], defects: &mut Vec<Defect>) {
    let mut arenas = maps.iter().filter(|map| map.spec.shape.map_type == MapType::ARENA);
    let Some(first) = arenas.next() else { return };
    for second in arenas {
        defects.push(map_defect(
            &second.spec.name,
            format!("only a single arena is supported, and map `{}` is one too", first.spec.name),
        ));
    }
}

pub(super) fn map_defect(name: &str, message: impl Into<String>) -> Defect {
    Defect { part: Part::Map(name.to_owned()), message: message.into() }
}

pub(super) fn section_defect(name: &str, message: impl Into<String>) -> Defect {
    Defect { part: Part::Section(name.to_owned()), message: message.into() }
}
