//! The parts of an ELF file that BPF objects use: sections, symbols, `REL` relocations.
//!
//! Checks that what it hands out lies inside the file, and knows nothing about BPF beyond that.

use object::LittleEndian as LE;
use object::elf::{
    EM_AARCH64, EM_BPF, EM_NONE, EM_X86_64, ET_REL, FileHeader64, Rel64, SHN_UNDEF, SHT_NOBITS,
    SHT_REL, SHT_SYMTAB, SectionHeader64, Sym64,
};
use object::pod;
use object::read::elf::{FileHeader as _, SectionHeader as _};

use super::error::InspectError;

/// Longest name that is read, of anything: the kernel's own limit for symbols, `KSYM_NAME_LEN`. It
/// bounds what a file can cost that refers to one huge name a thousand times.
pub(super) const NAME_MAX: usize = 512;

/// An ELF file whose header and section table were found sound.
pub(super) struct Elf<'a> {
    /// In the order of the section table; the first is the null section.
    pub(super) sections: Vec<Section<'a>>,
    /// In the order of the symbol table; the first is the null symbol.
    pub(super) symbols: Vec<Symbol<'a>>,
    /// Whether there is a symbol table.
    pub(super) has_symbol_table: bool,
}

/// A section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'a> {
    /// Position in the section table.
    pub(super) index: usize,
    /// Empty if the file does not give it a readable name.
    pub(super) name: &'a str,
    /// `sh_type`.
    pub(super) kind: u32,
    /// `sh_flags`.
    pub(super) flags: u64,
    /// `sh_size`: for `NOBITS`, of what the file does not hold.
    pub(super) size: u64,
    /// `sh_link`: of a symbol table, the index of the section with its names.
    pub(super) link: u32,
    /// `sh_info`: of relocations, the index of the section they apply to.
    pub(super) info: u32,
    /// Its bytes; `None` if they lie beyond the end of the file.
    pub(super) data: Option<&'a [u8]>,
}

/// A symbol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Symbol<'a> {
    /// Empty for none.
    pub(super) name: &'a str,
    /// `st_shndx`: the section it is defined in, or one of the `SHN_*`.
    pub(super) section: usize,
    /// Offset in that section, in bytes.
    pub(super) value: u64,
    /// In bytes.
    pub(super) size: u64,
    /// `STB_*`.
    pub(super) binding: u8,
    /// `STT_*`.
    pub(super) kind: u8,
    /// `STV_*`.
    pub(super) visibility: u8,
}

/// A relocation without an addend of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relocation {
    /// Where, in bytes from the beginning of the section it applies to.
    pub(super) offset: u64,
    /// Index of the symbol.
    pub(super) symbol: usize,
}

impl<'a> Elf<'a> {
    /// Reads the tables of a little-endian, relocatable BPF object.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, InspectError> {
        let header = header(bytes)?;
        let headers = section_headers(header, bytes)?;
        let names = header
            .shstrndx(LE, bytes)
            .ok()
            .and_then(|index| headers.get(index as usize))
            .and_then(|names| names.data(LE, bytes).ok())
            .ok_or(InspectError::Malformed("the names of its sections cannot be read"))?;
        let sections: Vec<_> = headers
            .iter()
            .enumerate()
            .map(|(index, header)| Section::new(index, header, names, bytes))
            .collect();
        let table = sections.iter().find(|section| section.kind == SHT_SYMTAB);
        let symbols = table.map(|table| symbols(table, &sections)).unwrap_or_default();
        let has_symbol_table = table.is_some();
        Ok(Self { sections, symbols, has_symbol_table })
    }

    /// The first section of that name.
    pub(super) fn section(&self, name: &str) -> Option<&Section<'a>> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The relocations of a section, from whichever `REL` section names it.
    pub(super) fn relocations(&self, target: usize) -> impl Iterator<Item = Relocation> {
        self.sections
            .iter()
            .filter(move |section| section.kind == SHT_REL && section.info as usize == target)
            .flat_map(|section| pods::<Rel64<LE>>(section.data.unwrap_or_default()))
            .map(|rel| Relocation { offset: rel.r_offset.get(LE), symbol: rel.r_sym(LE) as usize })
    }
}

impl Elf<'_> {
    /// All relocations, each with the section that it applies to.
    pub(super) fn all_relocations(&self) -> impl Iterator<Item = (usize, Relocation)> {
        self.sections.iter().filter(|section| section.kind == SHT_REL).flat_map(|section| {
            let target = section.info as usize;
            pods::<Rel64<LE>>(section.data.unwrap_or_default()).iter().map(move |rel| {
                (
                    target,
                    Relocation { offset: rel.r_offset.get(LE), symbol: rel.r_sym(LE) as usize },
                )
            })
        })
    }
}

impl<'a> Section<'a> {
    fn new(index: usize, header: &'a SectionHeader64<LE>, names: &'a [u8], file: &'a [u8]) -> Self {
        let kind = header.sh_type(LE);
        Self {
            index,
            name: text(names, header.sh_name(LE)),
            kind,
            flags: header.sh_flags.get(LE),
            size: header.sh_size.get(LE),
            link: header.sh_link(LE),
            info: header.sh_info(LE),
            data: header.data(LE, file).ok(),
        }
    }

    /// Whether the file holds no bytes for it: they are zeroes.
    pub(super) fn is_zeroes(&self) -> bool {
        self.kind == SHT_NOBITS
    }
}

impl Symbol<'_> {
    /// Whether it is defined elsewhere.
    pub(super) fn is_undefined(&self) -> bool {
        self.section == usize::from(SHN_UNDEF)
    }
}

fn header(bytes: &[u8]) -> Result<&FileHeader64<LE>, InspectError> {
    if bytes.is_empty() {
        return Err(InspectError::Empty);
    }
    if !bytes.starts_with(b"\x7fELF") {
        let text = bytes.get(..256).unwrap_or(bytes);
        let is_source = text.is_ascii() && !text.contains(&0);
        return Err(if is_source { InspectError::Source } else { InspectError::NotElf });
    }
    match bytes.get(4..6) {
        None => return Err(truncated(size_of::<FileHeader64<LE>>() as u64, bytes)),
        Some([2, 1]) => {}
        Some([2, 2]) => return Err(InspectError::BigEndian),
        Some([1, _]) => return Err(InspectError::Not64Bit),
        Some(_) => return Err(InspectError::Malformed("unknown class or byte order")),
    }
    let (header, _) = pod::from_bytes::<FileHeader64<LE>>(bytes)
        .map_err(|()| truncated(size_of::<FileHeader64<LE>>() as u64, bytes))?;
    match (header.e_machine.get(LE), header.e_type.get(LE)) {
        // LLVM before 5 wrote no machine; libbpf takes such objects too.
        (EM_BPF | EM_NONE, ET_REL) => Ok(header),
        (EM_BPF | EM_NONE, other) => Err(InspectError::NotRelocatable(other)),
        (machine, _) => Err(InspectError::NotBpf(machine)),
    }
}

fn section_headers<'a>(
    header: &'a FileHeader64<LE>,
    bytes: &'a [u8],
) -> Result<&'a [SectionHeader64<LE>], InspectError> {
    let start = header.e_shoff.get(LE);
    if start == 0 {
        return Err(InspectError::NoSections);
    }
    let entry = size_of::<SectionHeader64<LE>>();
    if usize::from(header.e_shentsize.get(LE)) != entry {
        return Err(InspectError::Malformed("the entries of its section table have another size"));
    }
    // A count that does not fit the header is in the first entry.
    let in_first_entry = || truncated(start.saturating_add(entry as u64), bytes);
    let count = match header.e_shnum.get(LE) {
        0 => header.shnum(LE, bytes).ok().ok_or_else(in_first_entry)? as u64,
        count => u64::from(count),
    };
    let end = start.saturating_add(count.saturating_mul(entry as u64));
    if end > bytes.len() as u64 {
        return Err(truncated(end, bytes));
    }
    match header.section_headers(LE, bytes) {
        Ok([]) => Err(InspectError::NoSections),
        Ok(headers) => Ok(headers),
        Err(_) => Err(InspectError::Malformed("its section table cannot be read")),
    }
}

fn truncated(expected: u64, bytes: &[u8]) -> InspectError {
    InspectError::Truncated { expected, actual: bytes.len() as u64 }
}

fn symbols<'a>(table: &Section<'a>, sections: &[Section<'a>]) -> Vec<Symbol<'a>> {
    let names = sections.get(table.link as usize).and_then(|names| names.data).unwrap_or_default();
    pods::<Sym64<LE>>(table.data.unwrap_or_default())
        .iter()
        .map(|symbol| Symbol {
            name: text(names, symbol.st_name.get(LE)),
            section: usize::from(symbol.st_shndx.get(LE)),
            value: symbol.st_value.get(LE),
            size: symbol.st_size.get(LE),
            binding: symbol.st_bind(),
            kind: symbol.st_type(),
            visibility: symbol.st_visibility(),
        })
        .collect()
}

/// As many whole entries as the bytes hold.
fn pods<T: pod::Pod>(bytes: &[u8]) -> &[T] {
    pod::slice_from_bytes(bytes, bytes.len() / size_of::<T>()).map_or(&[], |(entries, _)| entries)
}

/// The string at an offset of a string table; empty if it is not there, too long or not UTF-8.
fn text(table: &[u8], offset: u32) -> &str {
    let Some(rest) = table.get(offset as usize..) else { return "" };
    let window = rest.get(..NAME_MAX).unwrap_or(rest);
    let Some(end) = window.iter().position(|byte| *byte == 0) else { return "" };
    window.get(..end).and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default()
}

/// What people call an `e_machine`.
pub(super) fn machine_name(machine: u16) -> String {
    match machine {
        EM_X86_64 => "x86-64".to_owned(),
        EM_AARCH64 => "aarch64".to_owned(),
        other => format!("machine {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_at_its_nul() {
        assert_eq!(text(b"\0.text\0xdp\0", 1), ".text");
        assert_eq!(text(b"\0.text\0xdp\0", 7), "xdp");
        assert_eq!(text(b"\0.text\0xdp\0", 0), "");
    }

    #[test]
    fn an_unreadable_name_is_empty() {
        assert_eq!(text(b"\0xdp", 1), "", "no end");
        assert_eq!(text(b"\0xdp\0", 9), "", "outside");
        assert_eq!(text(b"\xff\xfe\0", 0), "", "not UTF-8");
        let long = [b"x".repeat(NAME_MAX), vec![0]].concat();
        assert_eq!(text(&long, 0), "", "too long");
        assert_eq!(text(&long, 1).len(), NAME_MAX - 1);
    }

    #[test]
    fn a_torn_entry_is_left_out() {
        assert_eq!(pods::<Rel64<LE>>(&[0; 40]).len(), 2);
        assert!(pods::<Rel64<LE>>(&[0; 15]).is_empty());
    }
}
