//! Debug information of a program, cut out of `.BTF.ext` and re-based (libbpf
//! `reloc_prog_func_and_line_info`).

use std::collections::BTreeMap;

use crate::btf::{Btf, InfoSection, InfoTable};

use super::elf::Elf;
use super::function::Function;
use super::insn::Insn;
use super::linker::ObjectBtf;

/// `func_info` and `line_info` of a program while it is put together.
#[derive(Default)]
pub(super) struct InfoTables {
    pub(super) func_info: Records,
    pub(super) line_info: Records,
}

/// Records of one table.
#[derive(Default)]
pub(super) struct Records {
    bytes: Vec<u8>,
    record_size: u32,
    /// Whether the entry program was looked at.
    begun: bool,
}

impl InfoTables {
    /// Appends the records of a function that begins with instruction `start` of the program. If
    /// the entry program has none of a table, neither have the functions it calls; if it has, they
    /// must. Fails with the name of the table.
    pub(super) fn append(
        &mut self,
        btf: &ObjectBtf<'_>,
        function: &Function<'_>,
        start: usize,
    ) -> Result<(), &'static str> {
        self.func_info.append(cut(&btf.func_info, function, start)).ok_or("func_info")?;
        self.line_info.append(cut(&btf.line_info, function, start)).ok_or("line_info")
    }
}

impl Records {
    fn append(&mut self, records: Option<(Vec<u8>, u32)>) -> Option<()> {
        let entry = !std::mem::replace(&mut self.begun, true);
        match records {
            Some((bytes, record_size)) if entry || !self.bytes.is_empty() => {
                self.bytes.extend(bytes);
                self.record_size = record_size;
                Some(())
            }
            None if !self.bytes.is_empty() => None,
            _ => Some(()),
        }
    }

    /// The records and the size of one.
    pub(super) fn finish(self) -> (Vec<u8>, u32) {
        (self.bytes, self.record_size)
    }
}

/// A table's records by the index of the section they are of; the first of several, as libbpf has it.
pub(super) fn by_section<'a>(
    elf: &Elf<'_>,
    types: &Btf<'_>,
    table: InfoTable<'a>,
) -> BTreeMap<usize, InfoSection<'a>> {
    let mut sections = BTreeMap::new();
    for section in table.sections() {
        let name = types.string(section.name_off).unwrap_or_default();
        if let Some(index) = elf.section_index(name) {
            sections.entry(index).or_insert(section);
        }
    }
    sections
}

/// The records of a function, from its first to its last, with the offsets the kernel wants:
/// instructions, counted from the beginning of the program (libbpf `adjust_prog_btf_ext_info`).
///
/// The kernel takes one record for an instruction, in their order; of others it is not told.
fn cut(
    table: &BTreeMap<usize, InfoSection<'_>>,
    function: &Function<'_>,
    start: usize,
) -> Option<(Vec<u8>, u32)> {
    let section = table.get(&function.section)?;
    let first = u32::try_from(function.first.checked_mul(Insn::SIZE)?).ok()?;
    let mut bytes = Vec::new();
    for record in section.records_from(first).take(function.len()) {
        let (offset, rest) = record.split_first_chunk()?;
        let insn = u32::from_le_bytes(*offset) as usize / Insn::SIZE;
        if insn >= function.end() {
            break;
        }
        let Some(own) = insn.checked_sub(function.first) else { break };
        let insn = u32::try_from(start.checked_add(own)?).ok()?;
        bytes.extend(insn.to_le_bytes());
        bytes.extend(rest);
    }
    (!bytes.is_empty()).then_some((bytes, section.record_size))
}
