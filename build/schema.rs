//! The manifest's schema as the constants that `manifest::tree` is: reading its JSON at every start would
//! cost more than validating a small manifest.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

use serde_json::Value;

const SCHEMA: &str = "schema/ebpf-apply-v1.schema.json";

/// Writes them into `out`.
pub(crate) fn write(cargo: &mut impl io::Write, out: &Path) -> io::Result<()> {
    writeln!(cargo, "cargo::rerun-if-changed={SCHEMA}")?;
    let schema = serde_json::from_str(&fs::read_to_string(SCHEMA)?)?;
    fs::write(out.join("schema_tree.rs"), Tables::of(&schema).source())
}

/// What the keys of a JSON object are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// Keywords of JSON schema.
    Keywords,
    /// Names that the schema describes.
    Names,
}

/// Without the keywords that are for people and editors only.
const UNREAD: [&str; 6] = ["$id", "$schema", "default", "description", "pattern", "title"];

/// What refers to each other by place.
#[derive(Default)]
struct Tables {
    /// All strings, one behind the other.
    text: String,
    known: BTreeMap<String, String>,
    numbers: Vec<i128>,
    /// The values with their keys, as Rust. Those of a list or table are neighbours.
    nodes: Vec<(String, String)>,
}

impl Tables {
    fn of(schema: &Value) -> Self {
        let mut tables = Self::default();
        let mut waiting = VecDeque::from([(tables.place(""), schema, Keys::Keywords)]);
        while let Some((at, value, keys)) = waiting.pop_front() {
            let first = tables.nodes.len();
            tables.nodes[at].1 = match value {
                Value::Null => unreachable!("TOML has no null, and so the schema has none"),
                Value::Bool(_) => "Value::Bool".to_owned(),
                Value::Number(number) => {
                    tables.numbers.push(number.as_i128().expect("bounds are integers"));
                    format!("Value::Number({})", tables.numbers.len() - 1)
                }
                Value::String(text) => format!("Value::Text({})", tables.text(text)),
                Value::Array(list) => {
                    for value in list {
                        waiting.push_back((tables.place(""), value, Keys::Keywords));
                    }
                    format!("Value::List({})", span(first, list.len()))
                }
                Value::Object(table) => {
                    let unread = |key: &str| keys == Keys::Keywords && UNREAD.contains(&key);
                    for (key, value) in table.iter().filter(|(key, _)| !unread(key)) {
                        let names = keys == Keys::Keywords
                            && matches!(key.as_str(), "properties" | "definitions");
                        let keys = if names { Keys::Names } else { Keys::Keywords };
                        waiting.push_back((tables.place(key), value, keys));
                    }
                    format!("Value::Table({})", span(first, tables.nodes.len() - first))
                }
            };
        }
        tables
    }

    /// The next place among the nodes, for the value of that key.
    fn place(&mut self, key: &str) -> usize {
        let key = self.text(key);
        self.nodes.push((key, String::new()));
        self.nodes.len() - 1
    }

    /// Where a string is, as Rust.
    fn text(&mut self, text: &str) -> String {
        let Self { text: all, known, .. } = self;
        let place = known.entry(text.to_owned()).or_insert_with(|| {
            all.push_str(text);
            span(all.len() - text.len(), text.len())
        });
        place.clone()
    }

    fn source(&self) -> String {
        let Self { text, numbers, nodes, .. } = self;
        let mut source = format!("static TEXT: &str = {text:?};\n");
        // Writing to a string cannot fail.
        let allow =
            "clippy::unreadable_literal, reason = \"a program wrote them for the compiler\"";
        let _ = writeln!(source, "#[expect({allow})]");
        let _ = writeln!(source, "static NUMBERS: [i128; {}] = {numbers:?};", numbers.len());
        let _ = writeln!(source, "static NODES: [Node; {}] = [", nodes.len());
        for (key, value) in nodes {
            let _ = writeln!(source, "Node {{ key: {key}, value: {value} }},");
        }
        source.push_str("];\n");
        source
    }
}

fn span(first: usize, count: usize) -> String {
    format!("Span {{ first: {first}, count: {count} }}")
}
