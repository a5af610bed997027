//! What the manifest expects of a map's type, key and value.

use crate::manifest::{Expect, KeyPath};
use crate::model::code;
use crate::model::ctype::{CType, CTypeKind};
use crate::model::layout::type_difference;
use crate::model::map::MapSpec;
use crate::model::problem::Problem;
use crate::object::Image;
use crate::validate::declaration::{is_declaration, parse, scalar};
use crate::validate::findings::Findings;

/// Holds `wanted` against the object's declaration; `at` is where the manifest says it.
pub(in crate::validate) fn check(
    at: &KeyPath,
    wanted: &Expect,
    (image, map): (&Image, &MapSpec),
    findings: &mut Findings<'_>,
) {
    if let Some(kind) = wanted.map_type
        && kind.0 != map.shape.map_type
    {
        let message =
            format!("map `{}` is of type `{}`, not `{}`", map.name, map.shape.map_type, kind.0);
        findings.at_value(&at.key("type"), mismatch(message));
    }
    let parts = [
        ("key", &wanted.key, &map.key, map.shape.key_size),
        ("value", &wanted.value, &map.value, map.shape.value_size),
    ];
    for (part, wanted, declared, size) in parts {
        let Some(wanted) = wanted else { continue };
        let what = format!("the {part} of map `{}`", map.name);
        if let Some(problem) = difference(&what, wanted, declared.as_ref(), size, image) {
            findings.at_value(&at.key(part), problem);
        }
    }
}

/// What is not as expected, with the first difference of the layouts.
fn difference(
    what: &str,
    wanted: &str,
    declared: Option<&CType>,
    size: u32,
    image: &Image,
) -> Option<Problem> {
    let layout = if is_declaration(wanted) {
        match parse(wanted, &|name| image.type_named(name)) {
            Ok(layout) => Some(layout),
            Err(error) => {
                let problem = Problem::error(
                    code::EXPECT_MISMATCH,
                    None,
                    format!("what is expected of {what} is no type of C: {error}"),
                );
                return Some(problem.help(
                    "write a type's name, or its members: `struct { __u32 addr; __u16 port; }`",
                ));
            }
        }
    } else {
        None
    };
    let Some(found) = declared else {
        let found = match size {
            0 => "nothing".to_owned(),
            size => format!("{size} bytes without a type"),
        };
        return Some(mismatch(format!("{what} is {found}, not `{}`", words(wanted))));
    };
    if let Some(layout) = layout {
        let difference = type_difference(found, &layout)?;
        let message = format!("{what}, `{found}`, is laid out otherwise: {difference}");
        return Some(mismatch(message));
    }
    if words(wanted) == words(&found.name) {
        return None;
    }
    let message = format!("{what} is `{found}`, not `{wanted}`");
    let Some(known) = image.type_named(&words(wanted)).or_else(|| scalar(&words(wanted))) else {
        let mut problem = mismatch(format!("{message}, which the object does not have"));
        if found.name.split_once(' ').is_some_and(|(_, name)| name == wanted.trim()) {
            problem = problem.help(format!("C names it with its tag: `{found}`"));
        }
        return Some(problem);
    };
    match type_difference(found, &known) {
        // A typedef, or another name of the same integer.
        None if !(is_tagged(wanted) && is_tagged(&found.name)) => None,
        None => Some(mismatch(format!("{message}, though both are laid out alike"))),
        Some(difference) if is_struct(found) && is_struct(&known) => {
            Some(mismatch(format!("{message}: {difference}")))
        }
        Some(_) => Some(mismatch(message)),
    }
}

fn is_tagged(name: &str) -> bool {
    ["struct ", "union ", "enum "].iter().any(|tag| name.trim_start().starts_with(tag))
}

fn is_struct(ctype: &CType) -> bool {
    matches!(ctype.kind, CTypeKind::Struct { .. })
}

fn mismatch(message: String) -> Problem {
    Problem::error(code::EXPECT_MISMATCH, None, message)
        .label("expected here")
        .help("the object's map definition in C decides; change it, or what is expected")
}

/// A type's name with one space between two words and none elsewhere.
fn words(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for word in name.split_whitespace() {
        let joins = |c: char| c.is_alphanumeric() || c == '_';
        if text.ends_with(joins) && word.starts_with(joins) {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn spaces_do_not_count() {
        assert_eq!(words("struct  flow_key"), "struct flow_key");
        assert_eq!(words(" char [ 16 ] "), words("char[16]"));
        assert_ne!(words("unsigned int"), words("unsignedint"));
    }
}
