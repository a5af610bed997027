//! Bytes to [`ObjectSpec`]: opens the object and asks each reader for its part.

use super::ctypes::Types;
use super::elf::Elf;
use super::error::InspectError;
use super::externs::{Externs, externs};
use super::input::Input;
use super::maps::{DeclaredMap, map_defect, section_defect};
use super::{arena, data, legacy, maps, programs, run_config, slots, struct_ops, uses};
use crate::btf::{Btf, BtfExt};
use crate::model::kinds::{MapType, ProgramType};
use crate::model::map::MapSpec;
use crate::model::object::{Defect, ObjectSpec, Part};
use crate::model::program::ProgramSpec;

/// Bytes of a pointer on the BPF machine, whatever the headers' `long` suggests.
const POINTER: u32 = 8;

/// Describes an object. What is wrong with a part of it becomes one of
/// [`ObjectSpec::defects`]; only a file of which nothing can be said is an error.
pub fn inspect(bytes: &[u8]) -> Result<ObjectSpec, InspectError> {
    let elf = Elf::parse(bytes)?;
    let mut defects = Vec::new();
    if !elf.has_symbol_table {
        defects.push(Defect {
            part: Part::Object,
            message: "has no symbol table, so neither programs nor maps can be found; do not `strip` objects (only `llvm-strip -g`)".to_owned(),
        });
    }
    let btf = btf(&elf, &mut defects);
    let core = has_core_relocations(&elf, &mut defects);
    let input = Input::new(elf, btf);
    let mut types = input.btf.as_ref().map(Types::new);

    let mut programs = programs::programs(&input.elf, &mut defects);
    uses::fill(&input.elf, &mut programs);
    if let Some(btf) = &input.btf {
        run_config::read(btf, &mut programs);
    }
    let mut declared = maps::declared(&input, types.as_mut(), &mut defects);
    slots::fill(&input, &mut declared, &mut defects);
    arena::fill(&input, &mut declared, &mut defects);
    let legacy = legacy::maps(&input, &mut defects);
    let (sections, globals) = data::sections(&input, types.as_mut(), &mut defects);
    let ops = struct_ops::maps(&input, types.as_mut(), &mut defects);
    let Externs { list: externs, any_typed } = externs(&input, &mut defects);

    let mut maps: Vec<MapSpec> =
        declared.into_iter().map(|DeclaredMap { spec, .. }| spec).collect();
    maps.extend(legacy);
    maps.extend(sections);
    maps.extend(ops);
    report_duplicates(&maps, &mut defects);
    let by_btf_id = programs.iter().any(needs_kernel_btf)
        || maps.iter().any(|map| map.shape.map_type == MapType::STRUCT_OPS);
    Ok(ObjectSpec {
        license: license(&input.elf),
        needs_kernel_btf: core || any_typed || by_btf_id,
        has_btf: input.btf.is_some(),
        maps,
        programs,
        functions: programs::functions(&input.elf),
        globals,
        externs,
        defects,
    })
}

fn btf<'a>(elf: &Elf<'a>, defects: &mut Vec<Defect>) -> Option<Btf<'a>> {
    let section = elf.section(".BTF")?;
    match Btf::parse(section.data.unwrap_or_default()) {
        Ok(btf) => Some(btf.with_pointer_size(POINTER)),
        Err(error) => {
            defects.push(section_defect(section.name, error.to_string()));
            None
        }
    }
}

fn has_core_relocations(elf: &Elf<'_>, defects: &mut Vec<Defect>) -> bool {
    let Some(section) = elf.section(".BTF.ext") else { return false };
    match BtfExt::parse(section.data.unwrap_or_default()) {
        Ok(ext) => !ext.core_relo.is_empty(),
        Err(error) => {
            defects.push(section_defect(section.name, error.to_string()));
            false
        }
    }
}

/// libbpf `prog_needs_vmlinux_btf`; a `freplace` program's target is another program instead.
fn needs_kernel_btf(program: &ProgramSpec) -> bool {
    const TYPES: [ProgramType; 3] =
        [ProgramType::TRACING, ProgramType::LSM, ProgramType::STRUCT_OPS];
    program.kind.as_ref().is_some_and(|kind| TYPES.contains(&kind.program_type))
}

fn license(elf: &Elf<'_>) -> Option<String> {
    let data = elf.section("license")?.data?;
    let text = data.split(|byte| *byte == 0).next().unwrap_or_default();
    Some(String::from_utf8_lossy(text).into_owned())
}

fn report_duplicates(maps: &[MapSpec], defects: &mut Vec<Defect>) {
    let mut names: Vec<_> = maps.iter().map(|map| map.name.as_str()).collect();
    names.sort_unstable();
    let mut pairs: Vec<_> = names.windows(2).filter(|pair| pair.first() == pair.last()).collect();
    pairs.dedup();
    for name in pairs.into_iter().filter_map(|pair| pair.first()) {
        defects.push(map_defect(name, "is defined more than once"));
    }
}
