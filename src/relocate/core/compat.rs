//! Whether two types may stand for one another in an access or a call.

use crate::btf::{Btf, Shape};

use super::candidates::comparable;
use super::kind::essential;
use super::{CoreError, Fuel};

/// Most pointers, arrays and return types followed from one type, and most prototypes one within
/// the other.
pub(super) const DEPTH_MAX: u32 = 32;

/// A type of one BTF.
#[derive(Clone, Copy)]
pub(in crate::relocate) struct At<'b, 'a> {
    pub(in crate::relocate) btf: &'b Btf<'a>,
    pub(in crate::relocate) id: u32,
}

impl At<'_, '_> {
    /// Another type of the same BTF.
    pub(super) fn to(self, id: u32) -> Self {
        Self { id, ..self }
    }
}

/// Whether fields of these types may be taken for one another (libbpf
/// `bpf_core_fields_are_compat`).
pub(super) fn fields_are_compatible(
    local: At<'_, '_>,
    target: At<'_, '_>,
    fuel: &Fuel,
) -> Result<bool, CoreError> {
    let (mut local, mut target) = (local, target);
    loop {
        fuel.burn()?;
        let local_type = local.btf.resolve(local.id)?;
        let target_type = target.btf.resolve(target.id)?;
        if local_type.kind().is_composite() && target_type.kind().is_composite() {
            return Ok(true);
        }
        if comparable(local_type.kind()) != comparable(target_type.kind()) {
            return Ok(false);
        }
        match (local_type.shape(), target_type.shape()) {
            (Shape::Ptr(_) | Shape::Float, _) => return Ok(true),
            (Shape::Fwd { .. } | Shape::Enum(_) | Shape::Enum64(_), _) => {
                let local_name = essential(local_type.name_bytes());
                let target_name = essential(target_type.name_bytes());
                return Ok(local_name.is_empty()
                    || target_name.is_empty()
                    || local_name == target_name);
            }
            (Shape::Int(local_int), Shape::Int(target_int)) => {
                return Ok(local_int.bit_offset == 0 && target_int.bit_offset == 0);
            }
            (Shape::Array(local_array), Shape::Array(target_array)) => {
                local = local.to(local_array.element);
                target = target.to(target_array.element);
            }
            _ => return Ok(false),
        }
    }
}

/// Whether values of these types may be taken for one another, pointers and prototypes followed
/// (libbpf `__bpf_core_types_are_compat`).
pub(in crate::relocate) fn types_are_compatible(
    local: At<'_, '_>,
    target: At<'_, '_>,
    fuel: &Fuel,
) -> Result<bool, CoreError> {
    let local_kind = local.btf.type_of(local.id)?.kind();
    let target_kind = target.btf.type_of(target.id)?.kind();
    if comparable(local_kind) != comparable(target_kind) {
        return Ok(false);
    }
    nested_types_are_compatible(local, target, DEPTH_MAX, fuel)
}

fn nested_types_are_compatible(
    local: At<'_, '_>,
    target: At<'_, '_>,
    level: u32,
    fuel: &Fuel,
) -> Result<bool, CoreError> {
    let (mut local, mut target) = (local, target);
    for _ in 0..DEPTH_MAX {
        fuel.burn()?;
        let local_type = local.btf.resolve(local.id)?;
        let target_type = target.btf.resolve(target.id)?;
        if comparable(local_type.kind()) != comparable(target_type.kind()) {
            return Ok(false);
        }
        let next = match (local_type.shape(), target_type.shape()) {
            (
                Shape::Void
                | Shape::Struct(_)
                | Shape::Union(_)
                | Shape::Enum(_)
                | Shape::Enum64(_)
                | Shape::Fwd { .. },
                _,
            ) => return Ok(true),
            (Shape::Int(local_int), Shape::Int(target_int)) => {
                return Ok(local_int.bit_offset == 0 && target_int.bit_offset == 0);
            }
            (Shape::Ptr(local_id), Shape::Ptr(target_id)) => (local_id, target_id),
            (Shape::Array(local_array), Shape::Array(target_array)) => {
                (local_array.element, target_array.element)
            }
            (
                Shape::FuncProto { returns: local_returns, params: local_params },
                Shape::FuncProto { returns: target_returns, params: target_params },
            ) => {
                if local_params.len() != target_params.len() {
                    return Ok(false);
                }
                for (local_param, target_param) in local_params.iter().zip(target_params) {
                    let level = level.checked_sub(1).ok_or(CoreError::TooDeep)?;
                    let (local, target) =
                        (local.to(local_param.type_id), target.to(target_param.type_id));
                    if !nested_types_are_compatible(local, target, level, fuel)? {
                        return Ok(false);
                    }
                }
                (local_returns, target_returns)
            }
            _ => return Ok(false),
        };
        (local.id, target.id) = next;
    }
    Err(CoreError::TooDeep)
}
