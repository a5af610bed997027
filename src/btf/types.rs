//! One type, decoded as far as it is asked.

use super::bytes::{Strings, field};
use super::kind::Kind;
use super::list::List;
use super::parts::{Array, Enumerators, Int, Linkage, Member, Param, SecVar};

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

impl<'a> Type<'a> {
    pub(super) const VOID: Type<'static> =
        Type { id: 0, name_off: 0, info: 0, operand: 0, tail: &[], strings: Strings::EMPTY };

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
        Enumerators::new(self.flag(), wide, self.tail, self.strings)
    }
}
