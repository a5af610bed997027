//! What types consist of: members, parameters, constants, variables.

use super::bytes::{Strings, field};
use super::list::sealed::Decode;

/// `BTF_KIND_INT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Int {
    /// How it is to be read.
    pub encoding: IntEncoding,
    /// Distance from the beginning of the storage, in bits; 0 in anything a current compiler emits.
    pub bit_offset: u32,
    /// Width of the value in bits; 8 × size in anything a current compiler emits.
    pub bits: u32,
}

/// `BTF_INT_*`. The bits exclude one another; should more than one be set, the first here counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntEncoding {
    /// No bit is set.
    Unsigned,
    /// `BTF_INT_BOOL`.
    Bool,
    /// `BTF_INT_CHAR`; clang does not set it, a `char` of an object is told by its name.
    Char,
    /// `BTF_INT_SIGNED`.
    Signed,
}

/// `BTF_KIND_ARRAY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array {
    /// Id of the element's type.
    pub element: u32,
    /// Id of the index's type.
    pub index: u32,
    /// How many elements; 0 also for a flexible array.
    pub count: u32,
}

/// `BTF_VAR_*` and `BTF_FUNC_*`, which agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linkage {
    /// 0
    Static,
    /// 1
    Global,
    /// 2
    Extern,
    /// Any other number.
    Unknown(u32),
}

/// A member of a struct or union.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Empty for an anonymous struct or union, or an unnamed bitfield.
    pub name: &'a str,
    /// Id of its type.
    pub type_id: u32,
    /// Distance from the beginning of the struct, in bits.
    pub bit_offset: u32,
    /// Width in bits of a bitfield whose struct has the `kind_flag`; 0 for anything else.
    pub bit_width: u32,
}

/// A parameter of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    /// May be empty.
    pub name: &'a str,
    /// Id of its type; 0 for the `...` of a variadic function.
    pub type_id: u32,
}

/// The constants of an enum.
#[derive(Clone, Copy, Debug)]
pub struct Enumerators<'a> {
    /// Whether the values have a sign.
    pub signed: bool,
    wide: bool,
    bytes: &'a [u8],
    strings: Strings<'a>,
}

/// A constant of an enum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enumerator<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value, sign-extended if the enum is signed.
    pub bits: u64,
}

/// A variable or function in a data section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecVar {
    /// Id of its `VAR` or `FUNC`.
    pub type_id: u32,
    /// Distance from the beginning of the section, in bytes; 0 in a compiler's output until it is
    /// filled in from the symbol table.
    pub offset: u32,
    /// In bytes.
    pub size: u32,
}

impl Int {
    pub(super) fn decode(word: u32) -> Self {
        let encoding = (word >> 24) & 0x0f;
        Self {
            encoding: if encoding & 4 != 0 {
                IntEncoding::Bool
            } else if encoding & 2 != 0 {
                IntEncoding::Char
            } else if encoding & 1 != 0 {
                IntEncoding::Signed
            } else {
                IntEncoding::Unsigned
            },
            bit_offset: (word >> 16) & 0xff,
            bits: word & 0xff,
        }
    }
}

impl Linkage {
    pub(super) fn of(number: u32) -> Self {
        match number {
            0 => Self::Static,
            1 => Self::Global,
            2 => Self::Extern,
            other => Self::Unknown(other),
        }
    }
}

impl<'a> Enumerators<'a> {
    pub(super) fn new(signed: bool, wide: bool, bytes: &'a [u8], strings: Strings<'a>) -> Self {
        Self { signed, wide, bytes, strings }
    }

    /// How many there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.bytes.len() / self.record()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The constant at `index`.
    #[must_use]
    pub fn get(self, index: usize) -> Option<Enumerator<'a>> {
        let start = index.checked_mul(self.record())?;
        let record = self.bytes.get(start..start.checked_add(self.record())?)?;
        let low = field(record, 4);
        let bits = if self.wide {
            u64::from(field(record, 8)) << 32 | u64::from(low)
        } else if self.signed {
            i64::from(low.cast_signed()).cast_unsigned()
        } else {
            u64::from(low)
        };
        Some(Enumerator { name: self.strings.text(field(record, 0)).unwrap_or_default(), bits })
    }

    /// All of them in the order of the declaration.
    pub fn iter(self) -> impl Iterator<Item = Enumerator<'a>> {
        (0..self.len()).filter_map(move |index| self.get(index))
    }

    fn record(self) -> usize {
        if self.wide { 12 } else { 8 }
    }
}

impl<'a> Decode<'a> for Member<'a> {
    const SIZE: usize = 12;

    fn decode(record: &'a [u8], strings: Strings<'a>, flag: bool) -> Self {
        let offset = field(record, 8);
        let (bit_offset, bit_width) =
            if flag { (offset & 0x00ff_ffff, offset >> 24) } else { (offset, 0) };
        let name = strings.text(field(record, 0)).unwrap_or_default();
        Self { name, type_id: field(record, 4), bit_offset, bit_width }
    }
}

impl<'a> Decode<'a> for Param<'a> {
    const SIZE: usize = 8;

    fn decode(record: &'a [u8], strings: Strings<'a>, _flag: bool) -> Self {
        let name = strings.text(field(record, 0)).unwrap_or_default();
        Self { name, type_id: field(record, 4) }
    }
}

impl<'a> Decode<'a> for SecVar {
    const SIZE: usize = 12;

    fn decode(record: &'a [u8], _strings: Strings<'a>, _flag: bool) -> Self {
        Self { type_id: field(record, 0), offset: field(record, 4), size: field(record, 8) }
    }
}
