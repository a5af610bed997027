//! The manifest's schema as an expression of `manifest::tree::Tree`: reading its JSON at every start would
//! cost more than validating a small manifest.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use serde_json::Value;

const SCHEMA: &str = "schema/ebpf-apply-v1.schema.json";

/// Writes it into `out`.
pub(crate) fn write(cargo: &mut impl io::Write, out: &Path) -> io::Result<()> {
    writeln!(cargo, "cargo::rerun-if-changed={SCHEMA}")?;
    let schema = serde_json::from_str(&fs::read_to_string(SCHEMA)?)?;
    let mut tree = String::new();
    write_tree(&mut tree, &schema, Keys::Keywords);
    fs::write(out.join("schema_tree.rs"), tree)
}

/// What the keys of a JSON object are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// Keywords of JSON schema.
    Keywords,
    /// Names that the schema describes.
    Names,
}

/// Writes a value as an expression of `manifest::tree::Tree`, without the keywords that are for
/// people and editors only.
fn write_tree(out: &mut String, value: &Value, keys: Keys) {
    const UNREAD: [&str; 6] = ["$id", "$schema", "default", "description", "pattern", "title"];
    // Writing to a string cannot fail.
    let _ = match value {
        Value::Null => unreachable!("TOML has no null, and so the schema has none"),
        Value::Bool(value) => write!(out, "Tree::Bool({value})"),
        Value::Number(number) => write!(out, "Tree::Number({number})"),
        Value::String(text) => write!(out, "Tree::Text({text:?})"),
        Value::Array(list) => {
            out.push_str("Tree::List(&[");
            for value in list {
                write_tree(out, value, Keys::Keywords);
                out.push(',');
            }
            write!(out, "])")
        }
        Value::Object(table) => {
            out.push_str("Tree::Table(&[");
            let unread = |key: &str| keys == Keys::Keywords && UNREAD.contains(&key);
            for (key, value) in table.iter().filter(|(key, _)| !unread(key)) {
                let names =
                    keys == Keys::Keywords && matches!(key.as_str(), "properties" | "definitions");
                let _ = write!(out, "({key:?},");
                write_tree(out, value, if names { Keys::Names } else { Keys::Keywords });
                out.push_str("),");
            }
            write!(out, "])")
        }
    };
}
