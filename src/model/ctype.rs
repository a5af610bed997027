//! C types as an object's BTF describes them: printed as C would, compared by layout, and precise
//! enough to encode a value.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A type with a size: of a map's key or value, or of a global variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CType {
    /// As C would write it, typedefs kept: `struct flow_key`, `__u32`, `char[16]`.
    pub name: String,
    /// In bytes.
    pub size: u32,
    /// What it is made of, typedefs and qualifiers looked through.
    pub kind: CTypeKind,
}

/// The shapes a [`CType`] can have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CTypeKind {
    /// An integer.
    Int {
        /// Whether it has a sign.
        signed: bool,
    },
    /// `char`: an integer, but an array of them is text.
    Char {
        /// Whether it has a sign.
        signed: bool,
    },
    /// `_Bool`.
    Bool,
    /// A floating point number.
    Float,
    /// A pointer (also a kptr or an arena pointer).
    Pointer,
    /// An `enum`.
    Enum {
        /// Whether its values have a sign.
        signed: bool,
        /// Name and value of each, in the order of the declaration; an unsigned value above
        /// `i64::MAX` keeps its bits.
        variants: Vec<(String, i64)>,
    },
    /// An array.
    Array {
        /// The element's type.
        element: Box<CType>,
        /// How many.
        count: u32,
    },
    /// A `struct` or `union`.
    Struct {
        /// Whether it is a union.
        union: bool,
        /// In the order of the declaration.
        members: Vec<Member>,
    },
    /// Something whose inside is unknown or was too large to follow (more than
    /// [`CType::NODES_MAX`] types).
    Opaque,
}

/// A member of a struct or union.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Empty for an anonymous struct or union.
    pub name: String,
    /// Distance from the beginning of the struct, in bits.
    pub bit_offset: u32,
    /// Width of a bitfield in bits; `None` for an ordinary member.
    pub bit_width: Option<u32>,
    /// Its type.
    pub ctype: CType,
}

impl CType {
    /// Most types one [`CType`] is expanded to; what lies beyond is [`CTypeKind::Opaque`].
    pub const NODES_MAX: usize = 4096;
}

impl CType {
    /// Whether `wanted` is the name of this type or of one inside it.
    #[must_use]
    pub fn contains(&self, wanted: &dyn Fn(&str) -> bool) -> bool {
        wanted(&self.name)
            || match &self.kind {
                CTypeKind::Array { element, .. } => element.contains(wanted),
                CTypeKind::Struct { members, .. } => {
                    members.iter().any(|member| member.ctype.contains(wanted))
                }
                _ => false,
            }
    }
}

impl fmt::Display for CType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}
