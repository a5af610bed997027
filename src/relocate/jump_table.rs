//! Tables of places to jump to (libbpf `create_jt_map`), which take LLVM 22 and Linux 6.19.

use super::elf::{Elf, Role};
use super::function::Function;
use super::insn::{Insn, PSEUDO_MAP_VALUE};
use super::link::LinkedProgram;

/// Bytes of a place in an object's table: a distance from the beginning of the code's section.
const PLACE: usize = 8;

/// Most places in the tables of one program together. The kernel takes fewer instructions than that.
const PLACES_MAX: usize = 1_000_000;

/// A table of places to jump to. It is a map, made for the program before that is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JumpTable {
    /// The instructions that it leads to, counted from the beginning of the linked program.
    pub targets: Vec<u32>,
    /// Where it is in the object's section.
    offset: u32,
    /// The instructions that load its address.
    instructions: Vec<usize>,
}

impl LinkedProgram {
    /// Makes the instructions that load the address of a table load that of the map with this
    /// descriptor.
    pub fn bind_jump_table(&mut self, table: usize, descriptor: i32) {
        let Some(table) = self.jump_tables.get(table) else { return };
        for at in &table.instructions {
            if let Some(insn) = self.instructions.get_mut(*at) {
                *insn = insn.with_src(PSEUDO_MAP_VALUE).with_imm(descriptor).with_off(0);
            }
        }
    }

    /// Notes that the instruction `at`, of a function that begins at `start` of the program, loads the
    /// address of a table.
    pub(super) fn use_jump_table(
        &mut self,
        elf: &Elf<'_>,
        (function, start): (&Function<'_>, usize),
        at: usize,
        (offset, size): (u32, u32),
    ) -> Result<(), &'static str> {
        if let Some(known) = self.jump_tables.iter_mut().find(|table| table.offset == offset) {
            known.instructions.push(at);
            return Ok(());
        }
        let targets = targets(elf, offset, size)?;
        let used: usize = self.jump_tables.iter().map(|table| table.targets.len()).sum();
        if used + targets.len() > PLACES_MAX {
            return Err("the program's jump tables are too large");
        }
        let place = |target: u64| {
            let insn = usize::try_from(target / Insn::SIZE as u64).ok()?;
            u32::try_from(insn.checked_sub(function.first)?.checked_add(start)?).ok()
        };
        let targets: Option<Vec<u32>> = targets.into_iter().map(place).collect();
        let targets = targets.ok_or("its jump table leads out of the function")?;
        self.jump_tables.push(JumpTable { targets, offset, instructions: vec![at] });
        Ok(())
    }
}

/// The places in a table, in bytes from the beginning of the section.
fn targets(elf: &Elf<'_>, offset: u32, size: u32) -> Result<Vec<u64>, &'static str> {
    let section = elf.sections.iter().find(|section| section.role == Role::JumpTables);
    let (start, size) = (offset as usize, size as usize);
    if !start.is_multiple_of(PLACE) || !size.is_multiple_of(PLACE) || size == 0 {
        return Err("its jump table does not hold whole places");
    }
    let bytes = section.and_then(|section| section.data.get(start..)?.get(..size));
    let (places, _) = bytes.ok_or("its jump table lies outside of its section")?.as_chunks();
    Ok(places.iter().map(|place| u64::from_le_bytes(*place)).collect())
}
