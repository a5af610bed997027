//! Variables in an arena (`__arena`): a section of their own, whose bytes begin the life of the object's
//! one arena map.
//!
//! Source: `init_arena_map_data` in libbpf's `src/libbpf.c`.

use object::elf::SHT_PROGBITS;

use super::input::Input;
use super::maps::{DeclaredMap, section_defect};
use crate::model::kinds::MapType;
use crate::model::map::MapOrigin;
use crate::model::object::Defect;

/// Where compilers put variables of address space 1.
pub(super) const SECTION: &str = ".addr_space.1";

/// Gives the arena of the object its contents.
pub(super) fn fill(input: &Input<'_>, maps: &mut [DeclaredMap], defects: &mut Vec<Defect>) {
    let section = input.elf.section(SECTION);
    let Some(section) = section.filter(|it| it.kind == SHT_PROGBITS && it.size > 0) else { return };
    let arena = maps.iter_mut().find(|map| map.spec.shape.map_type == MapType::ARENA);
    match (arena, section.data) {
        (Some(map), Some(data)) => map.spec.origin = MapOrigin::Arena { contents: data.to_vec() },
        (_, None) => {
            let lost = "its bytes lie beyond the end of the file (half-written?)";
            defects.push(section_defect(SECTION, lost));
        }
        (None, _) => defects.push(section_defect(
            SECTION,
            "holds `__arena` variables, but the object declares no arena: add a map of type \
             `BPF_MAP_TYPE_ARENA` to `.maps`",
        )),
    }
}
