//! One type, decoded as far as it is asked.

use super::bytes::{Strings, field};
use super::kind::Kind;
use super::list::{List, sealed::Decode};

/// A type of a [`Btf`](super::Btf), cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Type<'a> {
    pub(super) id: u32,
    pub(super) name_off: u32,
    pub(super) info: u32,
    /// A size in bytes or the id of a type, as the kind says.
    pub(super) operand: u32,
    /// What follows the common part: exactly as long as the kind and `vlen` say.
    pub(super) tail: &'a [u8],
    pub(super) strings: Strings<'a>,
}

/// What a [`Type`] is, one variant a kind.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the kinds are those of `include/uapi/linux/btf.h`")]
pub enum Shape<'a> {
    Void,
    Int(Int),
    /// Pointer to the type of that id.
    Ptr(u32),
    Array(Array),
    Struct(List<'a, Member<'a>>),
    Union(List<'a, Member<'a>>),
    Enum(Enumerators<'a>),
    Enum64(Enumerators<'a>),
    /// A struct or union without a definition.
    Fwd {
        union: bool,
    },
    Typedef(u32),
    Volatile(u32),
    Const(u32),
    Restrict(u32),
    Func {
        prototype: u32,
        linkage: Linkage,
    },
    FuncProto {
        /// 0 for `void`.
        returns: u32,
        params: List<'a, Param<'a>>,
    },
    Var {
        target: u32,
        linkage: Linkage,
    },
    Datasec(List<'a, SecVar>),
    Float,
    DeclTag {
        target: u32,
        /// Index of the member or parameter the tag is on; `None` for the whole type.
        component: Option<u32>,
    },
    TypeTag(u32),
    /// A kind newer than this program.
    Unknown,
}

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

impl<'a> Type<'a> {
    pub(super) const VOID: Type<'static> =
        Type { id: 0, name_off: 0, info: 0, operand: 0, tail: &[], strings: Strings(&[]) };

    /// Its id.
    #[must_use]
    pub fn id(self) -> u32 {
        self.id
    }

    /// Its kind.
    #[must_use]
    pub fn kind(self) -> Kind {
        Kind::of_info(self.info)
    }

    /// Its name; empty if it has none, or one that is not UTF-8.
    #[must_use]
    pub fn name(self) -> &'a str {
        self.strings.text(self.name_off).unwrap_or_default()
    }

    /// Where its name is in the table of names.
    #[must_use]
    pub fn name_offset(self) -> u32 {
        self.name_off
    }

    /// Its name's bytes; empty if it has none.
    #[must_use]
    pub fn name_bytes(self) -> &'a [u8] {
        self.strings.bytes(self.name_off).unwrap_or_default()
    }

    /// Whether its name is `name`.
    #[must_use]
    pub fn is_named(self, name: &str) -> bool {
        self.strings.is(self.name_off, name.as_bytes())
    }

    /// Whether it has no name.
    #[must_use]
    pub fn is_anonymous(self) -> bool {
        self.name_off == 0 || self.name_bytes().is_empty()
    }

    /// `kind_flag`: its meaning depends on the kind.
    #[must_use]
    pub fn flag(self) -> bool {
        self.info >> 31 == 1
    }

    /// How many members, parameters, constants or variables it has.
    #[must_use]
    pub fn vlen(self) -> u32 {
        self.info & 0x00ff_ffff
    }

    /// The size in bytes that the record itself holds: of an int, float, struct, union, enum or
    /// data section. [`Btf::size_of`](super::Btf::size_of) knows that of the others.
    #[must_use]
    pub fn size(self) -> Option<u32> {
        matches!(
            self.kind(),
            Kind::Int
                | Kind::Float
                | Kind::Struct
                | Kind::Union
                | Kind::Enum
                | Kind::Enum64
                | Kind::Datasec
        )
        .then_some(self.operand)
    }

    /// The id of the type this one refers to: what a pointer points to, a typedef or qualifier
    /// stands before, a function's prototype, a prototype's return type, a variable's type. Not the
    /// element of an array.
    #[must_use]
    pub fn target(self) -> Option<u32> {
        matches!(
            self.kind(),
            Kind::Ptr
                | Kind::Typedef
                | Kind::Volatile
                | Kind::Const
                | Kind::Restrict
                | Kind::Func
                | Kind::FuncProto
                | Kind::Var
                | Kind::DeclTag
                | Kind::TypeTag
        )
        .then_some(self.operand)
    }

    /// Everything the record says.
    #[must_use]
    pub fn shape(self) -> Shape<'a> {
        let target = self.operand;
        match self.kind() {
            Kind::Void => Shape::Void,
            Kind::Int => Shape::Int(Int::decode(field(self.tail, 0))),
            Kind::Ptr => Shape::Ptr(target),
            Kind::Array => Shape::Array(Array {
                element: field(self.tail, 0),
                index: field(self.tail, 4),
                count: field(self.tail, 8),
            }),
            Kind::Struct => Shape::Struct(self.list()),
            Kind::Union => Shape::Union(self.list()),
            Kind::Enum => Shape::Enum(self.enumerators(false)),
            Kind::Enum64 => Shape::Enum64(self.enumerators(true)),
            Kind::Fwd => Shape::Fwd { union: self.flag() },
            Kind::Typedef => Shape::Typedef(target),
            Kind::Volatile => Shape::Volatile(target),
            Kind::Const => Shape::Const(target),
            Kind::Restrict => Shape::Restrict(target),
            Kind::Func => Shape::Func { prototype: target, linkage: Linkage::of(self.vlen()) },
            Kind::FuncProto => Shape::FuncProto { returns: target, params: self.list() },
            Kind::Var => Shape::Var { target, linkage: Linkage::of(field(self.tail, 0)) },
            Kind::Datasec => Shape::Datasec(self.list()),
            Kind::Float => Shape::Float,
            Kind::DeclTag => {
                let component = field(self.tail, 0);
                Shape::DeclTag { target, component: (component != u32::MAX).then_some(component) }
            }
            Kind::TypeTag => Shape::TypeTag(target),
            Kind::Unknown => Shape::Unknown,
        }
    }

    /// The members of a struct or union; empty for anything else.
    #[must_use]
    pub fn members(self) -> List<'a, Member<'a>> {
        match self.shape() {
            Shape::Struct(members) | Shape::Union(members) => members,
            _ => List::new(&[], self.strings, false),
        }
    }

    fn list<R: super::list::Record<'a>>(self) -> List<'a, R> {
        List::new(self.tail, self.strings, self.flag())
    }

    fn enumerators(self, wide: bool) -> Enumerators<'a> {
        Enumerators { signed: self.flag(), wide, bytes: self.tail, strings: self.strings }
    }
}

impl Int {
    fn decode(word: u32) -> Self {
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
    fn of(number: u32) -> Self {
        match number {
            0 => Self::Static,
            1 => Self::Global,
            2 => Self::Extern,
            other => Self::Unknown(other),
        }
    }
}

impl<'a> Enumerators<'a> {
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
