//! Types of an object by their names in C.

use super::ctypes::expand_types;
use super::elf::Elf;
use super::image::Image;
use crate::btf::{Btf, Kind};
use crate::model::ctype::{CType, CTypeKind};

impl Image {
    /// The type that C calls `name` in the object: `struct flow_key`, `flow_t`, `unsigned int`,
    /// `char[16]`. `None` if its BTF has no such type, or none with a size.
    ///
    /// Reads the BTF anew: for names that a person wrote, of which there are few.
    #[must_use]
    pub fn type_named(&self, name: &str) -> Option<CType> {
        let elf = Elf::parse(&self.bytes).ok()?;
        let data = elf.section(".BTF")?.data?;
        let btf = Btf::parse(data).ok()?;
        let (base, counts) = lengths(name)?;
        let element = named(&btf, base.trim())?;
        counts.into_iter().rev().try_fold(element, array)
    }
}

/// Splits `T[2][3]` into `T` and its lengths.
fn lengths(name: &str) -> Option<(&str, Vec<u32>)> {
    let mut parts = name.split('[');
    let base = parts.next()?;
    let mut counts = Vec::new();
    for part in parts {
        counts.push(part.trim().strip_suffix(']')?.trim().parse().ok()?);
    }
    Some((base, counts))
}

fn array(element: CType, count: u32) -> Option<CType> {
    Some(CType {
        name: format!("{}[{count}]", element.name),
        size: element.size.checked_mul(count)?,
        kind: CTypeKind::Array { element: Box::new(element), count },
    })
}

fn named(btf: &Btf<'_>, name: &str) -> Option<CType> {
    let tagged = [("struct ", Kind::Struct), ("union ", Kind::Union), ("enum ", Kind::Enum)];
    let tag = tagged.iter().find_map(|(tag, kind)| Some((name.strip_prefix(tag)?, *kind)));
    let found = match tag {
        Some((tag, Kind::Enum)) => {
            btf.find(tag.trim(), Kind::Enum).or_else(|| btf.find(tag.trim(), Kind::Enum64))
        }
        Some((tag, kind)) => btf.find(tag.trim(), kind),
        None => [Kind::Typedef, Kind::Int, Kind::Float]
            .into_iter()
            .find_map(|kind| btf.find(name, kind)),
    };
    let [found, _] = expand_types(btf, [found?.id(), 0]);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_from_the_end() {
        assert_eq!(lengths("char[16]"), Some(("char", vec![16])));
        assert_eq!(lengths("int [2][ 3 ]"), Some(("int ", vec![2, 3])));
        assert_eq!(lengths("int"), Some(("int", vec![])));
        for wrong in ["int[", "int[]", "int[x]", "int[-1]", "int[1]x"] {
            assert_eq!(lengths(wrong), None, "{wrong}");
        }
    }
}
