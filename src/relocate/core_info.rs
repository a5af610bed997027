//! The CO-RE relocations of an object, resolved and sorted by function (libbpf
//! `bpf_object__relocate_core`).

use std::collections::BTreeMap;

use crate::btf::{BtfExt, CoreRelo};

use super::core::{ReloKind, Resolved, Resolver, Targets};
use super::elf::Elf;
use super::function::Functions;
use super::insn::Insn;
use super::linker::ObjectBtf;

/// Resolved relocations by function.
#[derive(Default)]
pub(super) struct CoreInfo(BTreeMap<usize, Vec<(usize, Resolved)>>);

impl CoreInfo {
    /// Resolves all of them. One that fails matters only to the programs it is in.
    pub(super) fn resolve(
        elf: &Elf<'_>,
        functions: &Functions<'_>,
        btf: &ObjectBtf<'_>,
        targets: Option<Targets<'_>>,
    ) -> Self {
        let mut placed = Vec::new();
        for records in btf.ext.core_relo.sections() {
            let name = btf.types.string(records.name_off).unwrap_or_default();
            let Some(section) = elf.section_index(name) else { continue };
            for record in records.core_relos() {
                let insn = record.insn_off as usize / Insn::SIZE;
                // What remains of an overridden weak function is no function's.
                let Some(index) = functions.at(section, insn) else { continue };
                let Some(function) = functions.get(index) else { continue };
                placed.push((name.starts_with('?'), index, insn - function.first, record));
            }
        }
        // Programs of `?` sections are not loaded unless asked for, so that they must not influence
        // the others.
        placed.sort_by_key(|(optional, ..)| *optional);
        let relocations = placed.iter().map(|(.., record)| *record);
        let mut resolver = Resolver::new(&btf.types, targets, relocations);
        let mut info = Self::default();
        for (_, function, insn, record) in placed {
            info.0.entry(function).or_default().push((insn, resolver.resolve(record)));
        }
        info
    }

    /// Those of a function: the instruction, counted from its beginning, and what becomes of it.
    pub(super) fn of(&self, function: usize) -> &[(usize, Resolved)] {
        self.0.get(&function).map_or(&[], Vec::as_slice)
    }

    /// Whether there is a relocation that asks about the kernel's types.
    pub(super) fn needs_kernel_btf(ext: &BtfExt<'_>) -> bool {
        let is_local = |record: CoreRelo| record.kind == ReloKind::TypeIdLocal as u32;
        ext.core_relo.sections().any(|section| section.core_relos().any(|record| !is_local(record)))
    }
}
