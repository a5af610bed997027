//! The value a relocation puts in place of the compiler's (libbpf `bpf_core_calc_relo`).

use crate::btf::{Btf, IntEncoding, Shape, Type};

use super::CoreError;
use super::kind::{ReloKind, Subject};
use super::spec::{Spec, Step};

/// What a relocation does to its instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::relocate) enum Outcome {
    /// The kernel has nothing that corresponds: the instruction is made invalid.
    Poison,
    /// A value is replaced.
    Adjust(Adjustment),
}

/// A value replaced by another (libbpf `struct bpf_core_relo_res`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::relocate) struct Adjustment {
    /// What the compiler put there, by the object's own types.
    pub(super) old: u64,
    /// What belongs there.
    pub(super) new: u64,
    /// Whether the instruction must hold `old`.
    pub(super) validate: bool,
    /// Bytes of the field on both sides, if a load or store of it is concerned; 0 if not.
    pub(super) old_size: u32,
    pub(super) new_size: u32,
    /// Whether the sizes differ in a way that a load of another width cannot make good.
    pub(super) unsafe_size: bool,
}

/// One side of an [`Adjustment`].
struct Value {
    number: u64,
    validate: bool,
    /// Bytes and type of the field, for loads and stores.
    field: Option<(u32, u32)>,
}

impl Value {
    fn plain(number: u64) -> Self {
        Self { number, validate: true, field: None }
    }
}

impl Outcome {
    pub(super) fn local_type_id(id: u32) -> Self {
        let value = u64::from(id);
        Self::Adjust(Adjustment {
            old: value,
            new: value,
            // Linking objects renumbers types.
            validate: false,
            old_size: 0,
            new_size: 0,
            unsafe_size: false,
        })
    }

    /// Whether two candidates lead to the same instruction.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Adjust(ours), Self::Adjust(theirs)) => ours.new == theirs.new,
            (Self::Poison, Self::Poison) => true,
            _ => false,
        }
    }
}

/// Calculates both sides; `None` for a target means that no candidate matched.
pub(super) fn calculate(
    local: &Spec<'_, '_>,
    target: Option<&Spec<'_, '_>>,
) -> Result<Outcome, CoreError> {
    let (Some(old), Some(new)) = (side(local.kind, Some(local))?, side(local.kind, target)?) else {
        return Ok(Outcome::Poison);
    };
    let (old_size, old_type) = old.field.unwrap_or_default();
    let (new_size, new_type) = new.field.unwrap_or_default();
    let unsafe_size = old_size != new_size
        && !target
            .is_some_and(|target| can_resize(local.btf.get(old_type), target.btf.get(new_type)));
    Ok(Outcome::Adjust(Adjustment {
        old: old.number,
        new: new.number,
        validate: old.validate,
        old_size,
        new_size,
        unsafe_size,
    }))
}

/// Pointers may differ in size, and so may unsigned integers: a narrower load fills up with zeroes.
fn can_resize(old: Option<Type<'_>>, new: Option<Type<'_>>) -> bool {
    match (old.map(Type::shape), new.map(Type::shape)) {
        (Some(Shape::Ptr(_)), Some(Shape::Ptr(_))) => true,
        (Some(Shape::Int(old)), Some(Shape::Int(new))) => {
            old.encoding != IntEncoding::Signed && new.encoding != IntEncoding::Signed
        }
        _ => false,
    }
}

/// One side; `None` asks for poison.
fn side(kind: ReloKind, spec: Option<&Spec<'_, '_>>) -> Result<Option<Value>, CoreError> {
    match kind {
        ReloKind::FieldExists | ReloKind::EnumvalExists => {
            return Ok(Some(Value::plain(spec.is_some().into())));
        }
        _ => {}
    }
    let Some(spec) = spec else {
        return Ok((kind.subject() == Subject::Type).then(|| Value::plain(0)));
    };
    match kind.subject() {
        Subject::Type => type_value(spec).map(Some),
        Subject::Enumerator => Ok(enumerator_value(spec).map(Value::plain)),
        Subject::Field => field_value(spec).map(Some),
    }
}

/// libbpf `bpf_core_calc_type_relo`.
fn type_value(spec: &Spec<'_, '_>) -> Result<Value, CoreError> {
    Ok(match spec.kind {
        // Linking objects renumbers types, so that what the instruction holds says nothing.
        ReloKind::TypeIdTarget => Value { validate: false, ..Value::plain(spec.root.into()) },
        ReloKind::TypeSize => Value::plain(spec.btf.size_of(spec.root)?.into()),
        _ => Value::plain(1),
    })
}

/// libbpf `bpf_core_calc_enumval_relo`: 32-bit values are extended with their highest bit whether
/// the enum is signed or not.
fn enumerator_value(spec: &Spec<'_, '_>) -> Option<u64> {
    let step = spec.steps.first()?;
    match spec.btf.get(step.type_id)?.shape() {
        Shape::Enum64(list) => Some(list.get(step.index as usize)?.bits),
        Shape::Enum(list) => {
            let [low @ .., _, _, _, _] = list.get(step.index as usize)?.bits.to_le_bytes();
            Some(i64::from(i32::from_le_bytes(low)).cast_unsigned())
        }
        _ => None,
    }
}

/// libbpf `bpf_core_calc_field_relo`.
fn field_value(spec: &Spec<'_, '_>) -> Result<Value, CoreError> {
    let last = spec.steps.last().ok_or(CoreError::ArrayProperty)?;
    if last.name.is_none() {
        return element_value(spec, last);
    }
    let container = spec.btf.type_of(last.type_id)?;
    let member = container.members().get(last.index as usize).ok_or(CoreError::ArrayProperty)?;
    let field = spec.btf.resolve(member.type_id)?;
    let bit_offset = u64::from(spec.bit_offset);
    let bitfield = member.bit_width > 0;
    let (byte_offset, byte_size, bits) = if bitfield {
        let (offset, size) = bitfield_storage(field, bit_offset, member.bit_width)?;
        (offset, size, u64::from(member.bit_width))
    } else {
        let size = u64::from(spec.btf.size_of(field.id())?);
        (bit_offset / 8, size, size * 8)
    };
    // What a compiler does with a bitfield is its own affair, but for its sign and width.
    let plain = |number| Value { validate: !bitfield, ..Value::plain(number) };
    Ok(match spec.kind {
        ReloKind::FieldByteOffset if bitfield => plain(byte_offset),
        ReloKind::FieldByteOffset => Value {
            field: Some((element_size(spec.btf, field)?, field.id())),
            ..plain(byte_offset)
        },
        ReloKind::FieldByteSize => plain(byte_size),
        ReloKind::FieldSigned => Value::plain(is_signed(field).into()),
        ReloKind::FieldLshiftU64 => {
            // Truncated as libbpf's 32-bit arithmetic does for a field of more than 8 bytes.
            let end = (bit_offset + bits).wrapping_sub(byte_offset * 8);
            plain(u64::from(low_word(64_u64.wrapping_sub(end))))
        }
        _ => Value::plain(u64::from(low_word(64_u64.wrapping_sub(bits)))),
    })
}

/// An element of an array is known by its place and size only.
fn element_value(spec: &Spec<'_, '_>, step: &Step<'_>) -> Result<Value, CoreError> {
    match spec.kind {
        ReloKind::FieldByteOffset => {
            let element = spec.btf.resolve(step.type_id)?;
            let field = Some((element_size(spec.btf, element)?, step.type_id));
            Ok(Value { field, ..Value::plain(u64::from(spec.bit_offset / 8)) })
        }
        ReloKind::FieldByteSize => Ok(Value::plain(spec.btf.size_of(step.type_id)?.into())),
        _ => Err(CoreError::ArrayProperty),
    }
}

/// Offset and size in bytes of the smallest load that holds a whole bitfield.
fn bitfield_storage(
    storage: Type<'_>,
    bit_offset: u64,
    width: u32,
) -> Result<(u64, u64), CoreError> {
    let mut size =
        storage.size().map(u64::from).filter(|size| *size > 0).ok_or(CoreError::Bitfield)?;
    loop {
        let offset = bit_offset / 8 / size * size;
        if bit_offset + u64::from(width) - offset * 8 <= size * 8 {
            return Ok((offset, size));
        }
        if size >= 8 {
            return Err(CoreError::Bitfield);
        }
        size *= 2;
    }
}

/// Bytes of a value of the type, or of one element of an array of such.
fn element_size(btf: &Btf<'_>, of: Type<'_>) -> Result<u32, CoreError> {
    let mut element = of;
    for _ in 0..super::compat::DEPTH_MAX {
        let Shape::Array(array) = element.shape() else {
            return Ok(btf.size_of(element.id())?);
        };
        element = btf.resolve(array.element)?;
    }
    Err(CoreError::TooDeep)
}

fn is_signed(field: Type<'_>) -> bool {
    match field.shape() {
        Shape::Int(int) => int.encoding == IntEncoding::Signed,
        _ => field.kind().is_any_enum() && field.flag(),
    }
}

fn low_word(value: u64) -> u32 {
    let [low @ .., _, _, _, _] = value.to_le_bytes();
    u32::from_le_bytes(low)
}
