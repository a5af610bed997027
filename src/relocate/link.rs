//! One entry program with the subprograms it calls (libbpf `bpf_object__reloc_code`,
//! `bpf_object__relocate_data`).

use std::collections::BTreeMap;

use super::error::RelocateError;
use super::function::Function;
use super::info::InfoTables;
use super::insn::{Insn, PSEUDO_FUNC, PSEUDO_MAP_FD, PSEUDO_MAP_VALUE};
use super::jump_table::JumpTable;
use super::linker::Binding;
use super::reference::{self, Reference, Target};

/// Most instructions of one program (`BPF_COMPLEXITY_LIMIT_INSNS` of the kernel).
const INSTRUCTIONS_MAX: usize = 1_000_000;

/// What `BPF_PROG_LOAD` takes of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkedProgram {
    /// The program, then the subprograms it calls, in libbpf's order.
    pub instructions: Vec<Insn>,
    /// Records of `func_info`; empty if the object has none for the program.
    pub func_info: Vec<u8>,
    /// Bytes of one of them.
    pub func_info_record_size: u32,
    /// Records of `line_info`; empty if the object has none for the program.
    pub line_info: Vec<u8>,
    /// Bytes of one of them.
    pub line_info_record_size: u32,
    /// Tables of places to jump to, whose maps are made by whoever loads the program.
    pub jump_tables: Vec<JumpTable>,
    /// What the kernel does not have; the instructions that need it are poisoned.
    pub unresolved: Vec<Unresolved>,
}

/// Something a program may do without: a CO-RE relocation without a match in the kernel's types, or
/// a weak kernel function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    /// The instruction, counted from the beginning of the linked program.
    pub instruction: usize,
    /// The access or the function as C would write it: `struct task_struct.pid`.
    pub access: String,
}

/// Links an entry program.
pub(super) fn link(binding: &Binding<'_, '_>, name: &str) -> Result<LinkedProgram, RelocateError> {
    let linker = binding.linker;
    let entry = linker
        .functions
        .position(|function| function.name == name && Some(function.section) != linker.elf.text)
        .ok_or_else(|| RelocateError::NoSuchProgram(name.to_owned()))?;
    let mut image = Image {
        binding,
        name,
        places: BTreeMap::new(),
        references: Vec::new(),
        tables: InfoTables::default(),
        program: LinkedProgram::default(),
    };
    image.place_with_callees(entry)?;
    if let Some(callback) = linker.exception_callback(name)?
        && !image.places.contains_key(&callback)
    {
        image.place_with_callees(callback)?;
    }
    image.fill_references()?;
    let Image { mut program, tables, .. } = image;
    (program.func_info, program.func_info_record_size) = tables.func_info.finish();
    (program.line_info, program.line_info_record_size) = tables.line_info.finish();
    Ok(program)
}

/// A program while it is put together.
struct Image<'i, 'l, 'a> {
    binding: &'i Binding<'l, 'a>,
    name: &'i str,
    /// Where each function begins, by its index.
    places: BTreeMap<usize, usize>,
    /// With the place of the instruction in the image, and the function it came from.
    references: Vec<(usize, usize, Reference<'a>)>,
    tables: InfoTables,
    program: LinkedProgram,
}

/// A function whose calls are being followed.
struct Frame<'a> {
    function: usize,
    next: usize,
    references: BTreeMap<usize, Target<'a>>,
}

impl<'a> Image<'_, '_, 'a> {
    /// Appends a function and, each before the next instruction is looked at, the functions it
    /// calls that are not there yet: the order on which the program's tag depends.
    fn place_with_callees(&mut self, first: usize) -> Result<(), RelocateError> {
        let mut frames = vec![self.place(first)?];
        while let Some(frame) = frames.last_mut() {
            let Some(function) = self.binding.linker.functions.get(frame.function) else { break };
            if frame.next >= function.len() {
                frames.pop();
                continue;
            }
            let insn = frame.next;
            let Some(callee) = self.callee(frame, function)? else {
                frame.next += 1;
                continue;
            };
            let Some(place) = self.places.get(&callee) else {
                // Look at the same instruction again when the callee has its place.
                let callee = self.place(callee)?;
                frames.push(callee);
                continue;
            };
            let at = self.places.get(&frame.function).copied().unwrap_or_default() + insn;
            let distance = i64::try_from(*place).ok().zip(i64::try_from(at).ok());
            let imm = distance.and_then(|(place, at)| i32::try_from(place - at - 1).ok());
            frame.next += 1;
            if let (Some(insn), Some(imm)) = (self.program.instructions.get_mut(at), imm) {
                *insn = insn.with_imm(imm);
            }
        }
        Ok(())
    }

    /// Appends a function's own code, CO-RE applied, and its debug information.
    fn place(&mut self, index: usize) -> Result<Frame<'a>, RelocateError> {
        let linker = self.binding.linker;
        let function = linker
            .functions
            .get(index)
            .ok_or_else(|| RelocateError::NoSuchProgram(self.name.into()))?;
        let start = self.program.instructions.len();
        if start + function.len() > INSTRUCTIONS_MAX {
            return Err(RelocateError::TooLarge {
                program: self.name.to_owned(),
                max: INSTRUCTIONS_MAX,
            });
        }
        self.places.insert(index, start);
        let mut code: Vec<Insn> = Insn::decode(function.code).collect();
        for (insn, resolved) in self.binding.core.of(index) {
            let poisoned = resolved
                .result
                .as_ref()
                .map_err(Clone::clone)
                .and_then(|outcome| outcome.apply(&mut code, *insn))
                .map_err(|source| RelocateError::Core {
                    program: self.name.to_owned(),
                    function: function.name.to_owned(),
                    instruction: *insn,
                    access: resolved.access.clone(),
                    kind: resolved.kind,
                    source: Box::new(source),
                })?;
            if poisoned {
                let access = resolved.access.clone();
                self.program.unresolved.push(Unresolved { instruction: start + insn, access });
            }
        }
        let references = reference::collect(&linker.elf, function)
            .map_err(|(insn, reason)| self.wrong(function, insn, reason))?;
        for reference in &references {
            if let (Target::Address(_), Some(insn)) =
                (reference.target, code.get_mut(reference.insn))
            {
                *insn = insn.with_src(PSEUDO_FUNC);
            }
            self.references.push((start + reference.insn, index, *reference));
        }
        self.program.instructions.extend(code);
        if let Some(btf) = &linker.btf {
            self.tables.append(btf, function, start).map_err(|table| {
                RelocateError::InfoMissing {
                    program: self.name.to_owned(),
                    function: function.name.to_owned(),
                    table,
                }
            })?;
        }
        let references =
            references.into_iter().map(|reference| (reference.insn, reference.target)).collect();
        Ok(Frame { function: index, next: 0, references })
    }

    /// The subprogram that the instruction a frame has come to calls or takes the address of.
    fn callee(
        &self,
        frame: &Frame<'a>,
        function: &Function<'a>,
    ) -> Result<Option<usize>, RelocateError> {
        let linker = self.binding.linker;
        let start = self.places.get(&frame.function).copied().unwrap_or_default();
        let insn = self.program.instructions.get(start + frame.next).copied().unwrap_or_default();
        if !insn.is_subprogram_call() && !insn.is_subprogram_address() {
            return Ok(None);
        }
        let wrong = |reason: &str| self.wrong(function, frame.next, reason.to_owned());
        let imm = i128::from(insn.imm());
        let size = Insn::SIZE as i128;
        let target = match frame.references.get(&frame.next) {
            Some(Target::Extern { call: true, .. }) => return Ok(None),
            // The immediate of a call of a global function is -1; of a static one, it leads from the
            // symbol, which is the section's, to the function.
            Some(Target::Call(offset)) => i128::from(*offset) / size + imm + 1,
            Some(Target::Address(offset)) => (i128::from(*offset) + imm) / size,
            Some(_) => return Err(wrong("a call refers to something that is no function")),
            None if insn.is_subprogram_address() => {
                return Err(wrong("the address of a subprogram lacks a relocation"));
            }
            // A static function of the same section.
            None => function.first as i128 + frame.next as i128 + imm + 1,
        };
        let callee = usize::try_from(target)
            .ok()
            .zip(linker.elf.text)
            .and_then(|(insn, text)| linker.functions.at(text, insn));
        callee.map(Some).ok_or_else(|| wrong("it calls something that is no function of .text"))
    }

    /// Fills in what is known only now: descriptors of maps, externs.
    fn fill_references(&mut self) -> Result<(), RelocateError> {
        for (at, index, reference) in std::mem::take(&mut self.references) {
            let linker = self.binding.linker;
            let Some(function) = linker.functions.get(index) else { continue };
            let Some([first, rest @ ..]) = self.program.instructions.get_mut(at..) else {
                continue;
            };
            let second = rest.first_mut();
            let map = |name: &str| {
                self.binding.environment.maps.get(name).copied().ok_or_else(|| {
                    RelocateError::MapMissing {
                        program: self.name.to_owned(),
                        map: name.to_owned(),
                    }
                })
            };
            match reference.target {
                Target::Call(_) | Target::Address(_) => {}
                Target::Map(name) => {
                    *first = first.with_src(PSEUDO_MAP_FD).with_imm(map(name)?);
                }
                Target::Data { section, offset } => {
                    if !set_address(first, second, map(section)?, offset) {
                        return Err(self.wrong(function, reference.insn, CUT.to_owned()));
                    }
                }
                Target::Arena { offset } => {
                    let Some(arena) = self.binding.environment.arena else {
                        let reason = "its variable is in an arena, and the object has none";
                        return Err(self.wrong(function, reference.insn, reason.to_owned()));
                    };
                    let offset = arena.offset.wrapping_add(offset);
                    if !set_address(first, second, arena.descriptor, offset) {
                        return Err(self.wrong(function, reference.insn, CUT.to_owned()));
                    }
                }
                Target::JumpTable { offset, size } => {
                    let start = self.places.get(&index).copied().unwrap_or_default();
                    self.program
                        .use_jump_table(&linker.elf, (function, start), at, (offset, size))
                        .map_err(|why| self.wrong(function, reference.insn, why.to_owned()))?;
                }
                Target::Extern { symbol, call } => {
                    let missing = self.binding.fill_extern(symbol, call, first, second).map_err(
                        |(name, reason)| RelocateError::Extern {
                            program: self.name.to_owned(),
                            name,
                            reason,
                        },
                    )?;
                    if let Some(name) = missing {
                        let access = name.to_owned();
                        self.program.unresolved.push(Unresolved { instruction: at, access });
                    }
                }
            }
        }
        Ok(())
    }

    fn wrong(&self, function: &Function<'_>, instruction: usize, reason: String) -> RelocateError {
        RelocateError::Relocation {
            program: self.name.to_owned(),
            function: function.name.to_owned(),
            instruction,
            reason,
        }
    }
}

/// What is said of a `ldimm64` without its second half.
const CUT: &str = "it is cut short";

/// Makes a `ldimm64` load an address within the value of a map; `false` if it has no second half. The
/// compiler's immediate is the distance from the symbol.
fn set_address(first: &mut Insn, second: Option<&mut Insn>, fd: i32, offset: u32) -> bool {
    let Some(second) = second else { return false };
    *second = second.with_imm(first.imm().wrapping_add(offset.cast_signed()));
    *first = first.with_src(PSEUDO_MAP_VALUE).with_imm(fd);
    true
}
