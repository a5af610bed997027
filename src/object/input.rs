//! What all readers of one object share: its ELF tables, its BTF, and its variables by name.

use std::collections::BTreeMap;

use object::elf::STT_OBJECT;

use super::elf::{Elf, NAME_MAX, Section, Symbol};
use crate::btf::{Btf, Kind, SecVar, Shape, Type};

/// An opened object.
pub(super) struct Input<'a> {
    pub(super) elf: Elf<'a>,
    /// `None` without a readable `.BTF`.
    pub(super) btf: Option<Btf<'a>>,
    variables: BTreeMap<(usize, &'a str), Symbol<'a>>,
    /// The first `DATASEC` of each name.
    data_sections: BTreeMap<&'a str, Type<'a>>,
    /// The index of the first section of each name.
    sections: BTreeMap<&'a str, usize>,
}

/// A variable of a data section, as its BTF and its symbol together describe it.
#[derive(Clone, Copy)]
pub(super) struct Variable<'a> {
    /// Its `VAR`.
    pub(super) var: Type<'a>,
    /// Its symbol, unless it has none.
    pub(super) symbol: Option<Symbol<'a>>,
    /// In bytes from the beginning of the section; `None` if neither says.
    pub(super) offset: Option<u32>,
    /// In bytes.
    pub(super) size: u32,
}

impl<'a> Variable<'a> {
    /// Its name; empty if it has none that is readable.
    pub(super) fn name(&self) -> &'a str {
        Some(self.var.name()).filter(|name| name.len() < NAME_MAX).unwrap_or_default()
    }
}

impl<'a> Input<'a> {
    pub(super) fn new(elf: Elf<'a>, btf: Option<Btf<'a>>) -> Self {
        let variables = elf
            .symbols
            .iter()
            .filter(|symbol| symbol.kind == STT_OBJECT && !symbol.name.is_empty())
            .map(|symbol| ((symbol.section, symbol.name), *symbol))
            .collect();
        let mut data_sections = BTreeMap::new();
        let types = btf.iter().flat_map(Btf::types);
        for found in types.filter(|found| found.kind() == Kind::Datasec) {
            data_sections.entry(found.name()).or_insert(found);
        }
        let mut sections = BTreeMap::new();
        for section in &elf.sections {
            sections.entry(section.name).or_insert(section.index);
        }
        Self { elf, btf, variables, data_sections, sections }
    }

    /// The variables of a section that have a symbol.
    pub(super) fn symbols_in(&self, section: usize) -> impl Iterator<Item = &Symbol<'a>> {
        self.variables.range((section, "")..(section + 1, "")).map(|(_, symbol)| symbol)
    }

    /// The BTF of a data section with its variables, in the order of their offsets. Of several
    /// sections of one name, it is the first's.
    ///
    /// Compilers leave offsets in BTF 0, for the loader to take from the symbols; a linked object
    /// has them filled in (libbpf `btf_fixup_datasec`).
    pub(super) fn data_section(
        &self,
        section: &Section<'_>,
    ) -> Option<(Type<'a>, Vec<Variable<'a>>)> {
        let btf = self.btf.as_ref()?;
        let is_first = self.sections.get(section.name) == Some(&section.index);
        let found = self.data_sections.get(section.name).copied().filter(|_| is_first)?;
        let linked = found.size().is_some_and(|size| size > 0);
        let mut variables: Vec<_> = btf
            .variables(found)
            .filter(|(_, var)| matches!(var.shape(), Shape::Var { .. }))
            .map(|(place, var)| self.variable(section.index, place, var, linked))
            .collect();
        variables.sort_by_key(|variable| variable.offset);
        Some((found, variables))
    }

    fn variable(&self, section: usize, place: SecVar, var: Type<'a>, linked: bool) -> Variable<'a> {
        let symbol = self.variables.get(&(section, var.name())).copied();
        let told = linked.then_some(place.offset);
        let offset = symbol.and_then(|symbol| u32::try_from(symbol.value).ok()).or(told);
        Variable { var, symbol, offset, size: place.size }
    }
}
