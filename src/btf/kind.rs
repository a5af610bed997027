//! The kinds of types and how long their records are.

use std::fmt;

/// `BTF_KIND_*` of `include/uapi/linux/btf.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "named as in the kernel's header")]
pub enum Kind {
    /// `void`, type 0; no record has this kind.
    Void = 0,
    Int = 1,
    Ptr = 2,
    Array = 3,
    Struct = 4,
    Union = 5,
    Enum = 6,
    Fwd = 7,
    Typedef = 8,
    Volatile = 9,
    Const = 10,
    Restrict = 11,
    Func = 12,
    FuncProto = 13,
    Var = 14,
    Datasec = 15,
    Float = 16,
    DeclTag = 17,
    TypeTag = 18,
    Enum64 = 19,
    /// A kind newer than this program, in BTF that says how long its records are.
    Unknown = 127,
}

impl Kind {
    const ALL: [Self; 20] = [
        Self::Void,
        Self::Int,
        Self::Ptr,
        Self::Array,
        Self::Struct,
        Self::Union,
        Self::Enum,
        Self::Fwd,
        Self::Typedef,
        Self::Volatile,
        Self::Const,
        Self::Restrict,
        Self::Func,
        Self::FuncProto,
        Self::Var,
        Self::Datasec,
        Self::Float,
        Self::DeclTag,
        Self::TypeTag,
        Self::Enum64,
    ];

    /// The kind in `btf_type.info`.
    pub(super) fn of_info(info: u32) -> Self {
        let number = (info >> 24) & 0x7f;
        Self::ALL.get(number as usize).copied().unwrap_or(Self::Unknown)
    }

    /// Bytes after the common 12 of a record: those that come once, and those that come `vlen`
    /// times. `None` if this program does not know.
    pub(super) fn tail(self) -> Option<(u32, u32)> {
        match self {
            Self::Int | Self::Var | Self::DeclTag => Some((4, 0)),
            Self::Array => Some((12, 0)),
            Self::Struct | Self::Union | Self::Datasec | Self::Enum64 => Some((0, 12)),
            Self::Enum | Self::FuncProto => Some((0, 8)),
            Self::Ptr
            | Self::Fwd
            | Self::Typedef
            | Self::Volatile
            | Self::Const
            | Self::Restrict
            | Self::Func
            | Self::Float
            | Self::TypeTag => Some((0, 0)),
            Self::Void | Self::Unknown => None,
        }
    }

    /// `const`, `volatile`, `restrict` and type tags (libbpf `btf_is_mod`).
    #[must_use]
    pub fn is_modifier(self) -> bool {
        matches!(self, Self::Volatile | Self::Const | Self::Restrict | Self::TypeTag)
    }

    /// A struct or a union.
    #[must_use]
    pub fn is_composite(self) -> bool {
        matches!(self, Self::Struct | Self::Union)
    }

    /// An enum of either width.
    #[must_use]
    pub fn is_any_enum(self) -> bool {
        matches!(self, Self::Enum | Self::Enum64)
    }
}

impl fmt::Display for Kind {
    /// As libbpf's `btf_kind_str`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Void => "void",
            Self::Int => "int",
            Self::Ptr => "ptr",
            Self::Array => "array",
            Self::Struct => "struct",
            Self::Union => "union",
            Self::Enum => "enum",
            Self::Fwd => "fwd",
            Self::Typedef => "typedef",
            Self::Volatile => "volatile",
            Self::Const => "const",
            Self::Restrict => "restrict",
            Self::Func => "func",
            Self::FuncProto => "func_proto",
            Self::Var => "var",
            Self::Datasec => "datasec",
            Self::Float => "float",
            Self::DeclTag => "decl_tag",
            Self::TypeTag => "type_tag",
            Self::Enum64 => "enum64",
            Self::Unknown => "unknown",
        })
    }
}
