//! Global variables with the values that the object gives them, for a manifest to change.

use std::fmt::Write as _;

use super::text::{comment, key, quoted};
use super::{Block, Entry, Proposal};
use crate::model::ctype::{CType, CTypeKind, Member};
use crate::model::map::MapOrigin;
use crate::model::object::GlobalSpec;

/// Longest array that is written out.
const ELEMENTS_MAX: u32 = 16;
/// Most members of a struct that is.
const MEMBERS_MAX: usize = 16;
/// Longest value that is, in bytes.
const VALUE_MAX: usize = 400;

/// Every variable that a value can be written for, commented out.
pub(super) fn block(entry: &Entry<'_>) -> Block {
    let spec = &entry.image.spec;
    let mut lines = String::new();
    for global in spec.globals.iter().filter(|global| is_meant(global)) {
        let Some(ctype) = &global.ctype else { continue };
        let contents = spec.map(&global.section).and_then(|map| match &map.origin {
            MapOrigin::Section { contents, .. } => Some(contents.as_slice()),
            _ => None,
        });
        let start = usize::try_from(global.offset).unwrap_or(usize::MAX);
        let bytes = contents.and_then(|contents| contents.get(start..));
        let value = bytes.and_then(|bytes| value(ctype, bytes));
        let Some(value) = value.filter(|value| value.len() <= VALUE_MAX) else { continue };
        let about = comment(&format!("{ctype} in {}", global.section));
        let _ = writeln!(lines, "# {} = {value}   # {about}", key(&global.name));
    }
    let shown = if lines.is_empty() {
        String::new()
    } else {
        format!(
            "\n# Variables with the values that the object gives them.\n# [objects.{}.globals]\n{lines}",
            entry.name
        )
    };
    Proposal::remark(shown).into()
}

/// Whether a variable is one of the author's: compilers and macros name theirs `f.____fmt`.
fn is_meant(global: &GlobalSpec) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    global.name.chars().all(is_letter) && !global.name.starts_with("____")
}

/// The value in the first bytes, as a manifest would write it; `None` where it cannot or had better
/// not.
pub(super) fn value(ctype: &CType, bytes: &[u8]) -> Option<String> {
    let size = usize::try_from(ctype.size).ok()?;
    let bytes = bytes.get(..size)?;
    match &ctype.kind {
        CTypeKind::Int { signed } | CTypeKind::Char { signed } => {
            Some(integer(bytes, *signed)?.to_string())
        }
        CTypeKind::Bool => match bytes {
            [0] => Some("false".to_owned()),
            [1] => Some("true".to_owned()),
            _ => None,
        },
        CTypeKind::Enum { signed, variants } => constant(raw(bytes, *signed)?, variants)
            .or_else(|| Some(integer(bytes, *signed)?.to_string())),
        CTypeKind::Float => float(bytes),
        CTypeKind::Struct { union, members } => table(*union, members, bytes),
        CTypeKind::Array { element, .. } if matches!(element.kind, CTypeKind::Char { .. }) => {
            let end = bytes.iter().position(|byte| *byte == 0)?;
            let (text, rest) = bytes.split_at(end);
            let text = std::str::from_utf8(text).ok()?;
            rest.iter().all(|byte| *byte == 0).then(|| quoted(text))
        }
        CTypeKind::Array { element, count } if (1..=ELEMENTS_MAX).contains(count) => {
            let each = usize::try_from(element.size).ok().filter(|size| *size > 0)?;
            let elements: Option<Vec<String>> =
                bytes.chunks(each).map(|bytes| value(element, bytes)).collect();
            Some(format!("[{}]", elements?.join(", ")))
        }
        _ => None,
    }
}

/// The name of an enum's value, by its bits.
fn constant(bits: i64, variants: &[(String, i64)]) -> Option<String> {
    variants.iter().find(|(_, value)| *value == bits).map(|(name, _)| quoted(name))
}

/// A number with a fraction; what is none, C writes otherwise.
fn float(bytes: &[u8]) -> Option<String> {
    if let Ok(bytes) = bytes.try_into() {
        let number = f32::from_le_bytes(bytes);
        return number.is_finite().then(|| format!("{number:?}"));
    }
    let number = f64::from_le_bytes(bytes.try_into().ok()?);
    number.is_finite().then(|| format!("{number:?}"))
}

/// A table of the members that a value can be written for, those of anonymous structs and unions among
/// them; the others stay as the object has them. Of a union only one can be given.
fn table(union: bool, members: &[Member], bytes: &[u8]) -> Option<String> {
    let mut shown = Vec::new();
    fields((union, members), bytes, 0, &mut shown)?;
    if union {
        shown.truncate(1);
    }
    (!shown.is_empty()).then(|| format!("{{ {} }}", shown.join(", ")))
}

/// The members of a struct that begins `base` bits behind the outermost one; `None` for too many.
fn fields(
    (union, members): (bool, &[Member]),
    bytes: &[u8],
    base: u32,
    shown: &mut Vec<String>,
) -> Option<()> {
    let before = shown.len();
    for member in members {
        if union && shown.len() > before {
            break;
        }
        let at = base.checked_add(member.bit_offset)?;
        if member.name.is_empty() {
            if let CTypeKind::Struct { union, members } = &member.ctype.kind {
                fields((*union, members), bytes, at, shown)?;
            }
            continue;
        }
        let text = if let Some(width) = member.bit_width {
            bit_field(&member.ctype, bytes, at, width)
        } else {
            let start = usize::try_from(at / 8).ok()?;
            bytes.get(start..).and_then(|bytes| value(&member.ctype, bytes))
        };
        if let Some(text) = text {
            shown.push(format!("{} = {text}", key(&member.name)));
        }
        if shown.len() > MEMBERS_MAX {
            return None;
        }
    }
    Some(())
}

/// The value of so many bits.
fn bit_field(ctype: &CType, bytes: &[u8], at: u32, width: u32) -> Option<String> {
    let unused = 64_u32.checked_sub(width).filter(|unused| *unused < 64)?;
    let mut bits = 0_u64;
    for bit in 0..width {
        let at = at.checked_add(bit)?;
        let byte = bytes.get(usize::try_from(at / 8).ok()?)?;
        bits |= u64::from(byte >> (at % 8) & 1) << bit;
    }
    let extended = |signed: bool| {
        let extended = (bits << unused).cast_signed() >> unused;
        if signed { Some(extended) } else { i64::try_from(bits).ok() }
    };
    match &ctype.kind {
        CTypeKind::Bool => Some((bits != 0).to_string()),
        CTypeKind::Int { signed } => Some(extended(*signed)?.to_string()),
        CTypeKind::Enum { signed, variants } => {
            let number = extended(*signed)?;
            constant(number, variants).or_else(|| Some(number.to_string()))
        }
        _ => None,
    }
}

/// A little-endian integer that TOML can hold.
fn integer(bytes: &[u8], signed: bool) -> Option<i64> {
    let bits = raw(bytes, signed)?;
    (signed || bits >= 0).then_some(bits)
}

/// The bits of a little-endian integer: those of an unsigned one beyond [`i64::MAX`] look negative.
fn raw(bytes: &[u8], signed: bool) -> Option<i64> {
    let mut raw = [0; 8];
    raw.get_mut(..bytes.len())?.copy_from_slice(bytes);
    let unsigned = u64::from_le_bytes(raw);
    let unused = 64 - 8 * u32::try_from(bytes.len()).ok()?;
    if unused == 64 {
        return None;
    }
    if signed {
        return Some((unsigned << unused).cast_signed() >> unused);
    }
    Some(unsigned.cast_signed())
}
