//! What of an ELF file matters to linking: sections by role, symbols, relocations of code.

use std::collections::BTreeMap;

use object::LittleEndian;
use object::elf::{
    EM_BPF, EM_NONE, FileHeader64, SHF_EXECINSTR, SHT_NOBITS, SHT_PROGBITS, SHT_REL, STB_GLOBAL,
    STB_LOCAL, STB_WEAK, STT_FUNC, STT_NOTYPE, STT_OBJECT, STT_SECTION, STV_HIDDEN, STV_INTERNAL,
};
use object::read::elf::{FileHeader, Rel, SectionHeader, Sym};

use super::error::RelocateError;

type Header = FileHeader64<LittleEndian>;
const LE: LittleEndian = LittleEndian;

/// An ELF object.
pub(super) struct Elf<'a> {
    /// By section index.
    pub(super) sections: Vec<Section<'a>>,
    /// By symbol index.
    pub(super) symbols: Vec<Symbol<'a>>,
    /// Index of `.text`, where the functions are that programs call.
    pub(super) text: Option<usize>,
    /// What is asked for by name or place, so that no number of questions and sections makes it slow.
    index: Index<'a>,
}

/// Where the first of each name or place is.
#[derive(Default)]
struct Index<'a> {
    /// Sections by name.
    sections: BTreeMap<&'a str, usize>,
    /// Global variables by name.
    variables: BTreeMap<&'a str, usize>,
    /// Names of maps by section and offset.
    maps: BTreeMap<(usize, u64), &'a str>,
}

/// A section.
pub(super) struct Section<'a> {
    pub(super) name: &'a str,
    pub(super) role: Role,
    /// Bytes it takes in memory.
    pub(super) size: u64,
    /// Its contents; empty for `.bss`.
    pub(super) data: &'a [u8],
    /// For code: sorted by offset.
    pub(super) relocations: Vec<Relocation>,
}

/// What a section is for (libbpf `bpf_object__elf_collect`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Instructions.
    Code,
    /// `.maps`, and `maps` of before BTF.
    Maps,
    /// `.data`, `.rodata`, `.bss` and those with these prefixes and a dot: becomes a map.
    Data,
    /// Globals in an arena.
    Arena,
    /// Jump tables.
    JumpTables,
    /// Anything else.
    Other,
}

/// A symbol.
#[derive(Clone, Copy)]
pub(super) struct Symbol<'a> {
    pub(super) name: &'a str,
    /// `st_shndx`, which may be a reserved number.
    pub(super) section: usize,
    pub(super) value: u64,
    pub(super) size: u64,
    pub(super) kind: u8,
    pub(super) binding: u8,
    /// `STV_HIDDEN` or `STV_INTERNAL`.
    pub(super) hidden: bool,
}

/// A relocation of code.
#[derive(Clone, Copy)]
pub(super) struct Relocation {
    /// Bytes from the beginning of the section.
    pub(super) offset: u64,
    /// Index of the symbol.
    pub(super) symbol: usize,
}

impl<'a> Elf<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, RelocateError> {
        let elf = |error: object::read::Error| RelocateError::Elf(error.to_string());
        let header = Header::parse(bytes).map_err(elf)?;
        header.endian().map_err(|_big| {
            RelocateError::Elf("it is big-endian; only little-endian objects are supported".into())
        })?;
        let machine = header.e_machine.get(LE);
        if machine != EM_BPF && machine != EM_NONE {
            return Err(RelocateError::Elf(format!("it is for machine {machine}")));
        }
        let table = header.sections(LE, bytes).map_err(elf)?;
        let names = header
            .shstrndx(LE, bytes)
            .and_then(|index| table.section(object::SectionIndex(index as usize))?.data(LE, bytes));
        let names = names.map_err(elf)?;
        let mut sections = Vec::with_capacity(table.len());
        for section in table.iter() {
            let name = text(names, section.sh_name(LE));
            let role = Role::of(name, section);
            let data = section.data(LE, bytes).map_err(elf)?;
            let size = section.sh_size(LE);
            sections.push(Section { name, role, size, data, relocations: Vec::new() });
        }
        for section in table.iter().filter(|section| section.sh_type(LE) == SHT_REL) {
            let target = sections.get_mut(section.sh_info(LE) as usize);
            let Some(target) = target.filter(|target| target.role == Role::Code) else { continue };
            if let Some((relocations, _)) = section.rel(LE, bytes).map_err(elf)? {
                target.relocations.extend(relocations.iter().map(|relocation| Relocation {
                    offset: relocation.r_offset(LE),
                    symbol: relocation.r_sym(LE) as usize,
                }));
            }
        }
        for section in &mut sections {
            section.relocations.sort_by_key(|relocation| relocation.offset);
        }
        let symbols = table.symbols(LE, bytes, object::elf::SHT_SYMTAB).map_err(elf)?;
        if symbols.is_empty() {
            return Err(RelocateError::Elf("it has no symbol table; was it stripped?".into()));
        }
        let names =
            sections.get(symbols.string_section().0).map_or(&[][..], |section| section.data);
        let symbols: Vec<_> = symbols
            .iter()
            .map(|symbol| Symbol {
                name: text(names, symbol.st_name(LE)),
                section: symbol.st_shndx(LE).into(),
                value: symbol.st_value(LE),
                size: symbol.st_size(LE),
                kind: symbol.st_type(),
                binding: symbol.st_bind(),
                hidden: matches!(symbol.st_visibility(), STV_HIDDEN | STV_INTERNAL),
            })
            .collect();
        let text = sections
            .iter()
            .position(|section| section.role == Role::Code && section.name == ".text");
        let index = Index::new(&sections, &symbols);
        Ok(Self { sections, symbols, text, index })
    }

    /// Index of the first section of that name.
    pub(super) fn section_index(&self, name: &str) -> Option<usize> {
        self.index.sections.get(name).copied()
    }

    /// The first section of that name.
    pub(super) fn section(&self, name: &str) -> Option<&Section<'a>> {
        self.sections.get(self.section_index(name)?)
    }

    /// The global variable of that name (libbpf `find_elf_var_sym`).
    pub(super) fn variable(&self, name: &str) -> Option<&Symbol<'a>> {
        self.symbols.get(*self.index.variables.get(name)?)
    }

    /// The name of the map at a place in a section.
    pub(super) fn map_at(&self, section: usize, offset: u64) -> Option<&'a str> {
        self.index.maps.get(&(section, offset)).copied()
    }
}

impl<'a> Index<'a> {
    fn new(sections: &[Section<'a>], symbols: &[Symbol<'a>]) -> Self {
        let mut index = Self::default();
        // Section 0 is the null section.
        for (at, section) in sections.iter().enumerate().skip(1) {
            index.sections.entry(section.name).or_insert(at);
        }
        for (at, symbol) in symbols.iter().enumerate() {
            if symbol.kind == STT_OBJECT && symbol.is_global() {
                index.variables.entry(symbol.name).or_insert(at);
            }
            let holder = sections.get(symbol.section);
            let is_map = holder.is_some_and(|holder| holder.role == Role::Maps);
            if is_map && !symbol.is_section() && !symbol.name.is_empty() {
                index.maps.entry((symbol.section, symbol.value)).or_insert(symbol.name);
            }
        }
        index
    }
}

impl Role {
    fn of(name: &str, section: &<Header as FileHeader>::SectionHeader) -> Self {
        let is = |base: &str| {
            name.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        match section.sh_type(LE) {
            SHT_PROGBITS if matches!(name, ".maps" | "maps") || name.starts_with("maps/") => {
                Self::Maps
            }
            SHT_NOBITS if is(".bss") => Self::Data,
            SHT_PROGBITS if section.sh_size(LE) == 0 => Self::Other,
            SHT_PROGBITS if section.sh_flags(LE) & u64::from(SHF_EXECINSTR) != 0 => Self::Code,
            SHT_PROGBITS if is(".data") || is(".rodata") => Self::Data,
            SHT_PROGBITS if name == ".addr_space.1" => Self::Arena,
            SHT_PROGBITS if name == ".jumptables" => Self::JumpTables,
            _ => Self::Other,
        }
    }
}

impl Symbol<'_> {
    /// `STB_GLOBAL` or `STB_WEAK`.
    pub(super) fn is_global(&self) -> bool {
        matches!(self.binding, STB_GLOBAL | STB_WEAK)
    }

    pub(super) fn is_local(&self) -> bool {
        self.binding == STB_LOCAL
    }

    pub(super) fn is_weak(&self) -> bool {
        self.binding == STB_WEAK
    }

    pub(super) fn is_function(&self) -> bool {
        self.kind == STT_FUNC
    }

    pub(super) fn is_section(&self) -> bool {
        self.kind == STT_SECTION
    }

    /// libbpf `sym_is_extern`.
    pub(super) fn is_extern(&self) -> bool {
        self.section == 0 && self.is_global() && self.kind == STT_NOTYPE
    }
}

/// The name at an offset; nothing for one that does not end, or is not UTF-8.
///
/// Not through `object`'s string table, whose search first asks the processor what it can do:
/// `CPUID` takes long in a virtual machine, a tenth of the time that a small object takes in all.
fn text(names: &[u8], offset: u32) -> &str {
    let name = names.get(offset as usize..).and_then(|rest| {
        let end = rest.iter().position(|byte| *byte == 0)?;
        rest.get(..end)
    });
    name.and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default()
}
