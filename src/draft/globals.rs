//! Global variables with the values that the object gives them, for a manifest to change.

use std::fmt::Write as _;

use super::text::{comment, key, quoted};
use super::{Block, Entry, Proposal};
use crate::model::ctype::{CType, CTypeKind};
use crate::model::map::MapOrigin;
use crate::model::object::GlobalSpec;

/// Longest array that is written out.
const ELEMENTS_MAX: u32 = 16;

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
        let Some(value) = bytes.and_then(|bytes| value(ctype, bytes)) else { continue };
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
fn value(ctype: &CType, bytes: &[u8]) -> Option<String> {
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
        CTypeKind::Enum { signed, variants } => {
            let number = integer(bytes, *signed)?;
            let named = variants.iter().find(|(_, value)| *value == number);
            Some(named.map_or_else(|| number.to_string(), |(name, _)| quoted(name)))
        }
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

/// A little-endian integer that TOML can hold.
fn integer(bytes: &[u8], signed: bool) -> Option<i64> {
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
    i64::try_from(unsigned).ok()
}
