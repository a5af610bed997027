//! What programs ask of the kernel: the helpers they call and the instructions they are made of, in
//! their own code and in the functions that they call or pass as values.
//!
//! Source: `bpf_object__collect_relos` and `bpf_object__reloc_code` in libbpf's `src/libbpf.c`, for
//! how a call names its function.

use std::collections::{BTreeMap, BTreeSet};

use object::elf::{SHF_EXECINSTR, SHT_PROGBITS, STB_WEAK, STT_FUNC};

use super::elf::{Elf, Section, Symbol};
use crate::model::helper::Helper;
use crate::model::program::{Instruction, ProgramSpec, Uses};

/// Bytes of an instruction.
const SIZE: usize = 8;
/// Most instructions looked at in one object, and most relocations: section headers that lie can
/// have the same bytes read many times.
const LOOKED_AT_MAX: usize = 1 << 24;

const CALL: u8 = 0x85;
const MAY_GOTO: u8 = 0xe5;
const LOAD_IMMEDIATE: u8 = 0x18;
const LONG_JUMP: u8 = 0x06;
const SWAP: u8 = 0xd7;
const PSEUDO_CALL: u8 = 1;
const PSEUDO_KFUNC: u8 = 2;
const PSEUDO_FUNC: u8 = 4;

/// Fills [`ProgramSpec::uses`].
pub(super) fn fill(elf: &Elf<'_>, programs: &mut [ProgramSpec]) {
    let graph = Graph::of(elf);
    let uses = graph.reached();
    let mut by_name = BTreeMap::<&str, usize>::new();
    for symbol in elf.symbols.iter().filter(|symbol| symbol.kind == STT_FUNC) {
        if let Some(function) = graph.starting_at(symbol.section, symbol.value) {
            let in_text = elf.sections.get(symbol.section).is_some_and(|s| s.name == ".text");
            if !in_text {
                by_name.entry(symbol.name).or_insert(function);
            }
        }
    }
    for program in programs {
        let found = by_name.get(program.name.as_str()).and_then(|function| uses.get(*function));
        program.uses = found.map(Set::described).unwrap_or_default();
    }
}

/// Helpers and instructions, as bits.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Set {
    helpers: [u64; 4],
    instructions: u16,
    needs_kernel_functions: bool,
}

/// In the order of their bits.
const INSTRUCTIONS: [Instruction; 9] = [
    Instruction::Call,
    Instruction::Jump32,
    Instruction::AtomicFetch,
    Instruction::Version4,
    Instruction::MayGoto,
    Instruction::AddressSpaceCast,
    Instruction::LoadAcquire,
    Instruction::Callback,
    Instruction::KernelFunction,
];

impl Set {
    fn add(&mut self, instruction: Instruction) {
        let bit = INSTRUCTIONS.iter().position(|known| *known == instruction).unwrap_or(0);
        self.instructions |= 1 << bit;
    }

    fn add_kernel_function(&mut self, weak: bool) {
        self.add(Instruction::KernelFunction);
        self.needs_kernel_functions |= !weak;
    }

    fn add_helper(&mut self, number: i32) {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        if let Some(bits) = self.helpers.get_mut(number / 64) {
            *bits |= 1 << (number % 64);
        }
    }

    /// Whether that changed it.
    fn merge(&mut self, other: &Self) -> bool {
        let before = *self;
        for (bits, others) in self.helpers.iter_mut().zip(other.helpers) {
            *bits |= others;
        }
        self.instructions |= other.instructions;
        self.needs_kernel_functions |= other.needs_kernel_functions;
        *self != before
    }

    fn described(&self) -> Uses {
        let known = 1..=Helper::LAST.0;
        let has = |number: &u32| {
            let (word, bit) = (number / 64, number % 64);
            self.helpers[word as usize] >> bit & 1 == 1
        };
        let helpers = known.filter(has).map(Helper).collect();
        let bits = INSTRUCTIONS.iter().enumerate();
        let instructions: BTreeSet<_> = bits
            .filter(|(bit, _)| self.instructions >> bit & 1 == 1)
            .map(|(_, instruction)| *instruction)
            .collect();
        Uses { helpers, instructions, needs_kernel_functions: self.needs_kernel_functions }
    }
}

/// A function: from its first instruction to the next function of its section.
struct Node {
    section: usize,
    first: usize,
    own: Set,
    callers: Vec<usize>,
}

/// All functions of an object, by section and place, with who calls whom.
struct Graph(Vec<Node>);

impl Graph {
    fn of(elf: &Elf<'_>) -> Self {
        let mut places: Vec<(usize, usize)> = elf
            .symbols
            .iter()
            .filter(|symbol| symbol.kind == STT_FUNC)
            .filter(|symbol| elf.sections.get(symbol.section).is_some_and(is_code))
            .filter_map(|symbol| Some((symbol.section, instruction_at(symbol.value)?)))
            .collect();
        places.sort_unstable();
        places.dedup();
        let node =
            |(section, first)| Node { section, first, own: Set::default(), callers: Vec::new() };
        let mut graph = Self(places.into_iter().map(node).collect());
        let symbols = relocated(elf);
        let mut left = LOOKED_AT_MAX;
        for index in 0..graph.0.len() {
            graph.look(index, elf, &symbols, &mut left);
        }
        graph
    }

    fn starting_at(&self, section: usize, offset: u64) -> Option<usize> {
        let first = instruction_at(offset)?;
        self.0.binary_search_by_key(&(section, first), |node| (node.section, node.first)).ok()
    }

    /// The function that an instruction of a section belongs to.
    fn holding(&self, section: usize, instruction: usize) -> Option<usize> {
        let after =
            self.0.partition_point(|node| (node.section, node.first) <= (section, instruction));
        let index = after.checked_sub(1)?;
        self.0.get(index).filter(|node| node.section == section).map(|_| index)
    }

    /// Reads a function's instructions.
    fn look(
        &mut self,
        index: usize,
        elf: &Elf<'_>,
        symbols: &BTreeMap<(usize, usize), Symbol<'_>>,
        left: &mut usize,
    ) {
        let Some(Node { section, first, .. }) = self.0.get(index) else { return };
        let (section, first) = (*section, *first);
        let next = self.0.get(index + 1).filter(|next| next.section == section);
        let end = next.map_or(usize::MAX, |next| next.first);
        let Some(data) = elf.sections.get(section).and_then(|section| section.data) else { return };
        let (all, _) = data.as_chunks::<SIZE>();
        let code = all.get(first.min(all.len())..end.min(all.len())).unwrap_or_default();
        *left = left.saturating_sub(code.len());
        if *left == 0 {
            return;
        }
        let mut own = Set::default();
        let mut called = Vec::new();
        let mut at = 0;
        while let Some(bytes) = code.get(at) {
            let insn = Insn::of(*bytes);
            let here = first + at;
            classify(insn, &mut own);
            let symbol = symbols.get(&(section, here));
            match (insn.opcode, insn.source) {
                (CALL, 0) if symbol.is_none() => own.add_helper(insn.immediate),
                (CALL, 0 | PSEUDO_CALL | PSEUDO_KFUNC) => match symbol {
                    Some(symbol) if symbol.is_undefined() => {
                        own.add_kernel_function(symbol.binding == STB_WEAK);
                    }
                    None if insn.source == PSEUDO_KFUNC => own.add_kernel_function(false),
                    _ => {
                        own.add(Instruction::Call);
                        called.push(target(symbol, section, here, i64::from(insn.immediate) + 1));
                    }
                },
                (LOAD_IMMEDIATE, _) => {
                    let function = symbol
                        .filter(|symbol| elf.sections.get(symbol.section).is_some_and(is_code));
                    if function.is_some() || insn.source == PSEUDO_FUNC {
                        own.add(Instruction::Callback);
                        let distance = match function {
                            Some(_) => i64::from(insn.immediate) / 8,
                            None => i64::from(insn.immediate) + 1,
                        };
                        called.push(target(function, section, here, distance));
                    }
                    at += 1;
                }
                _ => {}
            }
            at += 1;
        }
        if let Some(node) = self.0.get_mut(index) {
            node.own = own;
        }
        for (section, instruction) in called.into_iter().flatten() {
            let Some(found) = self.holding(section, instruction) else { continue };
            if let Some(node) = self.0.get_mut(found)
                && node.callers.last() != Some(&index)
            {
                node.callers.push(index);
            }
        }
    }

    /// What each function asks for with all that it calls. A function is looked at again only when
    /// one of those has something new, of which there is no more than [`Set`] has bits.
    fn reached(&self) -> Vec<Set> {
        let mut sets: Vec<Set> = self.0.iter().map(|node| node.own).collect();
        let mut waiting: Vec<usize> = (0..self.0.len()).collect();
        let mut is_waiting = vec![true; self.0.len()];
        while let Some(callee) = waiting.pop() {
            let Some(set) = sets.get(callee).copied() else { continue };
            is_waiting[callee] = false;
            for caller in self.0.get(callee).into_iter().flat_map(|node| &node.callers) {
                let changed = sets.get_mut(*caller).is_some_and(|known| known.merge(&set));
                if changed && !is_waiting[*caller] {
                    is_waiting[*caller] = true;
                    waiting.push(*caller);
                }
            }
        }
        sets
    }
}

/// Where a call goes: section and instruction.
fn target(
    symbol: Option<&Symbol<'_>>,
    section: usize,
    here: usize,
    distance: i64,
) -> Option<(usize, usize)> {
    let (section, from) = match symbol {
        Some(symbol) => (symbol.section, instruction_at(symbol.value)?),
        None => (section, here),
    };
    let from = i64::try_from(from).ok()?;
    Some((section, usize::try_from(from.checked_add(distance)?).ok()?))
}

fn instruction_at(offset: u64) -> Option<usize> {
    usize::try_from(offset).ok().map(|offset| offset / SIZE)
}

fn is_code(section: &Section<'_>) -> bool {
    section.kind == SHT_PROGBITS && section.flags & u64::from(SHF_EXECINSTR) != 0
}

/// The symbol that a relocation puts into an instruction, by section and instruction.
fn relocated<'a>(elf: &Elf<'a>) -> BTreeMap<(usize, usize), Symbol<'a>> {
    let code = |index: usize| elf.sections.get(index).is_some_and(is_code);
    elf.all_relocations()
        .filter(|(section, _)| code(*section))
        .take(LOOKED_AT_MAX)
        .filter_map(|(section, relocation)| {
            let symbol = elf.symbols.get(relocation.symbol)?;
            Some(((section, instruction_at(relocation.offset)?), *symbol))
        })
        .collect()
}

/// The fields of an instruction that matter here.
#[derive(Clone, Copy)]
struct Insn {
    opcode: u8,
    source: u8,
    offset: i16,
    immediate: i32,
}

impl Insn {
    fn of([opcode, registers, o0, o1, i0, i1, i2, i3]: [u8; SIZE]) -> Self {
        Self {
            opcode,
            source: registers >> 4,
            offset: i16::from_le_bytes([o0, o1]),
            immediate: i32::from_le_bytes([i0, i1, i2, i3]),
        }
    }
}

/// Notes an instruction that is not of the first set (`Documentation/bpf/standardization/instruction-set.rst`).
fn classify(insn: Insn, set: &mut Set) {
    let (class, operation, mode) = (insn.opcode & 0x07, insn.opcode & 0xf0, insn.opcode & 0xe0);
    let found = match (class, insn.opcode) {
        (_, LONG_JUMP | SWAP) => Some(Instruction::Version4),
        (_, MAY_GOTO) => Some(Instruction::MayGoto),
        (0x06, _) => Some(Instruction::Jump32),
        // BPF_MEMSX
        (0x01, _) if mode == 0x80 => Some(Instruction::Version4),
        // BPF_ATOMIC
        (0x03, _) if mode == 0xc0 => match insn.immediate {
            0 => None,
            0x100 | 0x110 => Some(Instruction::LoadAcquire),
            _ => Some(Instruction::AtomicFetch),
        },
        // BPF_MOV
        (0x07, 0xbf) if insn.offset == 1 => Some(Instruction::AddressSpaceCast),
        (0x04 | 0x07, _) if operation == 0xb0 && insn.offset != 0 => Some(Instruction::Version4),
        // BPF_DIV, BPF_MOD
        (0x04 | 0x07, _) if matches!(operation, 0x30 | 0x90) && insn.offset == 1 => {
            Some(Instruction::Version4)
        }
        _ => None,
    };
    if let Some(found) = found {
        set.add(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: [u8; SIZE]) -> Vec<Instruction> {
        let mut set = Set::default();
        classify(Insn::of(bytes), &mut set);
        set.described().instructions.into_iter().collect()
    }

    #[test]
    fn instructions_are_told_apart() {
        assert_eq!(of([0xb7, 1, 0, 0, 5, 0, 0, 0]), [], "r1 = 5");
        assert_eq!(of([0x16, 1, 2, 0, 0, 0, 0, 0]), [Instruction::Jump32], "if w1 == 0");
        assert_eq!(of([0x06, 0, 0, 0, 9, 0, 0, 0]), [Instruction::Version4], "gotol");
        assert_eq!(of([0xdb, 0x12, 0, 0, 0, 0, 0, 0]), [], "xadd");
        assert_eq!(of([0xdb, 0x12, 0, 0, 1, 0, 0, 0]), [Instruction::AtomicFetch]);
        assert_eq!(of([0xdb, 0x12, 0, 0, 0, 1, 0, 0]), [Instruction::LoadAcquire]);
        assert_eq!(of([0xbf, 0x12, 8, 0, 0, 0, 0, 0]), [Instruction::Version4], "movsx");
        assert_eq!(of([0xbf, 0x12, 1, 0, 1, 0, 0, 0]), [Instruction::AddressSpaceCast]);
        assert_eq!(of([0x3f, 0x12, 1, 0, 0, 0, 0, 0]), [Instruction::Version4], "s/");
        assert_eq!(of([0xe5, 0, 1, 0, 0, 0, 0, 0]), [Instruction::MayGoto]);
        assert_eq!(of([0x91, 0x12, 0, 0, 0, 0, 0, 0]), [Instruction::Version4], "signed load");
    }

    #[test]
    fn what_a_function_asks_for_its_callers_do() {
        let node = |callers: &[usize], helper| {
            let mut own = Set::default();
            own.add_helper(helper);
            Node { section: 0, first: 0, own, callers: callers.to_vec() }
        };
        // 0 calls 1, 1 and 2 call each other.
        let graph = Graph(vec![node(&[], 1), node(&[0, 2], 2), node(&[1], 211)]);
        let helpers = graph.reached().iter().map(|set| set.described().helpers).collect::<Vec<_>>();
        let of = |numbers: &[u32]| numbers.iter().copied().map(Helper).collect::<BTreeSet<_>>();
        assert_eq!(helpers, [of(&[1, 2, 211]), of(&[2, 211]), of(&[2, 211])]);
    }

    #[test]
    fn a_number_that_is_no_helper_is_not_noted() {
        let mut set = Set::default();
        for number in [0, -1, 212, 255, 256, i32::MAX] {
            set.add_helper(number);
        }
        assert!(set.described().helpers.is_empty());
    }
}
