//! The table of types.

use super::bytes::{Strings, u32_at};
use super::error::BtfError;
use super::header::{self, Parts};
use super::kind::Kind;
use super::types::Type;

/// Bytes of the part all records share (`struct btf_type`).
const RECORD: usize = 12;

/// BTF whose types can be looked up by id.
///
/// Ids begin with 1; 0 is `void`. Those of a kernel module (*split* BTF) continue the kernel's own, to
/// which they refer: an id or a name below the first of its own is the base's.
#[derive(Clone, Debug)]
pub struct Btf<'a> {
    types: &'a [u8],
    pub(super) strings: Strings<'a>,
    layout: &'a [u8],
    base: Option<&'a Btf<'a>>,
    /// Of each type within `types`, beginning with the first of its own.
    offsets: Vec<u32>,
    pub(super) pointer_size: u32,
}

impl<'a> Btf<'a> {
    /// Reads a `.BTF` section or the kernel's BTF, in one pass over the types.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BtfError> {
        let mut btf = Self::indexed(&header::parse(bytes, false)?, None)?;
        btf.pointer_size = btf.find_pointer_size();
        Ok(btf)
    }

    /// Reads the BTF of a kernel module, which continues the kernel's `base` (libbpf
    /// `btf__new_split`).
    pub fn parse_split(bytes: &'a [u8], base: &'a Btf<'a>) -> Result<Self, BtfError> {
        let mut parts = header::parse(bytes, true)?;
        parts.strings = parts.strings.behind(base.strings);
        let btf = Self::indexed(&parts, Some(base))?;
        Ok(btf.with_pointer_size(base.pointer_size))
    }

    fn indexed(parts: &Parts<'a>, base: Option<&'a Btf<'a>>) -> Result<Self, BtfError> {
        let Parts { types, strings, layout } = *parts;
        let mut btf = Self { types, strings, layout, base, offsets: Vec::new(), pointer_size: 8 };
        btf.index()?;
        Ok(btf)
    }

    /// Fixes the size of pointers, for an object: those of BPF have 8 bytes whatever the `long` of
    /// the headers it was compiled with (libbpf `btf__set_pointer_size` in `bpf_object__init_btf`).
    #[must_use]
    pub fn with_pointer_size(mut self, bytes: u32) -> Self {
        self.pointer_size = bytes;
        self
    }

    /// One more than the highest id (libbpf `btf__type_cnt`).
    #[must_use]
    pub fn type_count(&self) -> u32 {
        // There are at most `u32::MAX / RECORD` types.
        u32::try_from(self.offsets.len()).unwrap_or(u32::MAX).saturating_add(self.first_id())
    }

    /// The first id of its own: 1, or what follows the base's.
    #[must_use]
    pub fn first_id(&self) -> u32 {
        self.base.map_or(1, Btf::type_count)
    }

    /// The type of that id; 0 is `void`.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<Type<'a>> {
        let Some(index) = id.checked_sub(self.first_id()) else {
            return match self.base {
                Some(base) => base.get(id),
                None => Some(Type::VOID),
            };
        };
        let start = *self.offsets.get(index as usize)? as usize;
        let end = match self.offsets.get(index as usize + 1) {
            Some(next) => *next as usize,
            None => self.types.len(),
        };
        let record = self.types.get(start..end)?;
        Some(Type {
            id,
            name_off: u32_at(record, 0)?,
            info: u32_at(record, 4)?,
            operand: u32_at(record, 8)?,
            tail: record.get(RECORD..)?,
            strings: self.strings,
        })
    }

    /// The type of that id, or an error that names the id.
    pub fn type_of(&self, id: u32) -> Result<Type<'a>, BtfError> {
        self.get(id).ok_or(BtfError::NoSuchType(id))
    }

    /// All types of its own but `void`, by id.
    pub fn types(&self) -> impl Iterator<Item = Type<'a>> + '_ {
        (self.first_id()..self.type_count()).filter_map(|id| self.get(id))
    }

    /// All names.
    #[must_use]
    pub fn strings(&self) -> Strings<'a> {
        self.strings
    }

    /// The name at an offset; `None` if it is outside or not UTF-8.
    #[must_use]
    pub fn string(&self, offset: u32) -> Option<&'a str> {
        self.strings.text(offset)
    }

    /// The records of all types of its own, one after the other.
    #[must_use]
    pub fn type_bytes(&self) -> &'a [u8] {
        self.types
    }

    /// Sizes of kinds, four bytes each (`struct btf_layout`); empty in BTF without them.
    #[must_use]
    pub fn layout(&self) -> &'a [u8] {
        self.layout
    }

    /// Where the record of a type of its own begins in [`Btf::type_bytes`], for patching a copy of them.
    #[must_use]
    pub fn record_offset(&self, id: u32) -> Option<usize> {
        self.offsets.get(id.checked_sub(self.first_id())? as usize).map(|offset| *offset as usize)
    }

    /// Bytes of a pointer: those of `long` (libbpf `determine_ptr_size`), or 8 without one.
    #[must_use]
    pub fn pointer_size(&self) -> u32 {
        self.pointer_size
    }

    /// Fills `offsets`.
    fn index(&mut self) -> Result<(), BtfError> {
        // Records of the kernel have 25 bytes on average, those of an object a few more.
        self.offsets.reserve(self.types.len() / 20);
        let mut offset = 0;
        while offset < self.types.len() {
            let id = self.type_count();
            let wrong = |reason: String| BtfError::Type { id, reason };
            let cut = || wrong("it runs beyond the end of the types".to_owned());
            let info = u32_at(self.types, offset + 4).ok_or_else(cut)?;
            let (once, each) = self
                .tail_of(info)
                .ok_or_else(|| wrong(format!("kind {} is unknown", (info >> 24) & 0x7f)))?;
            let length =
                RECORD as u64 + u64::from(once) + u64::from(each) * u64::from(info & 0x00ff_ffff);
            let end = usize::try_from(length).ok().and_then(|length| offset.checked_add(length));
            let end = end.filter(|end| *end <= self.types.len()).ok_or_else(cut)?;
            self.offsets.push(u32::try_from(offset).ok().ok_or_else(cut)?);
            offset = end;
        }
        Ok(())
    }

    /// Bytes of a record after its common part: once, and `vlen` times.
    fn tail_of(&self, info: u32) -> Option<(u32, u32)> {
        let kind = Kind::of_info(info);
        if kind != Kind::Unknown {
            return kind.tail();
        }
        let number = ((info >> 24) & 0x7f) as usize;
        let [once, each, ..] = *self.layout.get(number * 4..)?.first_chunk::<4>()?;
        (once.is_multiple_of(4) && each.is_multiple_of(4)).then_some((once.into(), each.into()))
    }

    fn find_pointer_size(&self) -> u32 {
        const LONG: [&str; 11] = [
            "long",
            "long int",
            "int long",
            "unsigned long",
            "long unsigned",
            "unsigned long int",
            "unsigned int long",
            "long unsigned int",
            "long int unsigned",
            "int unsigned long",
            "int long unsigned",
        ];
        self.types()
            .filter(|candidate| candidate.kind() == Kind::Int)
            .filter(|int| matches!(int.operand, 4 | 8))
            .find(|int| LONG.iter().any(|name| int.is_named(name)))
            .map_or(8, |long| long.operand)
    }
}
