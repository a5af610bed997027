//! Looking through typedefs and qualifiers, and sizes.

use super::error::BtfError;
use super::kind::Kind;
use super::reader::Btf;
use super::types::{Shape, Type};

/// Most references followed from one type (libbpf `MAX_RESOLVE_DEPTH`).
const DEPTH_MAX: u32 = 32;

impl<'a> Btf<'a> {
    /// The type behind typedefs, `const`, `volatile`, `restrict` and type tags (libbpf
    /// `skip_mods_and_typedefs`).
    pub fn resolve(&self, id: u32) -> Result<Type<'a>, BtfError> {
        self.follow(id, |kind| kind.is_modifier() || kind == Kind::Typedef)
    }

    /// The type behind qualifiers and type tags, typedefs kept (libbpf `btf__resolve_type` without
    /// its variables; `skip_mods`).
    pub fn resolve_modifiers(&self, id: u32) -> Result<Type<'a>, BtfError> {
        self.follow(id, Kind::is_modifier)
    }

    /// Bytes a value of the type takes (libbpf `btf__resolve_size`).
    pub fn size_of(&self, id: u32) -> Result<u32, BtfError> {
        let mut current = id;
        let mut count: u32 = 1;
        for _ in 0..DEPTH_MAX {
            let found = self.type_of(current)?;
            let size = match found.shape() {
                Shape::Int(_)
                | Shape::Float
                | Shape::Struct(_)
                | Shape::Union(_)
                | Shape::Enum(_)
                | Shape::Enum64(_)
                | Shape::Datasec(_) => found.operand,
                Shape::Ptr(_) => self.pointer_size,
                Shape::Array(array) => {
                    count = count.checked_mul(array.count).ok_or(BtfError::TooLarge(id))?;
                    current = array.element;
                    continue;
                }
                Shape::Typedef(target)
                | Shape::Volatile(target)
                | Shape::Const(target)
                | Shape::Restrict(target)
                | Shape::TypeTag(target)
                | Shape::Var { target, .. }
                | Shape::DeclTag { target, .. } => {
                    current = target;
                    continue;
                }
                Shape::Void
                | Shape::Fwd { .. }
                | Shape::Func { .. }
                | Shape::FuncProto { .. }
                | Shape::Unknown => return Err(BtfError::Unsized(id)),
            };
            return count.checked_mul(size).ok_or(BtfError::TooLarge(id));
        }
        Err(BtfError::TooDeep(id))
    }

    fn follow(&self, id: u32, through: impl Fn(Kind) -> bool) -> Result<Type<'a>, BtfError> {
        let mut found = self.type_of(id)?;
        for _ in 0..DEPTH_MAX {
            if !through(found.kind()) {
                return Ok(found);
            }
            found = self.type_of(found.operand)?;
        }
        Err(BtfError::TooDeep(id))
    }
}
