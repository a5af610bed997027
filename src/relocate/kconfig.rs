//! The layout of `.kconfig`: values of the kernel's configuration that an object reads.

use crate::btf::{Btf, IntEncoding, Kind, Shape};

/// A variable of `.kconfig`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KconfigVariable {
    /// `CONFIG_…`, or `LINUX_…` for what the loader itself knows.
    pub name: String,
    /// How its value is written.
    pub kind: KconfigKind,
    /// From the beginning of the map's value, in bytes.
    pub offset: u32,
    /// In bytes.
    pub size: u32,
    /// In bytes.
    pub align: u32,
    /// Whether it is zero when the configuration has no such option.
    pub weak: bool,
}

/// How a value is written (libbpf `enum kcfg_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KconfigKind {
    /// `bool`
    Bool,
    /// `char`
    Char {
        /// Whether it has a sign.
        signed: bool,
    },
    /// An integer.
    Int {
        /// Whether it has a sign.
        signed: bool,
    },
    /// `enum libbpf_tristate`
    Tristate,
    /// An array of `char`.
    Text,
}

impl KconfigKind {
    /// What a type is, its size and its alignment; `None` for one that cannot be (libbpf
    /// `find_kcfg_type`, `btf__align_of`).
    pub(super) fn of(btf: &Btf<'_>, id: u32) -> Option<(Self, u32, u32)> {
        let found = btf.resolve(id).ok()?;
        let size = btf.size_of(id).ok().filter(|size| *size > 0)?;
        let scalar = |kind| Some((kind, size, size.min(8)));
        match found.shape() {
            Shape::Int(int) => match int.encoding {
                IntEncoding::Bool => (size == 1).then_some((Self::Bool, 1, 1)),
                encoding => {
                    let signed = encoding == IntEncoding::Signed;
                    match size {
                        // Told by its size: compilers do not mark it.
                        1 => scalar(Self::Char { signed }),
                        2 | 4 | 8 => scalar(Self::Int { signed }),
                        _ => None,
                    }
                }
            },
            Shape::Enum(_) if size == 4 && found.is_named("libbpf_tristate") => {
                scalar(Self::Tristate)
            }
            Shape::Enum64(_) if found.is_named("libbpf_tristate") => scalar(Self::Tristate),
            Shape::Array(array) if array.count > 0 => {
                let (element, ..) = Self::of_element(btf, array.element)?;
                matches!(element, Self::Char { .. }).then_some((Self::Text, size, 1))
            }
            _ => None,
        }
    }

    /// The element of an array, which may not be an array itself.
    fn of_element(btf: &Btf<'_>, id: u32) -> Option<(Self, u32, u32)> {
        let element = btf.resolve(id).ok()?;
        (element.kind() == Kind::Int).then(|| Self::of(btf, id)).flatten()
    }
}
