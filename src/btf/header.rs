//! The header of `.BTF`: where types and names lie (libbpf `btf_parse_hdr`, `btf_parse_str_sec`).

use super::bytes::{Strings, u16_at, u32_at};
use super::error::BtfError;

const MAGIC: u16 = 0xeb9f;
/// Through `str_len`, without the optional layout section.
const HEADER_MIN: u32 = 24;
/// Through `layout_len`.
const HEADER_WITH_LAYOUT: u32 = 32;

/// The parts of a BTF blob.
pub(super) struct Parts<'a> {
    /// The types, one after the other.
    pub(super) types: &'a [u8],
    /// The names.
    pub(super) strings: Strings<'a>,
    /// Sizes of kinds, four bytes each (`struct btf_layout`); empty in BTF without them.
    pub(super) layout: &'a [u8],
}

/// Checks a magic number shared by `.BTF` and `.BTF.ext`.
pub(super) fn check_magic(bytes: &[u8]) -> Result<(), BtfError> {
    match u16_at(bytes, 0) {
        Some(MAGIC) => Ok(()),
        Some(magic) if magic == MAGIC.swap_bytes() => Err(BtfError::BigEndian),
        Some(magic) => Err(BtfError::Magic(magic)),
        None => Err(BtfError::Truncated { need: 2, have: bytes.len() as u64 }),
    }
}

/// Splits a blob into its parts. `split` says that it continues another.
pub(super) fn parse(bytes: &[u8], split: bool) -> Result<Parts<'_>, BtfError> {
    check_magic(bytes)?;
    let truncated = |need: u64| BtfError::Truncated { need, have: bytes.len() as u64 };
    let word = |offset| u32_at(bytes, offset).ok_or(truncated(u64::from(HEADER_MIN)));
    let header_len = word(4)?;
    let (type_off, type_len) = (word(8)?, word(12)?);
    let (str_off, str_len) = (word(16)?, word(20)?);
    if header_len < HEADER_MIN {
        return Err(BtfError::Header("it is shorter than a header"));
    }
    let body = bytes.get(header_len as usize..).ok_or_else(|| truncated(u64::from(header_len)))?;
    if u64::from(type_off) + u64::from(type_len) > u64::from(str_off) {
        return Err(BtfError::Header("types and names overlap"));
    }
    if !type_off.is_multiple_of(4) {
        return Err(BtfError::Header("types are not aligned to 4 bytes"));
    }
    let part = |offset: u32, len: u32| {
        let end = u64::from(offset) + u64::from(len);
        usize::try_from(end)
            .ok()
            .and_then(|end| body.get(offset as usize..end))
            .ok_or_else(|| truncated(u64::from(header_len) + end))
    };
    let strings = part(str_off, str_len)?;
    // Names that continue others need no empty one at their beginning, and there may be none.
    let begins = split || strings.first() == Some(&0);
    let ends = strings.last().map_or(split, |last| *last == 0);
    if !begins || !ends {
        return Err(BtfError::Header("the names do not begin and end with NUL"));
    }
    let layout = if header_len >= HEADER_WITH_LAYOUT { part(word(24)?, word(28)?)? } else { &[] };
    Ok(Parts { types: part(type_off, type_len)?, strings: Strings::new(strings), layout })
}
