//! `.BTF.ext`: what belongs to instructions rather than to types (libbpf `btf_ext_parse`).

use super::bytes::{field, u32_at};
use super::error::BtfError;
use super::header::check_magic;

/// Through `line_info_len`.
const HEADER_MIN: u32 = 24;
/// Through `core_relo_len`.
const HEADER_WITH_CORE: u32 = 32;
/// Section name and number of records.
const SECTION_HEADER: usize = 8;

/// A `.BTF.ext` section.
#[derive(Clone, Copy, Debug, Default)]
pub struct BtfExt<'a> {
    /// Where functions begin, and their types.
    pub func_info: InfoTable<'a>,
    /// Source lines of instructions.
    pub line_info: InfoTable<'a>,
    /// CO-RE relocations.
    pub core_relo: InfoTable<'a>,
}

/// One of the tables: records by section. Its bounds were checked when it was read.
#[derive(Clone, Copy, Debug, Default)]
pub struct InfoTable<'a> {
    /// Bytes of one record, a multiple of 4; 0 only if the table is empty.
    pub record_size: u32,
    bytes: &'a [u8],
}

/// The records that belong to one section of code.
#[derive(Clone, Copy, Debug)]
pub struct InfoSection<'a> {
    /// Offset of the section's name in the strings of `.BTF`.
    pub name_off: u32,
    /// Bytes of a record.
    pub record_size: u32,
    bytes: &'a [u8],
}

/// `struct bpf_func_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FuncInfo {
    /// Bytes from the beginning of the section.
    pub insn_off: u32,
    /// Id of the function's type.
    pub type_id: u32,
}

/// `struct bpf_line_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineInfo {
    /// Bytes from the beginning of the section.
    pub insn_off: u32,
    /// Offset of the file's name in the strings of `.BTF`.
    pub file_name_off: u32,
    /// Offset of the line's text in the strings of `.BTF`.
    pub line_off: u32,
    /// Line and column.
    pub line_col: u32,
}

/// `struct bpf_core_relo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreRelo {
    /// Bytes from the beginning of the section.
    pub insn_off: u32,
    /// Id of the root type.
    pub type_id: u32,
    /// Offset of the access string in the strings of `.BTF`.
    pub access_str_off: u32,
    /// `enum bpf_core_relo_kind`.
    pub kind: u32,
}

impl<'a> BtfExt<'a> {
    /// Reads the section.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BtfError> {
        check_magic(bytes)?;
        let have = bytes.len() as u64;
        let truncated = |need: u64| BtfError::Truncated { need, have };
        let word = |offset| u32_at(bytes, offset).ok_or(truncated(u64::from(HEADER_MIN)));
        match bytes.get(2) {
            Some(1) => {}
            version => return Err(BtfError::Version(version.copied().unwrap_or_default())),
        }
        let header_len = word(4)?;
        if header_len < HEADER_MIN {
            return Err(BtfError::Header("it is shorter than a header"));
        }
        let body =
            bytes.get(header_len as usize..).ok_or_else(|| truncated(u64::from(header_len)))?;
        let table = |at: usize, record_min| {
            let (offset, len) = (word(at)?, word(at + 4)?);
            let end = u64::from(offset) + u64::from(len);
            let bytes = usize::try_from(end)
                .ok()
                .and_then(|end| body.get(offset as usize..end))
                .ok_or_else(|| truncated(u64::from(header_len) + end))?;
            InfoTable::parse(bytes, record_min)
        };
        Ok(Self {
            func_info: table(8, 8)?,
            line_info: table(16, 16)?,
            core_relo: if header_len >= HEADER_WITH_CORE {
                table(24, 16)?
            } else {
                InfoTable::default()
            },
        })
    }
}

impl<'a> InfoTable<'a> {
    fn parse(bytes: &'a [u8], record_min: u32) -> Result<Self, BtfError> {
        let Some((head, records)) = bytes.split_first_chunk::<4>() else {
            return if bytes.is_empty() {
                Ok(Self::default())
            } else {
                Err(BtfError::Header("a table of .BTF.ext has no record size"))
            };
        };
        let record_size = u32::from_le_bytes(*head);
        if record_size < record_min || !record_size.is_multiple_of(4) {
            return Err(BtfError::Header("a table of .BTF.ext has a wrong record size"));
        }
        let table = Self { record_size, bytes: records };
        let covered: usize =
            table.sections().map(|section| SECTION_HEADER + section.bytes.len()).sum();
        if covered != records.len() {
            return Err(BtfError::Header("a table of .BTF.ext has a wrong number of records"));
        }
        Ok(table)
    }

    /// The records of each section, in the order of the table.
    pub fn sections(self) -> impl Iterator<Item = InfoSection<'a>> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let header = rest.get(..SECTION_HEADER)?;
            let len = (field(header, 4) as usize).checked_mul(self.record_size as usize)?;
            let end = SECTION_HEADER.checked_add(len)?;
            let bytes = rest.get(SECTION_HEADER..end)?;
            rest = rest.get(end..)?;
            let name_off = field(header, 0);
            Some(InfoSection { name_off, record_size: self.record_size, bytes })
        })
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }
}

impl<'a> InfoSection<'a> {
    /// The records as they lie, each of the table's record size.
    pub fn records(self) -> impl Iterator<Item = &'a [u8]> {
        self.bytes.chunks_exact((self.record_size as usize).max(1))
    }

    /// The records from the first on that begins at `offset` or later, of records sorted by offset as
    /// the kernel demands them.
    pub fn records_from(self, offset: u32) -> impl Iterator<Item = &'a [u8]> {
        let size = (self.record_size as usize).max(1);
        let record = |index: usize| self.bytes.get(index * size..(index + 1) * size);
        let (mut low, mut high) = (0, self.bytes.len() / size);
        while low < high {
            let middle = low.midpoint(high);
            if record(middle).is_some_and(|record| field(record, 0) < offset) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.records().skip(low)
    }

    /// The records as CO-RE relocations.
    pub fn core_relos(self) -> impl Iterator<Item = CoreRelo> {
        self.records().map(CoreRelo::decode)
    }
}

impl FuncInfo {
    /// Decodes a record of [`BtfExt::func_info`].
    #[must_use]
    pub fn decode(record: &[u8]) -> Self {
        Self { insn_off: field(record, 0), type_id: field(record, 4) }
    }
}

impl LineInfo {
    /// The line, counted from 1; 0 for code that no line stands for (`BPF_LINE_INFO_LINE_NUM`).
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line_col >> 10
    }

    /// Decodes a record of [`BtfExt::line_info`].
    #[must_use]
    pub fn decode(record: &[u8]) -> Self {
        Self {
            insn_off: field(record, 0),
            file_name_off: field(record, 4),
            line_off: field(record, 8),
            line_col: field(record, 12),
        }
    }
}

impl CoreRelo {
    /// Decodes a record of [`BtfExt::core_relo`].
    #[must_use]
    pub fn decode(record: &[u8]) -> Self {
        Self {
            insn_off: field(record, 0),
            type_id: field(record, 4),
            access_str_off: field(record, 8),
            kind: field(record, 12),
        }
    }
}
