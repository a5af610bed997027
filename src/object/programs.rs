//! The programs of an object: which functions are entry points, and what their sections say.
//!
//! Source: `bpf_object__add_programs` and `bpf_object__init_prog` in libbpf's `src/libbpf.c`.

use std::collections::{BTreeMap, BTreeSet};

use object::elf::{SHF_EXECINSTR, SHT_PROGBITS, STB_LOCAL, STT_FUNC, STV_HIDDEN, STV_INTERNAL};

use super::elf::{Elf, Section, Symbol};
use super::sections;
use crate::model::object::{Defect, FunctionSpec, Part};
use crate::model::program::{ProgramSpec, Uses};

/// Where functions live that programs call; never programs themselves.
const TEXT: &str = ".text";
/// Bytes of an instruction.
const INSTRUCTION: u64 = 8;

/// The programs, in the order of the section table and then of their offsets.
pub(super) fn programs(elf: &Elf<'_>, defects: &mut Vec<Defect>) -> Vec<ProgramSpec> {
    let mut functions = BTreeMap::<usize, Vec<&Symbol<'_>>>::new();
    for symbol in elf.symbols.iter().filter(|symbol| symbol.kind == STT_FUNC) {
        functions.entry(symbol.section).or_default().push(symbol);
    }
    let mut programs = Vec::new();
    for section in elf.sections.iter().filter(|section| holds_programs(section)) {
        let mut entries = functions.remove(&section.index).unwrap_or_default();
        entries.sort_by_key(|function| function.value);
        for function in entries {
            if function.binding == STB_LOCAL {
                defects.push(static_function(section, function));
                continue;
            }
            if let Some(message) = damage(section, function) {
                defects.push(program_defect(function.name, message));
            }
            programs.push(program(section, function));
        }
    }
    report_duplicates(&programs, defects);
    programs
}

/// The functions that programs call.
pub(super) fn functions(elf: &Elf<'_>) -> Vec<FunctionSpec> {
    let Some(text) = elf.section(TEXT) else { return Vec::new() };
    let mut symbols: Vec<_> = elf
        .symbols
        .iter()
        .filter(|symbol| symbol.kind == STT_FUNC && symbol.section == text.index)
        .filter(|symbol| !symbol.name.is_empty())
        .collect();
    symbols.sort_by_key(|symbol| symbol.value);
    let hidden = |symbol: &Symbol<'_>| matches!(symbol.visibility, STV_HIDDEN | STV_INTERNAL);
    let function = |symbol: &Symbol<'_>| FunctionSpec {
        name: symbol.name.to_owned(),
        global: symbol.binding != STB_LOCAL && !hidden(symbol),
    };
    symbols.into_iter().map(function).collect()
}

/// Whether a symbol is a program of that section.
pub(super) fn is_entry(section: &Section<'_>, symbol: &Symbol<'_>) -> bool {
    holds_programs(section) && symbol.kind == STT_FUNC && symbol.binding != STB_LOCAL
}

/// Whether the functions of a section are entry points.
fn holds_programs(section: &Section<'_>) -> bool {
    section.kind == SHT_PROGBITS
        && section.flags & u64::from(SHF_EXECINSTR) != 0
        && section.size > 0
        && section.name != TEXT
}

fn program(section: &Section<'_>, function: &Symbol<'_>) -> ProgramSpec {
    let (_, autoload) = sections::autoload(section.name);
    ProgramSpec {
        name: function.name.to_owned(),
        section: section.name.to_owned(),
        kind: sections::program_kind(section.name),
        autoload,
        instructions: u32::try_from(function.size / INSTRUCTION).unwrap_or(u32::MAX),
        uses: Uses::default(),
        xdp_run: None,
    }
}

/// What keeps a function's code from being instructions.
fn damage(section: &Section<'_>, function: &Symbol<'_>) -> Option<String> {
    let (offset, size) = (function.value, function.size);
    if function.name.is_empty() {
        return Some(format!(
            "the function at offset {offset} of section `{}` has no readable name",
            section.name
        ));
    }
    if section.data.is_none() {
        return Some("its code lies beyond the end of the file (half-written?)".to_owned());
    }
    if size == 0 || size % INSTRUCTION != 0 || offset % INSTRUCTION != 0 {
        return Some(format!(
            "corrupted: {size} bytes at offset {offset} of section `{}` are no whole number of instructions of 8 bytes",
            section.name
        ));
    }
    if offset.checked_add(size).is_none_or(|end| end > section.size) {
        return Some(format!(
            "its {size} bytes at offset {offset} cross the end of section `{}`",
            section.name
        ));
    }
    None
}

fn static_function(section: &Section<'_>, function: &Symbol<'_>) -> Defect {
    program_defect(
        function.name,
        format!(
            "is static, so it cannot be a program; remove `static`, or drop its SEC(\"{}\") if others call it",
            section.name
        ),
    )
}

fn report_duplicates(programs: &[ProgramSpec], defects: &mut Vec<Defect>) {
    let mut seen = BTreeSet::new();
    for program in programs {
        if !seen.insert(&program.name) {
            defects.push(program_defect(&program.name, "is defined more than once".to_owned()));
        }
    }
}

fn program_defect(name: &str, message: String) -> Defect {
    Defect { part: Part::Program(name.to_owned()), message }
}

#[cfg(test)]
mod tests {
    use object::elf::{SHT_NOBITS, STB_GLOBAL, STB_WEAK, STT_OBJECT};

    use super::*;

    fn section(index: usize, name: &'static str, flags: u32) -> Section<'static> {
        const CODE: [u8; 64] = [0; 64];
        Section {
            index,
            name,
            kind: SHT_PROGBITS,
            flags: flags.into(),
            size: 64,
            link: 0,
            info: 0,
            data: Some(&CODE),
        }
    }

    fn function(name: &'static str, section: usize, value: u64, size: u64) -> Symbol<'static> {
        let (binding, kind) = (STB_GLOBAL, STT_FUNC);
        Symbol { name, section, value, size, binding, kind, visibility: 0 }
    }

    fn read(
        sections: Vec<Section<'static>>,
        symbols: Vec<Symbol<'static>>,
    ) -> (Vec<ProgramSpec>, Vec<String>) {
        let mut defects = Vec::new();
        let elf = Elf { sections, symbols, has_symbol_table: true };
        let programs = programs(&elf, &mut defects);
        (programs, defects.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn programs_come_by_section_and_offset() {
        let (programs, defects) = read(
            vec![section(0, "tc", SHF_EXECINSTR), section(1, "?xdp", SHF_EXECINSTR)],
            vec![
                function("late", 1, 16, 8),
                function("early", 1, 0, 16),
                Symbol { binding: STB_WEAK, ..function("first", 0, 0, 24) },
            ],
        );
        assert!(defects.is_empty());
        let found: Vec<_> = programs
            .iter()
            .map(|program| (program.name.as_str(), program.instructions, program.autoload))
            .collect();
        assert_eq!(found, [("first", 3, true), ("early", 2, false), ("late", 1, false)]);
    }

    #[test]
    fn only_functions_of_code_sections_are_programs() {
        let data = Section { flags: 0, ..section(0, "xdp", 0) };
        let text = section(1, ".text", SHF_EXECINSTR);
        let zeroes = Section { kind: SHT_NOBITS, ..section(2, "tc", SHF_EXECINSTR) };
        let code = section(3, "xdp", SHF_EXECINSTR);
        let symbols = vec![
            function("a", 0, 0, 8),
            function("b", 1, 0, 8),
            function("c", 2, 0, 8),
            Symbol { kind: STT_OBJECT, ..function("d", 3, 0, 8) },
        ];
        assert_eq!(read(vec![data, text, zeroes, code], symbols), (Vec::new(), Vec::new()));
    }

    #[test]
    fn damage_is_named_and_the_program_listed() {
        let cases = [
            (function("odd", 0, 0, 12), "no whole number of instructions"),
            (function("odd", 0, 4, 8), "no whole number of instructions"),
            (function("odd", 0, 0, 0), "no whole number of instructions"),
            (function("odd", 0, 0, 72), "cross the end of section `xdp`"),
            (function("odd", 0, u64::MAX - 7, 8), "cross the end of section `xdp`"),
            (function("", 0, 0, 8), "has no readable name"),
        ];
        for (symbol, expected) in cases {
            let (programs, defects) = read(vec![section(0, "xdp", SHF_EXECINSTR)], vec![symbol]);
            assert_eq!(programs.len(), 1);
            assert!(defects.iter().any(|defect| defect.contains(expected)), "{defects:?}");
        }
    }

    #[test]
    fn a_name_is_unique() {
        let sections = vec![section(0, "tc", SHF_EXECINSTR), section(1, "xdp", SHF_EXECINSTR)];
        let (_, defects) = read(sections, vec![function("a", 0, 0, 8), function("a", 1, 0, 8)]);
        assert_eq!(defects, ["program `a`: is defined more than once"]);
    }
}
