//! What a relocated instruction refers to (libbpf `bpf_program__record_reloc`).

use super::elf::{Elf, Role, Symbol};
use super::function::Function;
use super::insn::{Insn, PSEUDO_CALL};

/// An instruction that refers to something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reference<'a> {
    /// The instruction, counted from the beginning of its function.
    pub(super) insn: usize,
    pub(super) target: Target<'a>,
}

/// What it refers to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'a> {
    /// A map in `.maps`, by name.
    Map(&'a str),
    /// A variable in a data section: the section's name, and the symbol's offset in it. The
    /// instruction's immediate is added.
    Data { section: &'a str, offset: u32 },
    /// A variable in the arena, by the symbol's offset in their section; the immediate is added.
    Arena { offset: u32 },
    /// A table of places to jump to: where it is in their section, and its bytes.
    JumpTable { offset: u32, size: u32 },
    /// A call of the subprogram that begins this many bytes after the beginning of `.text`, plus
    /// what the immediate says.
    Call(u64),
    /// The address of such a subprogram.
    Address(u64),
    /// An extern by symbol index.
    Extern { symbol: usize, call: bool },
}

/// What is wrong with the relocation of an instruction.
pub(super) type Wrong = (usize, String);

/// The references of a function, by instruction.
pub(super) fn collect<'a>(
    elf: &Elf<'a>,
    function: &Function<'a>,
) -> Result<Vec<Reference<'a>>, Wrong> {
    let Some(section) = elf.sections.get(function.section) else { return Ok(Vec::new()) };
    let size = Insn::SIZE as u64;
    let (start, end) = (function.first as u64 * size, function.end() as u64 * size);
    let from = section.relocations.partition_point(|relocation| relocation.offset < start);
    let mut references = Vec::new();
    for relocation in section.relocations.iter().skip(from) {
        if relocation.offset >= end {
            break;
        }
        let insn = usize::try_from((relocation.offset - start) / size).unwrap_or(usize::MAX);
        let wrong = |reason: String| (insn, reason);
        if !relocation.offset.is_multiple_of(size) {
            return Err(wrong("a relocation points into the middle of it".into()));
        }
        let code = Insn::at(function.code, insn).unwrap_or_default();
        let symbol = elf
            .symbols
            .get(relocation.symbol)
            .ok_or_else(|| wrong(format!("symbol {} does not exist", relocation.symbol)))?;
        let target = resolve(elf, code, relocation.symbol, symbol).map_err(wrong)?;
        references.push(Reference { insn, target });
    }
    Ok(references)
}

fn resolve<'a>(
    elf: &Elf<'a>,
    insn: Insn,
    index: usize,
    symbol: &Symbol<'a>,
) -> Result<Target<'a>, String> {
    if !insn.is_call() && !insn.is_ldimm64() {
        let (name, code) = (symbol.name, insn.code());
        return Err(format!("`{name}` cannot be relocated in an instruction of code {code:#04x}"));
    }
    if symbol.is_extern() {
        return Ok(Target::Extern { symbol: index, call: insn.is_call() });
    }
    let Some(section) = elf.sections.get(symbol.section).filter(|_| symbol.section != 0) else {
        return Err(format!(
            "`{}` is in no section (index {:#x}); a global variable may lack an initial value",
            symbol.name, symbol.section
        ));
    };
    let in_text = elf.text == Some(symbol.section);
    if insn.is_call() {
        return if insn.src() != PSEUDO_CALL {
            Err(format!("the call of `{}` is not one of a subprogram", symbol.name))
        } else if !in_text {
            Err(format!("`{}` is called, but is in section `{}`", symbol.name, section.name))
        } else if !symbol.value.is_multiple_of(Insn::SIZE as u64) {
            Err(format!("`{}` begins in the middle of an instruction", symbol.name))
        } else {
            Ok(Target::Call(symbol.value))
        };
    }
    if in_text
        && (symbol.is_local() && symbol.is_section() || symbol.is_global() && symbol.is_function())
    {
        let size = Insn::SIZE as u64;
        let whole = symbol.value.is_multiple_of(size) && i64::from(insn.imm()).rem_euclid(8) == 0;
        return if whole {
            Ok(Target::Address(symbol.value))
        } else {
            Err(format!("`{}` begins in the middle of an instruction", symbol.name))
        };
    }
    match section.role {
        Role::Maps => map_at(elf, symbol).map(Target::Map),
        Role::Data => Ok(Target::Data { section: section.name, offset: place(symbol)? }),
        Role::Arena => Ok(Target::Arena { offset: place(symbol)? }),
        Role::JumpTables => {
            let size = u32::try_from(symbol.size).unwrap_or(u32::MAX);
            Ok(Target::JumpTable { offset: place(symbol)?, size })
        }
        Role::Code | Role::Other => Err(format!(
            "`{}` refers to section `{}`, which is neither code nor data",
            symbol.name, section.name
        )),
    }
}

/// Where a variable is in its section.
fn place(symbol: &Symbol<'_>) -> Result<u32, String> {
    let beyond = || format!("`{}` lies beyond 4 GiB", symbol.name);
    u32::try_from(symbol.value).ok().ok_or_else(beyond)
}

/// The name of the map a symbol in `.maps` stands for: its offset decides, not its name.
fn map_at<'a>(elf: &Elf<'a>, symbol: &Symbol<'a>) -> Result<&'a str, String> {
    if symbol.is_global() && !symbol.name.is_empty() {
        return Ok(symbol.name);
    }
    elf.map_at(symbol.section, symbol.value)
        .ok_or_else(|| format!("there is no map at offset {} of .maps", symbol.value))
}
