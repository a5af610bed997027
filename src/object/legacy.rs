//! Maps defined as before BTF: variables in a section `maps` whose bytes are a `struct bpf_map_def`.
//!
//! What loaders agree on of that struct are its first five numbers. Compilers, iproute2 and old samples
//! have longer ones, and nothing says which; so what follows must be zero, as cilium/ebpf has it
//! (`loadMaps` in `elf_reader.go`). libbpf gave the format up with 1.0.

use object::elf::{SHT_PROGBITS, STB_LOCAL, STT_NOTYPE};

use super::elf::{Section, Symbol};
use super::input::Input;
use super::maps::{MAPS_MAX, map_defect, plain_map, section_defect};
use crate::model::kinds::MapType;
use crate::model::map::{MapOrigin, MapShape, MapSpec};
use crate::model::object::Defect;

/// `maps`, or one map in each `maps/…`.
const SECTION: &str = "maps";
/// Type, key size, value size, entries and flags.
const FIELDS: usize = 5;
/// Bytes of a field.
const FIELD: usize = 4;
/// How many fields iproute2's `struct bpf_elf_map` has: after those five its id, pinning, and the id
/// and index of an inner map.
const IPROUTE2_FIELDS: usize = 9;

/// The maps, by section and place.
pub(super) fn maps(input: &Input<'_>, defects: &mut Vec<Defect>) -> Vec<MapSpec> {
    let is_legacy = |section: &&Section<'_>| {
        let rest = section.name.strip_prefix(SECTION);
        section.kind == SHT_PROGBITS
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut maps = Vec::new();
    for section in input.elf.sections.iter().filter(is_legacy) {
        let mut symbols: Vec<_> = input.symbols_in(section.index).collect();
        if symbols.is_empty() && section.size > 0 {
            defects.push(section_defect(section.name, nameless(input, section)));
        }
        let count = symbols.len();
        if count > MAPS_MAX {
            let problem = format!("declares {count} maps; at most {MAPS_MAX} are read");
            defects.push(section_defect(section.name, problem));
            continue;
        }
        symbols.sort_by_key(|symbol| symbol.value);
        for symbol in symbols {
            let shape = shape(section, symbol).unwrap_or_else(|problem| {
                defects.push(map_defect(symbol.name, problem));
                UNREAD
            });
            maps.push(plain_map(symbol.name, MapOrigin::Legacy, shape));
        }
    }
    maps
}

/// What is wrong with a section in which no map is found.
fn nameless(input: &Input<'_>, section: &Section<'_>) -> &'static str {
    let is_untyped = |symbol: &Symbol<'_>| {
        symbol.section == section.index && symbol.kind == STT_NOTYPE && symbol.binding != STB_LOCAL
    };
    if input.elf.symbols.iter().any(is_untyped) {
        "holds map definitions whose symbols have no type, as clang before 8 wrote them; compile it with a newer clang"
    } else {
        "holds map definitions without a name"
    }
}

/// What stands for a definition that cannot be read.
const UNREAD: MapShape = MapShape {
    map_type: MapType::UNSPEC,
    key_size: 0,
    value_size: 0,
    max_entries: 0,
    map_flags: 0,
    map_extra: 0,
};

fn shape(section: &Section<'_>, symbol: &Symbol<'_>) -> Result<MapShape, String> {
    let bytes = definition(section, symbol)
        .ok_or("its definition lies beyond the end of its section, or of the file")?;
    let (words, _) = bytes.as_chunks::<FIELD>();
    let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let Some((&[map_type, key_size, value_size, max_entries, map_flags], more)) =
        words.split_first_chunk::<FIELDS>()
    else {
        return Err(format!(
            "its definition has {} bytes, and at least {} are needed: type, sizes of key and value, \
             entries, flags",
            bytes.len(),
            FIELDS * FIELD
        ));
    };
    match *more {
        [_id, pinning, inner_id, inner_index] if words.len() == IPROUTE2_FIELDS => {
            iproute2(pinning, inner_id, inner_index)?;
        }
        _ if bytes.iter().skip(FIELDS * FIELD).all(|byte| *byte == 0) => {}
        _ => {
            return Err(format!(
                "its definition has {} bytes, and what follows the first {} is not zero and could \
                 mean anything; {REWRITE}",
                bytes.len(),
                FIELDS * FIELD
            ));
        }
    }
    let map_type = MapType(map_type);
    Ok(MapShape { map_type, key_size, value_size, max_entries, map_flags, map_extra: 0 })
}

/// The bytes of a definition.
fn definition<'a>(section: &Section<'a>, symbol: &Symbol<'_>) -> Option<&'a [u8]> {
    let start = usize::try_from(symbol.value).ok()?;
    let size = usize::try_from(symbol.size).ok()?;
    section.data?.get(start..start.checked_add(size)?)
}

const REWRITE: &str = "define it with BTF: `struct { __uint(type, …); … } name SEC(\".maps\");`";

/// iproute2's own fields, which no other loader carries out.
fn iproute2(pinning: u32, inner_id: u32, inner_index: u32) -> Result<(), String> {
    let [what, instead] = match (pinning, inner_id, inner_index) {
        (0, 0, 0) => return Ok(()),
        (0, ..) => ["names its inner map", "`__array(values, struct { … })`"],
        _ => ["asks for pinning", "`__uint(pinning, LIBBPF_PIN_BY_NAME)`"],
    };
    Err(format!("is iproute2's `struct bpf_elf_map` and {what}; {REWRITE}, with {instead}"))
}

#[cfg(test)]
mod tests {
    use object::elf::{STB_GLOBAL, STT_OBJECT};

    use super::*;
    use crate::object::elf::Elf;

    /// The only map of a section of these numbers, whose symbol says `size` bytes from `at`.
    fn read(words: &[u32], at: u64, size: u64) -> (Vec<MapSpec>, Vec<String>) {
        let data: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let section = Section {
            index: 0,
            name: "maps",
            kind: SHT_PROGBITS,
            flags: 0,
            size: data.len() as u64,
            link: 0,
            info: 0,
            data: Some(&data),
        };
        let symbol = Symbol {
            name: "old",
            section: 0,
            value: at,
            size,
            binding: STB_GLOBAL,
            kind: STT_OBJECT,
            visibility: 0,
        };
        let elf = Elf { sections: vec![section], symbols: vec![symbol], has_symbol_table: true };
        let mut defects = Vec::new();
        let maps = maps(&Input::new(elf, None), &mut defects);
        (maps, defects.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_first_five_numbers_count() {
        for tail in [0, 2, 4] {
            let words = [vec![1, 4, 8, 16, 0x20], vec![0; tail]].concat();
            let (maps, defects) = read(&words, 0, 4 * words.len() as u64);
            assert_eq!((maps.len(), defects.len()), (1, 0), "{defects:?}");
            let shape = maps[0].shape;
            assert_eq!((shape.map_type, shape.key_size), (MapType::HASH, 4));
            assert_eq!((shape.value_size, shape.max_entries, shape.map_flags), (8, 16, 0x20));
            assert_eq!((&maps[0].origin, maps[0].pinning), (&MapOrigin::Legacy, None));
        }
    }

    #[test]
    fn what_no_loader_agrees_on_is_refused() {
        let cases = [
            (vec![1, 4, 8, 16, 0, 7], "has 24 bytes, and what follows the first 20 is not zero"),
            (vec![1, 4, 8, 16, 0, 0, 2, 0, 0], "asks for pinning"),
            (vec![1, 4, 8, 16, 0, 3, 0, 1, 0], "names its inner map"),
            (vec![1, 4, 8, 16], "at least 20 are needed"),
        ];
        for (words, expected) in cases {
            let (maps, defects) = read(&words, 0, 4 * words.len() as u64);
            assert!(defects[0].contains(expected), "{defects:?}");
            assert_eq!(maps[0].shape, UNREAD, "it is listed all the same");
        }
        let (_, defects) = read(&[1, 4, 8, 16, 0, 9, 0, 0, 0], 0, 36);
        assert!(defects.is_empty(), "an id alone says nothing to the kernel");
    }

    #[test]
    fn a_symbol_that_lies_is_told() {
        for (at, size) in [(4, 20), (0, 24), (u64::MAX, 20), (0, u64::MAX)] {
            let (_, defects) = read(&[1, 4, 8, 16, 0], at, size);
            assert!(defects[0].contains("beyond the end"), "{defects:?}");
        }
    }
}
