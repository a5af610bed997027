//! Struct ops: variables in `.struct_ops` and `.struct_ops.link`, each a map of function pointers.
//!
//! Source: `init_struct_ops_maps` and `bpf_object__collect_st_ops_relos` in libbpf's
//! `src/libbpf.c`.

use std::collections::BTreeMap;

use object::elf::SHT_PROGBITS;

use super::ctypes::Types;
use super::elf::Relocation;
use super::input::{Input, Variable};
use super::maps::{map_defect, section_defect};
use super::{programs, sections};
use crate::btf::{Btf, Shape, Type};
use crate::model::kinds::MapType;
use crate::model::map::{MapOrigin, MapShape, MapSpec};
use crate::model::object::Defect;
use crate::model::operations;

/// `BPF_F_LINK`.
const LINK: u32 = 1 << 13;

/// The struct ops of an object, in the order of the section table and then of their offsets.
pub(super) fn maps(
    input: &Input<'_>,
    mut types: Option<&mut Types<'_>>,
    defects: &mut Vec<Defect>,
) -> Vec<MapSpec> {
    let mut maps = Vec::new();
    let mut members = BTreeMap::new();
    for section in &input.elf.sections {
        let (name, autocreate) = sections::autoload(section.name);
        let link = match name {
            ".struct_ops" => false,
            ".struct_ops.link" => true,
            _ => continue,
        };
        let bytes = section.data.unwrap_or_default();
        if section.kind != SHT_PROGBITS || section.size == 0 {
            continue;
        }
        let described = input.btf.as_ref().zip(input.data_section(section));
        let (Some((btf, (_, variables))), Some(types)) = (described, types.as_deref_mut()) else {
            defects.push(section_defect(
                section.name,
                "its DATASEC was not found in the object's BTF; compile with `clang -g`",
            ));
            continue;
        };
        let mut relocations: Vec<_> = input.elf.relocations(section.index).collect();
        relocations.sort_by_key(|relocation| relocation.offset);
        let mut relocations = by_variable(&relocations, &variables);
        for (index, variable) in variables.iter().enumerate() {
            let name = variable.name();
            if name.is_empty() {
                let problem = "holds struct ops without a readable name";
                defects.push(section_defect(section.name, problem));
                continue;
            }
            match ops_type(btf, variable) {
                Ok(found) => {
                    let ops = without_flavour(found.name()).to_owned();
                    let known_as = registered_name(&ops, btf, found, bytes_of(variable, bytes));
                    let origin = MapOrigin::StructOps { ops, name: known_as, link, autocreate };
                    let own = relocations.remove(&index).unwrap_or_default();
                    let members = members.entry(found.id()).or_insert_with(|| places(found));
                    let slots = slots(input, &own, variable, members, defects);
                    maps.push(map(name, origin, found, types, slots));
                }
                Err(problem) => defects.push(map_defect(name, problem)),
            }
        }
    }
    maps
}

/// The bytes of a variable; none where they lie outside of its section.
fn bytes_of<'b>(variable: &Variable<'_>, section: &'b [u8]) -> &'b [u8] {
    let start = variable.offset.and_then(|offset| usize::try_from(offset).ok());
    let rest = start.and_then(|start| section.get(start..)).unwrap_or_default();
    let size = usize::try_from(variable.size).unwrap_or(usize::MAX);
    rest.get(..size).unwrap_or(rest)
}

/// A name as the kernel knows it (libbpf `bpf_core_essential_name_len`).
fn without_flavour(name: &str) -> &str {
    match name.rsplit_once("___") {
        Some((ops, flavour))
            if !ops.is_empty()
                && !flavour.is_empty()
                && !ops.ends_with('_')
                && !flavour.starts_with('_') =>
        {
            ops
        }
        _ => name,
    }
}

/// The text of the member that names a struct where the kernel tells several apart by one.
fn registered_name(ops: &str, btf: &Btf<'_>, found: Type<'_>, bytes: &[u8]) -> Option<String> {
    let wanted = operations::name_member(ops)?;
    let member = found.members().iter().find(|member| member.name == wanted)?;
    let start = usize::try_from(member.bit_offset / 8).ok()?;
    let size = usize::try_from(btf.size_of(member.type_id).ok()?).ok()?;
    let text = bytes.get(start..)?.get(..size)?.split(|byte| *byte == 0).next()?;
    let text = String::from_utf8_lossy(text).into_owned();
    (!text.is_empty()).then_some(text)
}

fn ops_type<'a>(btf: &Btf<'a>, variable: &Variable<'a>) -> Result<Type<'a>, String> {
    let target = variable.var.target().unwrap_or(0);
    let found = btf.resolve(target).map_err(|error| format!("its type cannot be read: {error}"))?;
    match found.shape() {
        Shape::Struct(_) if found.is_anonymous() => {
            Err("anonymous type is not supported; struct ops are variables of a kernel struct"
                .to_owned())
        }
        Shape::Struct(_) => Ok(found),
        _ => Err(format!("is a {}, not a struct", found.kind())),
    }
}

fn map(
    name: &str,
    origin: MapOrigin,
    found: Type<'_>,
    types: &mut Types<'_>,
    slots: Vec<(u32, String)>,
) -> MapSpec {
    let link = matches!(origin, MapOrigin::StructOps { link: true, .. });
    MapSpec {
        name: name.to_owned(),
        shape: MapShape {
            map_type: MapType::STRUCT_OPS,
            key_size: 4,
            value_size: found.size().unwrap_or(0),
            max_entries: 1,
            map_flags: if link { LINK } else { 0 },
            map_extra: 0,
        },
        origin,
        numa_node: None,
        pinning: None,
        key: None,
        value: types.expand(found.id()),
        key_type_id: 0,
        value_type_id: found.id(),
        inner: None,
        slots,
    }
}

/// The relocations that lie in each variable, by its index. Both are sorted by offset; where
/// variables overlap, a relocation is the last one's.
fn by_variable<'r>(
    relocations: &'r [Relocation],
    variables: &[Variable<'_>],
) -> BTreeMap<usize, Vec<&'r Relocation>> {
    let start = |variable: &Variable<'_>| u64::from(variable.offset.unwrap_or(0));
    let mut own = BTreeMap::<usize, Vec<_>>::new();
    for relocation in relocations {
        let after = variables.partition_point(|variable| start(variable) <= relocation.offset);
        let Some(index) = after.checked_sub(1) else { continue };
        let end = variables.get(index).map(|variable| start(variable) + u64::from(variable.size));
        if end.is_some_and(|end| relocation.offset < end) {
            own.entry(index).or_default().push(relocation);
        }
    }
    own
}

/// The first member at each bit of a struct.
fn places(found: Type<'_>) -> BTreeMap<u64, u32> {
    let mut places = BTreeMap::new();
    for (index, member) in (0..).zip(found.members()) {
        places.entry(u64::from(member.bit_offset)).or_insert(index);
    }
    places
}

/// The members that point to programs: `relocations` are those in the variable.
fn slots(
    input: &Input<'_>,
    relocations: &[&Relocation],
    variable: &Variable<'_>,
    members: &BTreeMap<u64, u32>,
    defects: &mut Vec<Defect>,
) -> Vec<(u32, String)> {
    let start = u64::from(variable.offset.unwrap_or(0));
    let mut slots = Vec::new();
    for relocation in relocations {
        let bytes = relocation.offset.saturating_sub(start);
        let member = members.get(&bytes.saturating_mul(8));
        match (member, program_at(input, relocation)) {
            (Some(index), Some(program)) => slots.push((*index, program.to_owned())),
            _ => defects.push(map_defect(
                variable.name(),
                format!("what it points to at byte {bytes} is no program"),
            )),
        }
    }
    slots.sort();
    slots
}

fn program_at<'a>(input: &Input<'a>, relocation: &Relocation) -> Option<&'a str> {
    let symbol = input.elf.symbols.get(relocation.symbol)?;
    let holder = input.elf.sections.get(symbol.section)?;
    programs::is_entry(holder, symbol).then_some(symbol.name)
}

#[cfg(test)]
mod tests {
    use object::elf::SHT_REL;

    use super::*;
    use crate::btf::Kind;
    use crate::object::elf::{Elf, Section};
    use crate::object::test_btf::TestBtf;

    /// As many as a type can have.
    const MANY: u32 = u16::MAX as u32;

    /// Every relocation of one variable, and every variable over the same bytes: what would be the
    /// product of three large numbers must be their sum.
    #[test]
    fn no_number_of_members_variables_and_relocations_makes_it_slow() {
        let mut btf = TestBtf::new();
        let int = btf.int();
        let members = vec![("", int); MANY as usize];
        let ops = btf.structure_named("ops", &members);
        let entries: Vec<u32> = (0..MANY)
            .flat_map(|_| [btf.add("variable", Kind::Var, 0, ops, &[1]), 0, 8 * MANY])
            .collect();
        btf.add(".struct_ops", Kind::Datasec, MANY, 8 * MANY, &entries);
        let bytes = btf.bytes();
        let btf = Btf::parse(&bytes).expect("it is well-formed");
        let relocations: Vec<u8> = (0..u64::from(MANY))
            .flat_map(|n| [(8 * n).to_le_bytes(), [0xff; 8]].concat())
            .collect();
        let section = |index, name, kind, data| Section {
            index,
            name,
            kind,
            flags: 0,
            size: 8 * u64::from(MANY),
            link: 0,
            info: 1,
            data: Some(data),
        };
        let sections = vec![
            section(0, "", 0, &[][..]),
            section(1, ".struct_ops", SHT_PROGBITS, &[]),
            section(2, ".rel.struct_ops", SHT_REL, &relocations),
        ];
        let elf = Elf { sections, symbols: Vec::new(), has_symbol_table: true };
        let input = Input::new(elf, Some(btf));
        let mut types = input.btf.as_ref().map(Types::new);
        let mut defects = Vec::new();
        let maps = maps(&input, types.as_mut(), &mut defects);
        assert_eq!(maps.len(), MANY as usize);
        assert_eq!(defects.len(), MANY as usize, "none of them points to a program");
    }
}
