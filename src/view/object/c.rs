//! Structs as C declares them, with the place of each member.

use std::fmt::Write as _;

use crate::model::ctype::{CType, CTypeKind, Member};

/// Adds the definitions that a type is made of to those known already, innermost first: each once, by
/// its name.
pub(super) fn define(ctype: &CType, known: &mut Vec<(String, String)>) {
    match &ctype.kind {
        CTypeKind::Array { element, .. } => define(element, known),
        CTypeKind::Struct { union, members } => {
            if known.iter().any(|(name, _)| *name == ctype.name) {
                return;
            }
            for member in members {
                define(&member.ctype, known);
            }
            if is_tagged(ctype) || !is_anonymous(ctype) {
                let text = definition(ctype, *union, members);
                known.push((ctype.name.clone(), text));
            }
        }
        _ => {}
    }
}

/// `struct flow_key`, and not a typedef of one without a tag.
fn is_tagged(ctype: &CType) -> bool {
    ["struct ", "union "]
        .iter()
        .any(|tag| ctype.name.strip_prefix(tag).is_some_and(|name| !name.starts_with(['{', '('])))
}

fn is_anonymous(ctype: &CType) -> bool {
    ctype.name.contains(['{', '(']) || ["struct", "union", ""].contains(&ctype.name.as_str())
}

fn definition(ctype: &CType, union: bool, members: &[Member]) -> String {
    let mut lines = Vec::new();
    body(members, 0, 1, &mut lines);
    let (open, close) = if is_tagged(ctype) {
        (format!("{} {{", ctype.name), "};".to_owned())
    } else {
        let word = if union { "union" } else { "struct" };
        (format!("typedef {word} {{"), format!("}} {};", ctype.name))
    };
    let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or_default();
    let width = width.max(open.chars().count());
    let mut text = format!("{open:<width$}  /* {} bytes */\n", ctype.size);
    for (line, offset) in lines {
        let offset = offset.map_or_else(String::new, |offset| format!("  /* {offset} */"));
        let _ = writeln!(text, "{}", format!("{line:<width$}{offset}").trim_end());
    }
    text.push_str(&close);
    text.push('\n');
    text
}

/// The members, `base` bits into the outermost struct, each with its offset in bytes.
fn body(members: &[Member], base: u64, depth: usize, lines: &mut Vec<(String, Option<String>)>) {
    let indent = "    ".repeat(depth);
    for member in members {
        // As BTF says them, each may be almost 2^32.
        let at = base + u64::from(member.bit_offset);
        let offset = if at.is_multiple_of(8) {
            (at / 8).to_string()
        } else {
            format!("{}, bit {}", at / 8, at % 8)
        };
        let (inner, dimensions) = element(&member.ctype);
        let name = format!("{}{dimensions}", member.name);
        if let CTypeKind::Struct { union, members } = &inner.kind
            && is_anonymous(inner)
        {
            let word = if *union { "union" } else { "struct" };
            lines.push((format!("{indent}{word} {{"), Some(offset)));
            body(members, at, depth + 1, lines);
            let name = if name.is_empty() { name } else { format!(" {name}") };
            lines.push((format!("{indent}}}{name};"), None));
            continue;
        }
        let declared = if inner.name.contains("(*") {
            inner.name.replacen("(*", &format!("(*{name}"), 1)
        } else {
            let space = if inner.name.ends_with('*') || name.is_empty() { "" } else { " " };
            format!("{}{space}{name}", inner.name)
        };
        let width = member.bit_width.map_or_else(String::new, |bits| format!(" : {bits}"));
        lines.push((format!("{indent}{declared}{width};"), Some(offset)));
    }
}

/// The type that an array is made of, and its dimensions as they stand behind a name.
fn element(ctype: &CType) -> (&CType, String) {
    match &ctype.kind {
        // A typedef of an array has a name of its own.
        CTypeKind::Array { element: inner, count } if ctype.name.ends_with(']') => {
            let (innermost, dimensions) = element(inner);
            (innermost, format!("[{count}]{dimensions}"))
        }
        _ => (ctype, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(name: &str, size: u32) -> CType {
        CType { name: name.to_owned(), size, kind: CTypeKind::Int { signed: false } }
    }

    fn member(name: &str, bit_offset: u32, bit_width: Option<u32>, ctype: CType) -> Member {
        Member { name: name.to_owned(), bit_offset, bit_width, ctype }
    }

    #[test]
    fn structs_read_as_in_c() {
        let comm = CType {
            name: "char[16]".to_owned(),
            size: 16,
            kind: CTypeKind::Array { element: Box::new(int("char", 1)), count: 16 },
        };
        let anonymous = CType {
            name: "union {…}".to_owned(),
            size: 4,
            kind: CTypeKind::Struct {
                union: true,
                members: vec![
                    member("v4", 0, None, int("__be32", 4)),
                    member("low", 0, Some(3), int("__u32", 4)),
                    member("high", 3, Some(5), int("__u32", 4)),
                ],
            },
        };
        let key = CType {
            name: "struct key".to_owned(),
            size: 20,
            kind: CTypeKind::Struct {
                union: false,
                members: vec![member("comm", 0, None, comm), member("", 128, None, anonymous)],
            },
        };
        let mut known = Vec::new();
        define(&key, &mut known);
        define(&key, &mut known);
        assert_eq!(known.len(), 1);
        assert_eq!(
            known[0].1,
            "\
struct key {             /* 20 bytes */
    char comm[16];       /* 0 */
    union {              /* 16 */
        __be32 v4;       /* 16 */
        __u32 low : 3;   /* 16 */
        __u32 high : 5;  /* 16, bit 3 */
    };
};
"
        );
    }

    #[test]
    fn offsets_of_nested_members_add_up_beyond_what_btf_can_say() {
        let structure = |name: &str, inner| CType {
            name: name.to_owned(),
            size: 4,
            kind: CTypeKind::Struct { union: false, members: vec![inner] },
        };
        let far = structure("struct {…}", member("b", u32::MAX - 7, None, int("char", 1)));
        let outer = structure("struct outer", member("a", u32::MAX - 7, None, far));
        let mut known = Vec::new();
        define(&outer, &mut known);
        assert!(known[0].1.contains("/* 1073741822 */"), "{}", known[0].1);
    }
}
