//! Whether a kernel type has everything a local one has: `bpf_core_type_matches()` (libbpf
//! `__bpf_core_types_match`).

use crate::btf::{IntEncoding, Shape, Type};

use super::compat::{At, DEPTH_MAX};
use super::kind::essential;
use super::spec::enumerators;
use super::{CoreError, Fuel};

/// Whether `target` matches `local`, whose names the caller has compared.
pub(super) fn types_match(
    local: At<'_, '_>,
    target: At<'_, '_>,
    fuel: &Fuel,
) -> Result<bool, CoreError> {
    nested_types_match(local, target, false, DEPTH_MAX, fuel)
}

fn nested_types_match(
    local: At<'_, '_>,
    target: At<'_, '_>,
    behind_pointer: bool,
    level: u32,
    fuel: &Fuel,
) -> Result<bool, CoreError> {
    if level == 0 {
        return Err(CoreError::TooDeep);
    }
    let (mut local, mut target, mut behind_pointer) = (local, target, behind_pointer);
    for _ in 0..DEPTH_MAX {
        fuel.burn()?;
        let local_type = local.btf.resolve(local.id)?;
        let target_type = target.btf.resolve(target.id)?;
        if !names_match(local_type.name_bytes(), target_type.name_bytes()) {
            return Ok(false);
        }
        let same_kind = local_type.kind() == target_type.kind();
        let next = match (local_type.shape(), target_type.shape()) {
            (Shape::Void, Shape::Void) => return Ok(true),
            (Shape::Fwd { union }, Shape::Fwd { union: target_union }) => {
                return Ok(union == target_union);
            }
            (Shape::Fwd { union }, Shape::Struct(_)) | (Shape::Struct(_), Shape::Fwd { union }) => {
                return Ok(behind_pointer && !union);
            }
            (Shape::Fwd { union }, Shape::Union(_)) | (Shape::Union(_), Shape::Fwd { union }) => {
                return Ok(behind_pointer && union);
            }
            (Shape::Enum(_) | Shape::Enum64(_), Shape::Enum(_) | Shape::Enum64(_)) => {
                return enums_match(local_type, target_type, fuel);
            }
            (Shape::Struct(_) | Shape::Union(_), _) if behind_pointer && same_kind => {
                return Ok(true);
            }
            (Shape::Struct(_) | Shape::Union(_), _) if same_kind => {
                return composites_match(local, local_type, target, target_type, level, fuel);
            }
            (Shape::Int(local_int), Shape::Int(target_int)) => {
                let signed = |encoding| encoding == IntEncoding::Signed;
                return Ok(local_type.size() == target_type.size()
                    && signed(local_int.encoding) == signed(target_int.encoding));
            }
            (Shape::Ptr(local_id), Shape::Ptr(target_id)) => {
                behind_pointer = true;
                (local_id, target_id)
            }
            (Shape::Array(local_array), Shape::Array(target_array)) => {
                if local_array.count != target_array.count {
                    return Ok(false);
                }
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
                    let (local, target) =
                        (local.to(local_param.type_id), target.to(target_param.type_id));
                    if !nested_types_match(local, target, behind_pointer, level - 1, fuel)? {
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

/// libbpf `bpf_core_composites_match`.
fn composites_match(
    local: At<'_, '_>,
    local_type: Type<'_>,
    target: At<'_, '_>,
    target_type: Type<'_>,
    level: u32,
    fuel: &Fuel,
) -> Result<bool, CoreError> {
    if local_type.vlen() > target_type.vlen() {
        return Ok(false);
    }
    for local_member in local_type.members() {
        let mut matched = false;
        for target_member in target_type.members() {
            fuel.burn()?;
            if names_match(local_member.name.as_bytes(), target_member.name.as_bytes()) {
                let (local, target) =
                    (local.to(local_member.type_id), target.to(target_member.type_id));
                matched = nested_types_match(local, target, false, level - 1, fuel)?;
            }
            if matched {
                break;
            }
        }
        if !matched {
            return Ok(false);
        }
    }
    Ok(true)
}

/// libbpf `bpf_core_enums_match`.
fn enums_match(local: Type<'_>, target: Type<'_>, fuel: &Fuel) -> Result<bool, CoreError> {
    if local.size() != target.size() || local.vlen() > target.vlen() {
        return Ok(false);
    }
    let (Some(local), Some(target)) = (enumerators(local), enumerators(target)) else {
        return Ok(false);
    };
    for constant in local.iter() {
        let mut matched = false;
        for candidate in target.iter() {
            fuel.burn()?;
            if names_match(constant.name.as_bytes(), candidate.name.as_bytes()) {
                matched = true;
                break;
            }
        }
        if !matched {
            return Ok(false);
        }
    }
    Ok(true)
}

/// libbpf `bpf_core_names_match`.
fn names_match(local: &[u8], target: &[u8]) -> bool {
    essential(local) == essential(target)
}
