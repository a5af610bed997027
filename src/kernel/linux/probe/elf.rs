//! What probes need to know of a program or library: its functions, and where they lie in the file.
//!
//! Source: `elf_find_func_offset`, `elf_resolve_pattern_offsets` and `symbol_match` of libbpf's
//! `src/elf.c`.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use object::elf::{
    ET_EXEC, FileHeader32, FileHeader64, PF_X, PT_LOAD, SHN_UNDEF, SHT_DYNSYM, SHT_SYMTAB,
    STB_WEAK, STT_FUNC,
};
use object::read::elf::{FileHeader, ProgramHeader as _, SectionHeader as _, Sym as _};
use object::{Endianness, FileKind, ReadCache};

/// An ELF file, of which no more is read than is asked for.
pub(super) struct Binary {
    cache: ReadCache<File>,
    pub(super) inode: u64,
    pub(super) device: u64,
    is_64: bool,
}

/// A function's symbol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Symbol<'a> {
    pub(super) name: &'a str,
    /// Its version, `GLIBC_2.34`, where it has one.
    pub(super) version: Option<&'a str>,
    /// Whether its version is not the one that programs are linked to now.
    pub(super) is_hidden: bool,
    pub(super) is_weak: bool,
    /// Where its first instruction lies in the file.
    pub(super) offset: u64,
}

/// A part of the file that is mapped when it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) address: u64,
    pub(super) size: u64,
    pub(super) offset: u64,
    pub(super) is_code: bool,
}

/// Which of a file's tables of symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// What other files are linked to.
    Dynamic,
    /// All, unless the file is stripped.
    All,
}

impl Binary {
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let cannot = |error: io::Error| format!("{} cannot be read: {error}", path.display());
        let file = File::open(path).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        let (inode, device) = (metadata.ino(), metadata.dev());
        let cache = ReadCache::new(file);
        match FileKind::parse(&cache) {
            Ok(FileKind::Elf64) => Ok(Self { cache, inode, device, is_64: true }),
            Ok(FileKind::Elf32) => Ok(Self { cache, inode, device, is_64: false }),
            _ => Err(format!("{} is no ELF file", path.display())),
        }
    }

    /// Shows every function that the file itself has.
    pub(super) fn functions(
        &self,
        table: Table,
        see: &mut dyn FnMut(Symbol<'_>),
    ) -> Result<(), String> {
        let answer = if self.is_64 {
            functions::<FileHeader64<Endianness>>(&self.cache, table, see)
        } else {
            functions::<FileHeader32<Endianness>>(&self.cache, table, see)
        };
        answer.map_err(|error| format!("its symbols cannot be read: {error}"))
    }

    pub(super) fn segments(&self) -> Result<Vec<Segment>, String> {
        let answer = if self.is_64 {
            segments::<FileHeader64<Endianness>>(&self.cache)
        } else {
            segments::<FileHeader32<Endianness>>(&self.cache)
        };
        answer.map_err(|error| format!("its segments cannot be read: {error}"))
    }

    /// Address and contents of a section; `None` if it has none of that name.
    pub(super) fn section(&self, name: &str) -> Result<Option<(u64, &[u8])>, String> {
        let answer = if self.is_64 {
            section::<FileHeader64<Endianness>>(&self.cache, name)
        } else {
            section::<FileHeader32<Endianness>>(&self.cache, name)
        };
        answer.map_err(|error| format!("its section {name} cannot be read: {error}"))
    }

    /// Size of an address, in bytes.
    pub(super) fn word(&self) -> usize {
        if self.is_64 { 8 } else { 4 }
    }

    pub(super) fn is_little_endian(&self) -> bool {
        // `EI_DATA`, of what was parsed.
        let byte = object::ReadRef::read_bytes_at(&self.cache, 5, 1);
        byte.is_ok_and(|byte| byte == [object::elf::ELFDATA2LSB])
    }

    /// Whether its addresses are those it has in memory: not those of a library or of an executable that
    /// is position-independent (`ET_DYN`).
    pub(super) fn is_fixed(&self) -> bool {
        let [low, high] = ET_EXEC.to_le_bytes();
        let expected = if self.is_little_endian() { [low, high] } else { [high, low] };
        // `e_type`, behind the 16 bytes of `e_ident`.
        object::ReadRef::read_bytes_at(&self.cache, 16, 2).is_ok_and(|bytes| bytes == expected)
    }
}

fn functions<'c, E: FileHeader<Endian = Endianness>>(
    data: &'c ReadCache<File>,
    table: Table,
    see: &mut dyn FnMut(Symbol<'_>),
) -> object::Result<()> {
    let header = E::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let kind = match table {
        Table::Dynamic => SHT_DYNSYM,
        Table::All => SHT_SYMTAB,
    };
    let symbols = sections.symbols(endian, data, kind)?;
    let versions = match table {
        Table::Dynamic => sections.versions(endian, data)?,
        Table::All => None,
    };
    for (index, symbol) in symbols.enumerate() {
        // Where an indirect function is, only the one that chooses it is.
        if symbol.st_type() != STT_FUNC || symbol.st_shndx(endian) == SHN_UNDEF {
            continue;
        }
        let Ok(name) = std::str::from_utf8(symbols.symbol_name(endian, symbol)?) else { continue };
        let Some(section) = symbols.symbol_section(endian, symbol, index)? else { continue };
        let section = sections.section(section)?;
        let start: u64 = section.sh_addr(endian).into();
        let within = symbol.st_value(endian).into().checked_sub(start);
        let Some(offset) = within.and_then(|at| at.checked_add(section.sh_offset(endian).into()))
        else {
            continue;
        };
        let at = versions.as_ref().map(|versions| versions.version_index(endian, index));
        let version = match (&versions, at) {
            (Some(versions), Some(at)) => {
                versions.version(at)?.map(object::read::elf::Version::name)
            }
            _ => None,
        };
        see(Symbol {
            name,
            version: version.and_then(|name| std::str::from_utf8(name).ok()),
            is_hidden: at.is_some_and(|at| at.is_hidden()),
            is_weak: symbol.st_bind() == STB_WEAK,
            offset,
        });
    }
    Ok(())
}

fn segments<E: FileHeader<Endian = Endianness>>(
    data: &ReadCache<File>,
) -> object::Result<Vec<Segment>> {
    let header = E::parse(data)?;
    let endian = header.endian()?;
    let loaded = header.program_headers(endian, data)?.iter();
    let loaded = loaded.filter(|segment| segment.p_type(endian) == PT_LOAD);
    Ok(loaded
        .map(|segment| Segment {
            address: segment.p_vaddr(endian).into(),
            size: segment.p_memsz(endian).into(),
            offset: segment.p_offset(endian).into(),
            is_code: segment.p_flags(endian) & PF_X != 0,
        })
        .collect())
}

fn section<'c, E: FileHeader<Endian = Endianness>>(
    data: &'c ReadCache<File>,
    name: &str,
) -> object::Result<Option<(u64, &'c [u8])>> {
    let header = E::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    match sections.section_by_name(endian, name.as_bytes()) {
        None => Ok(None),
        Some((_, found)) => Ok(Some((found.sh_addr(endian).into(), found.data(endian, data)?))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Looks at all there is.
    fn look(path: &Path) -> Result<usize, String> {
        let binary = Binary::open(path)?;
        let mut seen = 0;
        for table in [Table::Dynamic, Table::All] {
            binary.functions(table, &mut |symbol| seen += usize::from(!symbol.name.is_empty()))?;
        }
        binary.segments()?;
        binary.section(".note.stapsdt")?;
        Ok(seen + binary.section(".text")?.map_or(0, |(_, code)| code.len()))
    }

    #[test]
    fn a_damaged_file_is_told_or_read_and_never_a_panic() {
        let whole = std::fs::read("/bin/sh").expect("there is a shell");
        assert!(look(Path::new("/bin/sh")).is_ok_and(|seen| seen > 0));
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let mut try_with = |bytes: &[u8]| {
            file.as_file().set_len(0).expect("it is ours");
            rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).expect("it is a file");
            file.write_all(bytes).expect("there is room");
            let _told = look(file.path());
        };
        // The headers of the file and its segments, and the table of sections at its end.
        let places = (0..512).chain(whole.len().saturating_sub(1500)..whole.len());
        for place in places.step_by(3) {
            for value in [0, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[place] = value;
                try_with(&damaged);
            }
        }
        for end in (0..whole.len()).step_by(whole.len() / 50) {
            try_with(&whole[..end]);
        }
    }
}
