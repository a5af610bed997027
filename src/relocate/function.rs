//! The functions of an object: entry programs, and the subprograms in `.text` that they call.

use super::elf::{Elf, Role};
use super::error::RelocateError;
use super::insn::Insn;

/// A function (libbpf's `struct bpf_program` before it is linked).
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    /// Index of its section.
    pub(super) section: usize,
    /// Its first instruction, counted from the beginning of the section.
    pub(super) first: usize,
    pub(super) code: &'a [u8],
    /// Not static.
    pub(super) global: bool,
    /// Global, but hidden from other objects: the verifier shall treat it as static.
    pub(super) hidden: bool,
}

/// All functions of an object, sorted by section and place.
pub(super) struct Functions<'a>(Vec<Function<'a>>);

impl<'a> Functions<'a> {
    /// Collects them from the symbols (libbpf `bpf_object__add_programs`).
    pub(super) fn collect(elf: &Elf<'a>) -> Result<Self, RelocateError> {
        let mut functions = Vec::new();
        for symbol in elf.symbols.iter().filter(|symbol| symbol.is_function()) {
            let Some(section) = elf.sections.get(symbol.section) else { continue };
            if section.role != Role::Code {
                continue;
            }
            let wrong = |reason| RelocateError::Function {
                section: section.name.to_owned(),
                function: symbol.name.to_owned(),
                reason,
            };
            if elf.text != Some(symbol.section) && symbol.is_local() {
                return Err(wrong("is static, which is possible only in .text"));
            }
            let size = Insn::SIZE as u64;
            if symbol.size == 0
                || !symbol.size.is_multiple_of(size)
                || !symbol.value.is_multiple_of(size)
            {
                return Err(wrong("is no whole number of instructions"));
            }
            let code = symbol
                .value
                .checked_add(symbol.size)
                .and_then(|end| Some((usize::try_from(symbol.value).ok()?, end)))
                .and_then(|(start, end)| section.data.get(start..usize::try_from(end).ok()?))
                .ok_or_else(|| wrong("runs beyond its section"))?;
            functions.push(Function {
                name: symbol.name,
                section: symbol.section,
                // It fits: the code was found there.
                first: usize::try_from(symbol.value / size).unwrap_or(usize::MAX),
                code,
                global: !symbol.is_local(),
                hidden: !symbol.is_local() && symbol.hidden,
            });
        }
        functions.sort_by_key(|function| (function.section, function.first));
        Ok(Self(functions))
    }

    pub(super) fn get(&self, index: usize) -> Option<&Function<'a>> {
        self.0.get(index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Function<'a>> {
        self.0.iter()
    }

    /// Index of the first function for which `wanted` holds.
    pub(super) fn position(&self, wanted: impl Fn(&Function<'a>) -> bool) -> Option<usize> {
        self.0.iter().position(wanted)
    }

    /// Index of the function an instruction of a section belongs to (libbpf
    /// `find_prog_by_sec_insn`); `None` for what a linker left of an overridden weak function.
    pub(super) fn at(&self, section: usize, insn: usize) -> Option<usize> {
        let index = self
            .0
            .partition_point(|function| (function.section, function.first) <= (section, insn))
            .checked_sub(1)?;
        let function = self.0.get(index)?;
        (function.section == section && insn < function.end()).then_some(index)
    }
}

impl Function<'_> {
    /// How many instructions it has.
    pub(super) fn len(&self) -> usize {
        self.code.len() / Insn::SIZE
    }

    /// The first instruction of its section that is no longer its own.
    pub(super) fn end(&self) -> usize {
        self.first.saturating_add(self.len())
    }
}
