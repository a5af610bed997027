//! TOML values as the bytes of C variables, by the variables' BTF types.
//!
//! Little endian, as the objects are. A table sets the members it names and leaves the others as
//! the object has them; a list or a text shorter than its array is followed by zeroes, as in C.

mod scalar;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::manifest::{GlobalValue, KeyPath, listed, suggest};
use crate::model::code;
use crate::model::ctype::{CType, CTypeKind, Member};
use scalar::{bitfield, put, put_bits, scalar};

/// A value that cannot be written, and where the manifest has it.
#[derive(Debug)]
pub(super) struct Misfit {
    pub(super) at: KeyPath,
    pub(super) flaw: Flaw,
}

/// What is wrong with a value.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Flaw {
    fn new(code: &'static str, message: String) -> Self {
        Self { code, message, help: None }
    }

    fn range(message: String) -> Self {
        Self::new(code::GLOBAL_RANGE, message)
    }

    fn undescribed(ctype: &CType) -> Self {
        let message = format!("`{ctype}` is a type that no value can be written for");
        Self::new(code::GLOBAL_UNSUPPORTED, message)
    }

    /// A name that is none of `known`.
    fn unknown<'n>(
        message: String,
        name: &str,
        known: impl Iterator<Item = &'n str> + Clone,
    ) -> Self {
        let help = match suggest(name, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has {}", listed(known)),
        };
        Self { help: Some(help), ..Self::new(code::GLOBAL_TYPE, message) }
    }
}

/// Writes `value` into `out`, which has the type's size, and yields every part that does not fit.
/// `at` is where the manifest has the value.
pub(super) fn encode(
    ctype: &CType,
    value: &GlobalValue,
    out: &mut [u8],
    at: &KeyPath,
) -> Vec<Misfit> {
    let mut encoder = Encoder { misfits: Vec::new() };
    encoder.value(ctype, value, out, at);
    encoder.misfits
}

struct Encoder {
    misfits: Vec<Misfit>,
}

impl Encoder {
    fn value(&mut self, ctype: &CType, value: &GlobalValue, out: &mut [u8], at: &KeyPath) {
        let written = match (&ctype.kind, value) {
            (CTypeKind::Array { element, count }, GlobalValue::Array(values)) => {
                return self.list(ctype, (element, *count), values, out, at);
            }
            (CTypeKind::Array { element, count }, GlobalValue::String(text))
                if matches!(element.kind, CTypeKind::Char { .. }) =>
            {
                chars(ctype, *count, text, out)
            }
            (CTypeKind::Struct { union, members }, GlobalValue::Table(values)) => {
                return self.table(ctype, (*union, members), values, out, at);
            }
            _ => scalar(ctype, value).and_then(|bytes| put(ctype, &bytes, out)),
        };
        if let Err(flaw) = written {
            self.misfit(at, flaw);
        }
    }

    fn misfit(&mut self, at: &KeyPath, flaw: Flaw) {
        self.misfits.push(Misfit { at: at.clone(), flaw });
    }

    fn list(
        &mut self,
        ctype: &CType,
        (element, count): (&CType, u32),
        values: &[GlobalValue],
        out: &mut [u8],
        at: &KeyPath,
    ) {
        if values.len() > usize::try_from(count).unwrap_or(usize::MAX) {
            let message = format!("a list of {} does not fit `{ctype}`", values.len());
            return self.misfit(at, Flaw::range(message));
        }
        out.fill(0);
        let size = usize::try_from(element.size).unwrap_or(usize::MAX).max(1);
        for (index, (value, out)) in values.iter().zip(out.chunks_exact_mut(size)).enumerate() {
            self.value(element, value, out, &at.index(index));
        }
    }

    fn table(
        &mut self,
        ctype: &CType,
        (union, members): (bool, &[Member]),
        values: &BTreeMap<String, GlobalValue>,
        out: &mut [u8],
        at: &KeyPath,
    ) {
        if union && values.len() > 1 {
            let message = format!("`{ctype}` is a union: only one member of it can be set");
            return self.misfit(at, Flaw::new(code::GLOBAL_TYPE, message));
        }
        for (name, value) in values {
            let at = at.key(name);
            let Some((member, bit_offset)) = find(members, name, 0) else {
                let known = names(members);
                let known = known.iter().copied();
                let message = format!("`{ctype}` has no member `{name}`");
                self.misfit(&at, Flaw::unknown(message, name, known));
                continue;
            };
            if let Some(width) = member.bit_width {
                let written = bitfield(member, width, value)
                    .and_then(|bits| put_bits(out, bit_offset, width, bits));
                if let Err(flaw) = written {
                    self.misfit(&at, flaw);
                }
                continue;
            }
            let start = usize::try_from(bit_offset / 8).unwrap_or(usize::MAX);
            let size = usize::try_from(member.ctype.size).unwrap_or(usize::MAX);
            match start.checked_add(size).and_then(|end| out.get_mut(start..end)) {
                Some(out) => self.value(&member.ctype, value, out, &at),
                None => self.misfit(&at, Flaw::undescribed(ctype)),
            }
        }
    }
}

/// A member by name with its distance from the outermost struct, in bits; members of anonymous
/// structs and unions count as the outer one's.
fn find<'t>(members: &'t [Member], name: &str, base: u32) -> Option<(&'t Member, u32)> {
    members.iter().find_map(|member| {
        let offset = base.checked_add(member.bit_offset)?;
        match &member.ctype.kind {
            CTypeKind::Struct { members, .. } if member.name.is_empty() => {
                find(members, name, offset)
            }
            _ => (member.name == name).then_some((member, offset)),
        }
    })
}

/// The names of members, those of anonymous structs and unions among them; padding has none.
fn names(members: &[Member]) -> Vec<&str> {
    let found = members.iter().flat_map(|member| match &member.ctype.kind {
        _ if !member.name.is_empty() => vec![member.name.as_str()],
        CTypeKind::Struct { members, .. } => names(members),
        _ => Vec::new(),
    });
    found.collect()
}

/// Text and the zero after it.
fn chars(ctype: &CType, count: u32, text: &str, out: &mut [u8]) -> Result<(), Flaw> {
    if text.contains('\0') {
        let message = format!("{text:?} has a zero inside, which would end the text of `{ctype}`");
        return Err(Flaw::range(message));
    }
    let room = usize::try_from(count).unwrap_or(usize::MAX);
    let Some((start, rest)) = out.split_at_mut_checked(text.len()).filter(|_| text.len() < room)
    else {
        let message = format!(
            "the text has {} bytes; `{ctype}` holds {} and a final zero",
            text.len(),
            room.saturating_sub(1)
        );
        return Err(Flaw::range(message));
    };
    start.copy_from_slice(text.as_bytes());
    rest.fill(0);
    Ok(())
}
