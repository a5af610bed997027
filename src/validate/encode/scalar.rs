//! Values that are not made of others: numbers, booleans, enums, bit fields.

use super::Flaw;
use crate::manifest::GlobalValue;
use crate::model::code;
use crate::model::ctype::{CType, CTypeKind, Member};

/// Widest scalar, in bytes.
const SCALAR_MAX: usize = 16;

/// A scalar in little endian, sign-extended.
type Bytes = [u8; SCALAR_MAX];

/// The bytes of a value that is not made of others.
pub(super) fn scalar(ctype: &CType, value: &GlobalValue) -> Result<Bytes, Flaw> {
    let bits = ctype.size.saturating_mul(8);
    let number = match (&ctype.kind, value) {
        (CTypeKind::Bool, GlobalValue::Bool(on)) => i128::from(*on),
        (
            CTypeKind::Int { signed } | CTypeKind::Char { signed } | CTypeKind::Enum { signed, .. },
            GlobalValue::Integer(number),
        ) => integer(*number, *signed, bits, ctype)?,
        (CTypeKind::Char { .. }, GlobalValue::String(text)) => match text.as_bytes() {
            [only] => i128::from(*only),
            _ => return Err(Flaw::range(format!("`{ctype}` holds one byte, not {text:?}"))),
        },
        (CTypeKind::Enum { signed, variants }, GlobalValue::String(name)) => {
            constant(ctype, *signed, variants, name)?
        }
        (CTypeKind::Float, GlobalValue::Float(number)) => return float(ctype, *number),
        (CTypeKind::Float, GlobalValue::Integer(number)) => {
            let whole = i32::try_from(*number).ok().map(f64::from);
            let problem = || {
                Flaw::range(format!("`{ctype}` takes {number} only with a fraction: {number}.0"))
            };
            return float(ctype, whole.ok_or_else(problem)?);
        }
        (CTypeKind::Pointer, _) => {
            let message =
                format!("`{ctype}` is a pointer, which has no value before the program runs");
            return Err(Flaw::new(code::GLOBAL_UNSUPPORTED, message));
        }
        (CTypeKind::Opaque, _) => return Err(Flaw::undescribed(ctype)),
        (kind, value) => {
            let message = format!("`{ctype}` takes {}, not {}", wanted(kind), value.kind());
            return Err(Flaw::new(code::GLOBAL_TYPE, message));
        }
    };
    Ok(number.to_le_bytes())
}

/// What a manifest writes for a type.
fn wanted(kind: &CTypeKind) -> &'static str {
    match kind {
        CTypeKind::Bool => "a boolean",
        CTypeKind::Char { .. } => "an integer or a string of one byte",
        CTypeKind::Enum { .. } => "the name of one of its values, or an integer",
        CTypeKind::Float => "a number",
        CTypeKind::Array { element, .. } if matches!(element.kind, CTypeKind::Char { .. }) => {
            "a string, or a list"
        }
        CTypeKind::Array { .. } => "a list",
        CTypeKind::Struct { .. } => "a table",
        CTypeKind::Int { .. } | CTypeKind::Pointer | CTypeKind::Opaque => "an integer",
    }
}

fn integer(number: i128, signed: bool, bits: u32, ctype: &CType) -> Result<i128, Flaw> {
    let half = 1_i128.checked_shl(bits.saturating_sub(1)).filter(|half| *half > 0);
    let (low, high) = match (half, signed) {
        (Some(half), true) => (-half, half - 1),
        (Some(half), false) => (0, half.checked_mul(2).map_or(i128::MAX, |whole| whole - 1)),
        (None, signed) => (if signed { i128::MIN } else { 0 }, i128::MAX),
    };
    if (low..=high).contains(&number) {
        return Ok(number);
    }
    let of = if bits == ctype.size.saturating_mul(8) {
        String::new()
    } else {
        format!(" of {bits} bits")
    };
    Err(Flaw::range(format!("`{ctype}`{of} holds {low} to {high}, not {number}")))
}

fn constant(
    ctype: &CType,
    signed: bool,
    variants: &[(String, i64)],
    name: &str,
) -> Result<i128, Flaw> {
    if let Some((_, value)) = variants.iter().find(|(known, _)| known == name) {
        // An unsigned value above `i64::MAX` keeps its bits.
        return Ok(if signed { i128::from(*value) } else { i128::from(value.cast_unsigned()) });
    }
    let known = variants.iter().map(|(known, _)| known.as_str());
    Err(Flaw::unknown(format!("`{ctype}` has no value `{name}`"), name, known))
}

fn float(ctype: &CType, number: f64) -> Result<Bytes, Flaw> {
    let mut bytes = [0; SCALAR_MAX];
    match ctype.size {
        4 => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "C rounds as this does; overflow is caught"
            )]
            let single = number as f32;
            if single.is_infinite() && number.is_finite() {
                return Err(Flaw::range(format!("`{ctype}` cannot hold {number}")));
            }
            bytes[..4].copy_from_slice(&single.to_le_bytes());
        }
        8 => bytes[..8].copy_from_slice(&number.to_le_bytes()),
        _ => return Err(Flaw::undescribed(ctype)),
    }
    Ok(bytes)
}

/// The bits of a value that has `width` of them.
pub(super) fn bitfield(member: &Member, width: u32, value: &GlobalValue) -> Result<i128, Flaw> {
    let ctype = &member.ctype;
    match (&ctype.kind, value) {
        (
            CTypeKind::Int { signed } | CTypeKind::Enum { signed, .. },
            GlobalValue::Integer(number),
        ) => integer(*number, *signed, width, ctype),
        (CTypeKind::Enum { signed, variants }, GlobalValue::String(name)) => {
            integer(constant(ctype, *signed, variants, name)?, *signed, width, ctype)
        }
        _ => scalar(ctype, value).map(i128::from_le_bytes),
    }
}

/// Writes as many bytes as the type has.
pub(super) fn put(ctype: &CType, bytes: &Bytes, out: &mut [u8]) -> Result<(), Flaw> {
    let bytes = bytes.get(..out.len()).ok_or_else(|| Flaw::undescribed(ctype))?;
    out.copy_from_slice(bytes);
    Ok(())
}

/// Sets `width` bits from `bit_offset` on, lowest first.
pub(super) fn put_bits(
    out: &mut [u8],
    bit_offset: u32,
    width: u32,
    bits: i128,
) -> Result<(), Flaw> {
    for bit in 0..width.min(128) {
        let at = bit_offset.saturating_add(bit);
        let byte = usize::try_from(at / 8)
            .ok()
            .and_then(|at| out.get_mut(at))
            .ok_or_else(|| Flaw::range("the bit field lies beyond its struct".to_owned()))?;
        let mask = 1_u8 << (at % 8);
        if bits >> bit & 1 == 1 {
            *byte |= mask;
        } else {
            *byte &= !mask;
        }
    }
    Ok(())
}
