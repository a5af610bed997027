//! Data sections that become array maps, and the variables in them.
//!
//! Source: `bpf_object__init_global_data_maps`, `bpf_object__init_internal_map` and
//! `map_is_mmapable` in libbpf's `src/libbpf.c`.

use std::collections::BTreeSet;

use object::elf::{SHF_EXECINSTR, SHT_PROGBITS, STV_HIDDEN, STV_INTERNAL};

use super::ctypes::Types;
use super::elf::Section;
use super::input::{Input, Variable};
use super::maps::section_defect;
use crate::btf::{Linkage, Shape, Type};
use crate::model::kinds::MapType;
use crate::model::map::{DataSection, MapOrigin, MapShape, MapSpec};
use crate::model::object::{Defect, GlobalSpec};

/// `BPF_F_RDONLY_PROG`: programs may only read.
const RDONLY_PROG: u32 = 0x80;
/// `BPF_F_MMAPABLE`: userspace may map it.
const MMAPABLE: u32 = 0x400;
/// Most bytes of contents taken from one object: enough for any data section, and a bound on what
/// section headers that lie can cost.
const CONTENTS_MAX: u64 = 256 << 20;

/// The data sections of an object and their variables, each in the order of the section table.
pub(super) fn sections(
    input: &Input<'_>,
    mut types: Option<&mut Types<'_>>,
    defects: &mut Vec<Defect>,
) -> (Vec<MapSpec>, Vec<GlobalSpec>) {
    let mut maps = Vec::new();
    let mut globals = Vec::new();
    let mut left = CONTENTS_MAX;
    for section in &input.elf.sections {
        let Some(kind) = data_section(section) else { continue };
        let Some(contents) = contents(section, &mut left) else {
            defects.push(section_defect(section.name, unreadable(section)));
            continue;
        };
        let described = input.data_section(section);
        let (btf, variables) =
            described.map_or((None, Vec::new()), |(btf, variables)| (Some(btf), variables));
        maps.push(map(section, kind, contents, btf, &variables));
        let mut found = Globals { section, list: Vec::new(), defects };
        found.described(&variables, types.as_deref_mut());
        found.undescribed(input);
        globals.append(&mut found.list);
    }
    (maps, globals)
}

/// What libbpf makes of a section (`bpf_object__elf_collect`), if it has any bytes.
fn data_section(section: &Section<'_>) -> Option<DataSection> {
    let is = |name: &str| {
        section.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let code = section.flags & u64::from(SHF_EXECINSTR) != 0;
    match section.size {
        0 => None,
        _ if section.is_zeroes() => is(".bss").then_some(DataSection::Bss),
        _ if section.kind != SHT_PROGBITS || code => None,
        _ if is(".data") => Some(DataSection::Data),
        _ => is(".rodata").then_some(DataSection::Rodata),
    }
}

fn contents(section: &Section<'_>, left: &mut u64) -> Option<Vec<u8>> {
    *left = left.checked_sub(section.size)?;
    if section.is_zeroes() {
        return Some(vec![0; usize::try_from(section.size).ok()?]);
    }
    section.data.map(<[u8]>::to_vec)
}

fn unreadable(section: &Section<'_>) -> String {
    if section.data.is_none() {
        return "its bytes lie beyond the end of the file (half-written?)".to_owned();
    }
    format!(
        "has {} bytes; the data sections of an object may have {} MiB together",
        section.size,
        CONTENTS_MAX >> 20
    )
}

fn map(
    section: &Section<'_>,
    kind: DataSection,
    contents: Vec<u8>,
    btf: Option<Type<'_>>,
    variables: &[Variable<'_>],
) -> MapSpec {
    let read_only = if kind == DataSection::Rodata { RDONLY_PROG } else { 0 };
    let mmapable = if variables.iter().any(is_visible) { MMAPABLE } else { 0 };
    MapSpec {
        name: section.name.to_owned(),
        shape: MapShape {
            map_type: MapType::ARRAY,
            key_size: 4,
            value_size: u32::try_from(contents.len()).unwrap_or(u32::MAX),
            max_entries: 1,
            map_flags: read_only | mmapable,
            map_extra: 0,
        },
        origin: MapOrigin::Section { kind, contents },
        numa_node: None,
        pinning: None,
        key: None,
        value: None,
        key_type_id: 0,
        value_type_id: btf.map_or(0, Type::id),
        inner: None,
        slots: Vec::new(),
    }
}

/// Whether a variable can be seen outside its object: one such makes libbpf map the section.
fn is_visible(variable: &Variable<'_>) -> bool {
    let Shape::Var { linkage, .. } = variable.var.shape() else { return false };
    let hidden = variable
        .symbol
        .is_some_and(|symbol| matches!(symbol.visibility, STV_HIDDEN | STV_INTERNAL));
    match linkage {
        Linkage::Static => false,
        Linkage::Extern => true,
        Linkage::Global | Linkage::Unknown(_) => !hidden,
    }
}

/// Collects the variables of one section.
struct Globals<'s, 'd> {
    section: &'s Section<'s>,
    list: Vec<GlobalSpec>,
    defects: &'d mut Vec<Defect>,
}

impl Globals<'_, '_> {
    /// Those that BTF describes.
    fn described(&mut self, variables: &[Variable<'_>], mut types: Option<&mut Types<'_>>) {
        for variable in variables {
            let name = variable.name();
            if name.is_empty() {
                self.report("holds a variable without a readable name".to_owned());
                continue;
            }
            let Some(offset) = variable.offset else {
                self.report(format!("variable `{name}` has no symbol that says where it lies"));
                continue;
            };
            let ctype = variable
                .var
                .target()
                .zip(types.as_deref_mut())
                .and_then(|(target, types)| types.expand_unqualified(target));
            self.add(GlobalSpec {
                name: name.to_owned(),
                section: self.section.name.to_owned(),
                offset,
                size: variable.size,
                ctype,
            });
        }
    }

    /// Those that only the symbol table knows.
    fn undescribed(&mut self, input: &Input<'_>) {
        let known: BTreeSet<_> = self.list.iter().map(|global| global.name.clone()).collect();
        for symbol in input.symbols_in(self.section.index) {
            if known.contains(symbol.name) {
                continue;
            }
            let (Ok(offset), Ok(size)) = (u32::try_from(symbol.value), u32::try_from(symbol.size))
            else {
                self.report(format!("variable `{}` lies outside of it", symbol.name));
                continue;
            };
            self.add(GlobalSpec {
                name: symbol.name.to_owned(),
                section: self.section.name.to_owned(),
                offset,
                size,
                ctype: None,
            });
        }
        self.list.sort_by(|a, b| (a.offset, &a.name).cmp(&(b.offset, &b.name)));
    }

    fn add(&mut self, global: GlobalSpec) {
        let end = u64::from(global.offset) + u64::from(global.size);
        if end > self.section.size {
            self.report(format!("variable `{}` lies outside of it", global.name));
        } else {
            self.list.push(global);
        }
    }

    fn report(&mut self, message: String) {
        self.defects.push(section_defect(self.section.name, message));
    }
}

#[cfg(test)]
mod tests {
    use object::elf::{SHT_NOBITS, STB_GLOBAL, STT_OBJECT};

    use super::*;
    use crate::object::elf::{Elf, Symbol};

    fn section(index: usize, name: &'static str, data: Option<&'static [u8]>) -> Section<'static> {
        let size = data.map_or(16, |data| data.len() as u64);
        Section { index, name, kind: SHT_PROGBITS, flags: 0, size, link: 0, info: 0, data }
    }

    fn read(
        list: Vec<Section<'static>>,
        symbols: Vec<Symbol<'static>>,
    ) -> (Vec<MapSpec>, Vec<GlobalSpec>, Vec<String>) {
        let mut defects = Vec::new();
        let input = Input::new(Elf { sections: list, symbols, has_symbol_table: true }, None);
        let (maps, globals) = sections(&input, None, &mut defects);
        (maps, globals, defects.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn names_decide_what_is_a_data_section() {
        let bytes = Some([1, 2].as_slice());
        let bss = |index, name| Section { kind: SHT_NOBITS, ..section(index, name, bytes) };
        let (maps, _, _) = read(
            vec![
                section(0, ".data", bytes),
                section(1, ".data.mine", bytes),
                section(2, ".database", bytes),
                section(3, ".rodata.str1.1", bytes),
                section(4, ".bss", bytes),
                bss(5, ".bss"),
                bss(6, ".bss.mine"),
                bss(7, ".data"),
                section(8, ".rodata", Some(&[])),
                section(9, "license", bytes),
                Section { flags: SHF_EXECINSTR.into(), ..section(10, ".rodata.code", bytes) },
            ],
            Vec::new(),
        );
        let names: Vec<_> = maps.iter().map(|map| map.name.as_str()).collect();
        assert_eq!(names, [".data", ".data.mine", ".rodata.str1.1", ".bss", ".bss.mine"]);
        let flags: Vec<_> = maps.iter().map(|map| map.shape.map_flags).collect();
        assert_eq!(flags, [0, 0, RDONLY_PROG, 0, 0]);
    }

    #[test]
    fn sizes_that_lie_cost_nothing() {
        let huge = |index| Section {
            kind: SHT_NOBITS,
            size: CONTENTS_MAX - 8,
            ..section(index, ".bss", Some(&[]))
        };
        let endless = Section { size: u64::MAX, ..huge(2) };
        let cut = section(3, ".data", None);
        let (maps, _, defects) = read(vec![huge(0), huge(1), endless, cut], Vec::new());
        assert_eq!(maps.len(), 1);
        let limit = "the data sections of an object may have 256 MiB together";
        assert_eq!(defects.iter().filter(|defect| defect.contains(limit)).count(), 2);
        assert_eq!(
            defects.last().map(String::as_str),
            Some("section `.data`: its bytes lie beyond the end of the file (half-written?)")
        );
    }

    #[test]
    fn a_variable_outside_its_section_is_a_defect() {
        let symbol = |name, value, size| Symbol {
            name,
            section: 0,
            value,
            size,
            binding: STB_GLOBAL,
            kind: STT_OBJECT,
            visibility: 0,
        };
        let (_, globals, defects) = read(
            vec![section(0, ".data", Some(&[0; 16]))],
            vec![
                symbol("last", 12, 4),
                symbol("first", 0, 4),
                symbol("far", 13, 4),
                symbol("vast", 0, u64::MAX),
            ],
        );
        let names: Vec<_> = globals.iter().map(|global| global.name.as_str()).collect();
        assert_eq!(names, ["first", "last"]);
        assert_eq!(
            defects,
            [
                "section `.data`: variable `far` lies outside of it",
                "section `.data`: variable `vast` lies outside of it",
            ]
        );
    }
}
