//! The access in a candidate that corresponds to a local one (libbpf `bpf_core_spec_match`).

use crate::btf::{Btf, Kind, Shape};

use super::compat::{At, fields_are_compatible, types_are_compatible};
use super::kind::{ReloKind, Subject, essential};
use super::spec::{STEPS_MAX, Spec, Step, enumerators, is_flexible};
use super::type_match::types_match;
use super::{CoreError, Fuel};

/// The access `local` in the type `theirs`; `None` if that type has nothing of the kind.
pub(super) fn find<'b, 'k>(
    local: &Spec<'_, '_>,
    theirs: At<'b, 'k>,
    fuel: &Fuel,
) -> Result<Option<Spec<'b, 'k>>, CoreError> {
    let mut spec = Spec::new(theirs.btf, local.kind, theirs.id);
    let found = match local.kind.subject() {
        Subject::Type => {
            let ours = At { btf: local.btf, id: local.root };
            if local.kind == ReloKind::TypeMatches {
                types_match(ours, theirs, fuel)?
            } else {
                types_are_compatible(ours, theirs, fuel)?
            }
        }
        Subject::Enumerator => find_enumerator(local, &mut spec)?,
        Subject::Field => find_field(local, &mut spec, fuel)?,
    };
    Ok(found.then_some(spec))
}

fn find_enumerator(local: &Spec<'_, '_>, spec: &mut Spec<'_, '_>) -> Result<bool, CoreError> {
    let target = spec.btf.resolve(spec.root)?;
    let Some(list) = enumerators(target) else { return Ok(false) };
    let Some(wanted) = local.steps.first().and_then(|step| step.name) else { return Ok(false) };
    let wanted = essential(wanted.as_bytes());
    let found =
        list.iter().zip(0..).find(|(constant, _)| essential(constant.name.as_bytes()) == wanted);
    if let Some((constant, index)) = found {
        spec.steps.push(Step { type_id: target.id(), index, name: Some(constant.name) });
        spec.raw_len += 1;
    }
    Ok(found.is_some())
}

fn find_field(
    local: &Spec<'_, '_>,
    spec: &mut Spec<'_, '_>,
    fuel: &Fuel,
) -> Result<bool, CoreError> {
    let mut current = spec.root;
    for (position, step) in local.steps.iter().enumerate() {
        let target = spec.btf.resolve(current)?;
        current = target.id();
        if step.name.is_some() {
            match find_member(local.btf, step, spec, current, fuel)? {
                Some(next) => current = next,
                None => return Ok(false),
            }
            continue;
        }
        // The first step is the root itself, taken for an element of an array of its like.
        if position > 0 {
            let Shape::Array(array) = target.shape() else { return Ok(false) };
            let flexible = is_flexible(spec.btf, spec.steps.last(), array.count);
            if !flexible && step.index >= array.count {
                return Ok(false);
            }
            current = spec.btf.resolve(array.element)?.id();
        }
        push_index(spec)?;
        spec.steps.push(Step { type_id: current, index: step.index, name: None });
        spec.advance_elements(current, step.index)?;
    }
    Ok(true)
}

/// Looks for the member a local step names, through anonymous structs and unions, and gives the id
/// of its type (libbpf `bpf_core_match_member`).
fn find_member(
    local: &Btf<'_>,
    step: &Step<'_>,
    spec: &mut Spec<'_, '_>,
    container: u32,
    fuel: &Fuel,
) -> Result<Option<u32>, CoreError> {
    let container = spec.btf.resolve(container)?;
    if !matches!(container.kind(), Kind::Struct | Kind::Union) {
        return Ok(None);
    }
    let Some(wanted) =
        local.get(step.type_id).and_then(|root| root.members().get(step.index as usize))
    else {
        return Ok(None);
    };
    for (member, index) in container.members().iter().zip(0..) {
        fuel.burn()?;
        let before = (spec.bit_offset, spec.raw_len);
        push_index(spec)?;
        spec.advance(member.bit_offset)?;
        if member.name.is_empty() {
            if let Some(found) = find_member(local, step, spec, member.type_id, fuel)? {
                return Ok(Some(found));
            }
        } else if member.name == wanted.name {
            let compatible = fields_are_compatible(
                At { btf: local, id: wanted.type_id },
                At { btf: spec.btf, id: member.type_id },
                fuel,
            )?;
            if compatible {
                let (type_id, name) = (container.id(), Some(member.name));
                spec.steps.push(Step { type_id, index, name });
            }
            return Ok(compatible.then_some(member.type_id));
        }
        (spec.bit_offset, spec.raw_len) = before;
    }
    Ok(None)
}

/// Counts one more index, of which there may not be too many.
fn push_index(spec: &mut Spec<'_, '_>) -> Result<(), CoreError> {
    if spec.raw_len == STEPS_MAX {
        return Err(CoreError::TooDeep);
    }
    spec.raw_len += 1;
    Ok(())
}
