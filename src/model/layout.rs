//! How values of a [`CType`] lie in memory: whether two types agree on it, and where they first do
//! not.
//!
//! What counts: names, offsets and widths of members, lengths of arrays, sizes of scalars, and whether
//! one is an integer, a floating point number or a pointer. What does not: names of types and of an
//! enum's constants, what pointers point to, the sign of an integer, whether it is called `char`,
//! `bool` or `enum`, and members that are padding by their names, which elsewhere the compiler puts in.

use std::fmt;

use super::ctype::{CType, CTypeKind, Member};
use super::digest::Digest;

impl CType {
    /// Digest of the layout. Two types have the same exactly when [`layout_difference`] finds none.
    #[must_use]
    pub fn layout(&self) -> Digest {
        Digest::of(Canonical(self).to_string().as_bytes())
    }
}

/// The first difference in layout as a sentence about `a`, which says what `b` has instead; `None`
/// if a value of one can be read as the other.
///
/// "`state.flags` is at byte 8, not at byte 4"
#[must_use]
pub fn layout_difference(a: &CType, b: &CType) -> Option<String> {
    difference(Eyes::Bytes, "", a, b)
}

/// As [`layout_difference`], for someone who wrote down a type and means it: signs count, and so does
/// what an integer is for.
#[must_use]
pub fn type_difference(a: &CType, b: &CType) -> Option<String> {
    difference(Eyes::Types, "", a, b)
}

/// What two types are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Eyes {
    /// Whether a value of one can be read as the other.
    Bytes,
    /// Whether it also means the same in C.
    Types,
}

/// A struct that is another one with members added at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended<'a> {
    /// Bytes up to the end of the last old member.
    pub kept: u32,
    /// The new members' names; one without a name is left out.
    pub members: Vec<&'a str>,
}

/// What `new` has appended to `old`; `None` unless both are structs, every member of `old` is in
/// `new` at the same place with the same layout, and the others lie in bytes behind them.
#[must_use]
pub fn appended<'a>(old: &CType, new: &'a CType) -> Option<Appended<'a>> {
    let (
        CTypeKind::Struct { union: false, members: before },
        CTypeKind::Struct { union: false, members: after },
    ) = (&old.kind, &new.kind)
    else {
        return None;
    };
    let (before, after) = (counted(before), counted(after));
    let (same, added) = after.split_at_checked(before.len())?;
    if added.is_empty() || members_difference(Eyes::Bytes, "", &before, same).is_some() {
        return None;
    }
    let end = |member: &Member| {
        let width = member.bit_width.unwrap_or_else(|| member.ctype.size.saturating_mul(8));
        member.bit_offset.saturating_add(width).div_ceil(8)
    };
    let kept = before.iter().copied().map(end).max().unwrap_or(0);
    let behind = added.iter().all(|member| member.bit_offset / 8 >= kept);
    let members = added.iter().map(|member| member.name.as_str());
    let members = members.filter(|name| !name.is_empty()).collect();
    (behind && kept <= old.size && old.size <= new.size).then_some(Appended { kept, members })
}

/// Members that hold something: none that is called `_pad`, `pad1`, `__padding`.
fn counted(members: &[Member]) -> Vec<&Member> {
    let is_padding = |member: &Member| {
        let name = member.name.trim_start_matches('_');
        let rest = name.strip_prefix("padding").or_else(|| name.strip_prefix("pad"));
        rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_'))
    };
    members.iter().filter(|member| !is_padding(member)).collect()
}

fn difference(eyes: Eyes, path: &str, a: &CType, b: &CType) -> Option<String> {
    let differ = match eyes {
        Eyes::Bytes => byte_kind(&a.kind) != byte_kind(&b.kind),
        Eyes::Types => kind_word(&a.kind) != kind_word(&b.kind),
    };
    if differ {
        return Some(format!("{} is {}, not {}", subject(path), described(a), described(b)));
    }
    let inside = match (&a.kind, &b.kind) {
        (
            CTypeKind::Array { element: one, count },
            CTypeKind::Array { element: other, count: n },
        ) => {
            if count == n {
                difference(eyes, &format!("{path}[]"), one, other)
            } else {
                Some(format!("{} has {count} elements, not {n}", subject(path)))
            }
        }
        (CTypeKind::Struct { members: ours, .. }, CTypeKind::Struct { members: theirs, .. }) => {
            members_difference(eyes, path, &counted(ours), &counted(theirs))
        }
        _ => None,
    };
    inside.or_else(|| {
        (a.size != b.size)
            .then(|| format!("{} has {} bytes, not {}", subject(path), a.size, b.size))
    })
}

fn members_difference(
    eyes: Eyes,
    path: &str,
    ours: &[&Member],
    theirs: &[&Member],
) -> Option<String> {
    for (index, member) in ours.iter().enumerate() {
        let path = join(path, &member.name);
        let subject = subject(&path);
        let Some(other) = theirs.get(index) else {
            return Some(format!("{subject} is new"));
        };
        if member.name != other.name {
            return Some(format!("{subject} is where the other has `{}`", other.name));
        }
        if member.bit_offset != other.bit_offset {
            let (at, not) = (place(member.bit_offset), place(other.bit_offset));
            return Some(format!("{subject} is at {at}, not at {not}"));
        }
        if width(member) != width(other) {
            return Some(format!("{subject} has {}, not {}", bits(member), bits(other)));
        }
        let inside = difference(eyes, &path, &member.ctype, &other.ctype);
        if inside.is_some() {
            return inside;
        }
    }
    theirs.get(ours.len()).map(|other| format!("{} is missing", subject(&join(path, &other.name))))
}

fn join(path: &str, name: &str) -> String {
    match (path, name) {
        (_, "") => path.to_owned(),
        ("", _) => name.to_owned(),
        _ => format!("{path}.{name}"),
    }
}

fn subject(path: &str) -> String {
    if path.is_empty() { "the type".to_owned() } else { format!("`{path}`") }
}

fn place(bit_offset: u32) -> String {
    if bit_offset.is_multiple_of(8) {
        format!("byte {}", bit_offset / 8)
    } else {
        format!("bit {bit_offset}")
    }
}

fn width(member: &Member) -> u32 {
    member.bit_width.unwrap_or(0)
}

fn bits(member: &Member) -> String {
    match width(member) {
        0 => "its full width".to_owned(),
        width => format!("{width} bits"),
    }
}

fn described(ctype: &CType) -> String {
    format!("`{ctype}` ({}, {} bytes)", kind_word(&ctype.kind), ctype.size)
}

/// The kind as far as it counts for bytes: libbpf and the kernel compare no more than sizes.
fn byte_kind(kind: &CTypeKind) -> &'static str {
    match kind {
        CTypeKind::Int { .. }
        | CTypeKind::Char { .. }
        | CTypeKind::Bool
        | CTypeKind::Enum { .. } => "integer",
        _ => kind_word(kind),
    }
}

/// The kind in words.
fn kind_word(kind: &CTypeKind) -> &'static str {
    match kind {
        CTypeKind::Int { signed: true } | CTypeKind::Char { signed: true } => "signed integer",
        CTypeKind::Int { signed: false } | CTypeKind::Char { signed: false } => "unsigned integer",
        CTypeKind::Bool => "boolean",
        CTypeKind::Float => "floating point",
        CTypeKind::Pointer => "pointer",
        CTypeKind::Enum { .. } => "enum",
        CTypeKind::Array { .. } => "array",
        CTypeKind::Struct { union: false, .. } => "struct",
        CTypeKind::Struct { union: true, .. } => "union",
        CTypeKind::Opaque => "unknown",
    }
}

/// All that counts, written down unambiguously.
struct Canonical<'a>(&'a CType);

impl fmt::Display for Canonical<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CType { size, kind, .. } = self.0;
        write!(f, "{} {size}", byte_kind(kind))?;
        match kind {
            CTypeKind::Array { element, count } => write!(f, "[{count} {}]", Canonical(element)),
            CTypeKind::Struct { members, .. } => {
                let members = counted(members);
                write!(f, "{{{}", members.len())?;
                for member in members {
                    let Member { name, bit_offset, ctype, .. } = member;
                    // The length keeps a name with any character in it apart from what follows.
                    write!(f, ";{} {name} {bit_offset} {} ", name.len(), width(member))?;
                    Canonical(ctype).fmt(f)?;
                }
                f.write_str("}")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn int(name: &str, size: u32) -> CType {
        CType { name: name.to_owned(), size, kind: CTypeKind::Int { signed: false } }
    }

    fn member(name: &str, offset: u32, ctype: CType) -> Member {
        Member { name: name.to_owned(), bit_offset: offset * 8, bit_width: None, ctype }
    }

    fn structure(size: u32, members: Vec<Member>) -> CType {
        let name = "struct flow".to_owned();
        CType { name, size, kind: CTypeKind::Struct { union: false, members } }
    }

    fn flow() -> CType {
        structure(8, vec![member("port", 0, int("__u16", 2)), member("mark", 4, int("__u32", 4))])
    }

    #[track_caller]
    fn assert_difference(a: &CType, b: &CType, expected: &str) {
        assert_eq!(layout_difference(a, b).as_deref(), Some(expected));
        assert_ne!(a.layout(), b.layout());
    }

    #[test]
    fn names_of_types_do_not_count() {
        let other = structure(
            8,
            vec![member("port", 0, int("port_t", 2)), member("mark", 4, int("unsigned int", 4))],
        );
        assert_eq!(layout_difference(&flow(), &other), None);
        assert_eq!(flow().layout(), other.layout());
    }

    #[test]
    fn the_first_difference_is_named() {
        let short = structure(8, vec![member("port", 0, int("__u16", 2))]);
        assert_difference(&flow(), &short, "`mark` is new");
        assert_difference(&short, &flow(), "`mark` is missing");

        let renamed = structure(
            8,
            vec![member("port", 0, int("__u16", 2)), member("tag", 4, int("__u32", 4))],
        );
        assert_difference(&flow(), &renamed, "`mark` is where the other has `tag`");

        let moved = structure(
            12,
            vec![member("port", 0, int("__u16", 2)), member("mark", 8, int("__u32", 4))],
        );
        assert_difference(&moved, &flow(), "`mark` is at byte 8, not at byte 4");

        let wide = structure(
            8,
            vec![member("port", 0, int("__u32", 4)), member("mark", 4, int("__u32", 4))],
        );
        assert_difference(&wide, &flow(), "`port` has 4 bytes, not 2");

        let padded = structure(16, vec![member("port", 0, int("__u16", 2))]);
        assert_difference(&padded, &short, "the type has 16 bytes, not 8");
    }

    #[test]
    fn differences_are_found_inside() {
        let array = |count| CType {
            name: format!("__u32[{count}]"),
            size: 4 * count,
            kind: CTypeKind::Array { element: Box::new(int("__u32", 4)), count },
        };
        let outer = |inner: CType| structure(32, vec![member("state", 0, inner)]);
        let with = |ctype: CType| outer(structure(16, vec![member("data", 0, ctype)]));
        let text = "`state.data` has 4 elements, not 2";
        assert_difference(&with(array(4)), &with(array(2)), text);
        let text =
            "`state.data` is `__u32[1]` (array, 4 bytes), not `__u32` (unsigned integer, 4 bytes)";
        assert_difference(&with(array(1)), &with(int("__u32", 4)), text);
    }

    #[test]
    fn bitfields_differ_by_their_width() {
        let field = |width| {
            let bits = Member { bit_width: width, ..member("ecn", 0, int("__u8", 1)) };
            structure(1, vec![bits])
        };
        assert_difference(&field(Some(2)), &field(Some(3)), "`ecn` has 2 bits, not 3 bits");
        assert_difference(&field(None), &field(Some(3)), "`ecn` has its full width, not 3 bits");
    }

    #[test]
    fn members_are_appended_behind_the_old_ones() {
        let old = structure(8, vec![member("port", 0, int("__u16", 2))]);
        let flow = flow();
        let grown = appended(&old, &flow).expect("`mark` is new");
        assert_eq!(grown, Appended { kept: 2, members: vec!["mark"] }, "what was padding is zero");
        assert_eq!(appended(&flow, &flow), None, "nothing is new");
        assert_eq!(appended(&flow, &old), None, "`mark` is missing");
        let before = structure(8, vec![member("mark", 4, int("__u32", 4))]);
        assert_eq!(appended(&before, &flow), None, "`port` came in front");
        assert_eq!(appended(&int("__u64", 8), &flow), None);

        let flag = |name: &str, bit_offset, width| Member {
            bit_offset,
            bit_width: Some(width),
            ..member(name, 0, int("__u8", 1))
        };
        let flags = |members| structure(1, members);
        let (one, two) = (flag("one", 0, 1), flag("two", 1, 1));
        let both = flags(vec![one.clone(), two]);
        assert_eq!(appended(&flags(vec![one]), &both), None, "both lie in one byte");
    }

    #[test]
    fn an_integer_is_its_bytes() {
        let of = |kind, size| CType { kind, ..int("t", size) };
        let same = [
            of(CTypeKind::Int { signed: true }, 1),
            of(CTypeKind::Int { signed: false }, 1),
            of(CTypeKind::Char { signed: true }, 1),
            of(CTypeKind::Bool, 1),
            of(CTypeKind::Enum { signed: false, variants: Vec::new() }, 1),
        ];
        for one in &same {
            for other in &same {
                assert_eq!(layout_difference(one, other), None);
                assert_eq!(one.layout(), other.layout());
            }
        }
        let text = type_difference(&same[0], &same[1]).expect("a sign was written down");
        assert!(text.contains("signed integer"), "{text}");
        let float = of(CTypeKind::Float, 4);
        let text = "the type is `t` (floating point, 4 bytes), not `t` (unsigned integer, 4 bytes)";
        assert_difference(&float, &int("t", 4), text);
        let text = "the type is `t` (pointer, 8 bytes), not `t` (unsigned integer, 8 bytes)";
        assert_difference(&of(CTypeKind::Pointer, 8), &int("t", 8), text);
    }

    #[test]
    fn padding_is_what_the_compiler_would_put_in() {
        let array = CTypeKind::Array { element: Box::new(int("char", 1)), count: 3 };
        let three = CType { name: "char[3]".to_owned(), size: 3, kind: array };
        let with = |name: &str| {
            let port = member("port", 0, int("__u8", 1));
            let mark = member("mark", 4, int("__u32", 4));
            structure(8, vec![port, member(name, 1, three.clone()), mark])
        };
        let implicit = structure(
            8,
            vec![member("port", 0, int("__u8", 1)), member("mark", 4, int("__u32", 4))],
        );
        for name in ["pad", "_pad", "__pad1", "padding", "pad_2"] {
            assert_eq!(layout_difference(&with(name), &implicit), None, "{name}");
            assert_eq!(with(name).layout(), implicit.layout(), "{name}");
        }
        assert_difference(&with("paddle"), &implicit, "`paddle` is where the other has `mark`");
    }

    fn ctype() -> impl Strategy<Value = CType> {
        let kinds = prop_oneof![
            any::<bool>().prop_map(|signed| CTypeKind::Int { signed }),
            any::<bool>().prop_map(|signed| CTypeKind::Char { signed }),
            Just(CTypeKind::Bool),
            Just(CTypeKind::Opaque),
        ];
        let leaf =
            ("[ab]", 1_u32..3, kinds).prop_map(|(name, size, kind)| CType { name, size, kind });
        leaf.prop_recursive(3, 8, 3, |inner| {
            let member = ("([ab]|_pad)?", 0_u32..3, proptest::option::of(1_u32..3), inner.clone())
                .prop_map(|(name, bit_offset, bit_width, ctype)| Member {
                    name,
                    bit_offset,
                    bit_width,
                    ctype,
                });
            let array = (inner, 0_u32..2).prop_map(|(element, count)| CTypeKind::Array {
                element: Box::new(element),
                count,
            });
            let members = (any::<bool>(), proptest::collection::vec(member, 0..3))
                .prop_map(|(union, members)| CTypeKind::Struct { union, members });
            (0_u32..3, prop_oneof![array, members]).prop_map(|(size, kind)| CType {
                name: String::new(),
                size,
                kind,
            })
        })
    }

    proptest! {
        #[test]
        fn the_digest_agrees_with_the_comparison(a in ctype(), b in ctype()) {
            prop_assert_eq!(layout_difference(&a, &b).is_none(), a.layout() == b.layout());
            prop_assert_eq!(layout_difference(&a, &a), None);
        }
    }
}
