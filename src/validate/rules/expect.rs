//! What the manifest expects of a map's type, key and value.

use crate::manifest::{Expect, KeyPath};
use crate::model::code;
use crate::model::ctype::CType;
use crate::model::map::MapSpec;
use crate::model::problem::Problem;
use crate::validate::findings::Findings;

/// Holds `wanted` against the object's declaration; `at` is where the manifest says it.
pub(in crate::validate) fn check(
    at: &KeyPath,
    wanted: &Expect,
    map: &MapSpec,
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
        let found = match declared {
            Some(found) if same_type(wanted, found) => continue,
            Some(found) => format!("`{found}`"),
            None if size == 0 => "nothing".to_owned(),
            None => format!("{size} bytes without a type"),
        };
        let message = format!("the {part} of map `{}` is {found}, not `{wanted}`", map.name);
        findings.at_value(&at.key(part), mismatch(message));
    }
}

fn mismatch(message: String) -> Problem {
    Problem::error(code::EXPECT_MISMATCH, None, message)
        .label("expected here")
        .help("the object's map definition in C decides; change it, or what is expected")
}

/// Types are compared by name, spaces aside.
fn same_type(wanted: &str, found: &CType) -> bool {
    words(wanted) == words(&found.name)
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
