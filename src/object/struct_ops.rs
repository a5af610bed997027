//! Struct ops: variables in `.struct_ops` and `.struct_ops.link`, each a map of function pointers.
//!
//! Source: `init_struct_ops_maps` and `bpf_object__collect_st_ops_relos` in libbpf's
//! `src/libbpf.c`.

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

/// `BPF_F_LINK`.
const LINK: u32 = 1 << 13;

/// The struct ops of an object, in the order of the section table and then of their offsets.
pub(super) fn maps(
    input: &Input<'_>,
    mut types: Option<&mut Types<'_>>,
    defects: &mut Vec<Defect>,
) -> Vec<MapSpec> {
    let mut maps = Vec::new();
    for section in &input.elf.sections {
        let (name, autocreate) = sections::autoload(section.name);
        let link = match name {
            ".struct_ops" => false,
            ".struct_ops.link" => true,
            _ => continue,
        };
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
        for variable in &variables {
            let name = variable.name();
            if name.is_empty() {
                let problem = "holds struct ops without a readable name";
                defects.push(section_defect(section.name, problem));
                continue;
            }
            match ops_type(btf, variable) {
                Ok(found) => {
                    let origin = MapOrigin::StructOps { link, autocreate };
                    let slots = slots(input, &relocations, variable, found, defects);
                    maps.push(map(name, origin, found, types, slots));
                }
                Err(problem) => defects.push(map_defect(name, problem)),
            }
        }
    }
    maps
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

/// The members that point to programs. `relocations` are those of the section, by offset.
fn slots(
    input: &Input<'_>,
    relocations: &[Relocation],
    variable: &Variable<'_>,
    found: Type<'_>,
    defects: &mut Vec<Defect>,
) -> Vec<(u32, String)> {
    let start = u64::from(variable.offset.unwrap_or(0));
    let end = start + u64::from(variable.size);
    let first = relocations.partition_point(|relocation| relocation.offset < start);
    let own = relocations.iter().skip(first).take_while(|relocation| relocation.offset < end);
    let mut slots = Vec::new();
    for relocation in own {
        let bytes = relocation.offset - start;
        let member = (0..)
            .zip(found.members())
            .find(|(_, member)| u64::from(member.bit_offset) == bytes * 8);
        match (member, program_at(input, relocation)) {
            (Some((index, _)), Some(program)) => slots.push((index, program.to_owned())),
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
