//! The schema as a tree of constants, made when the program is built (`build/schema.rs`): reading its
//! JSON at every start would cost more than all the rest of validating a small manifest.
//!
//! Its parts refer to each other by place and not by address: each address would be work, and each page
//! of them a copy, whenever the program starts.

/// A JSON value of the manifest's schema, without what is only for people: descriptions, titles, patterns.
#[derive(Clone, Copy)]
pub(super) struct Tree(&'static Node);

/// A value with its key, if it is in a table.
struct Node {
    key: Span,
    value: Value,
}

enum Value {
    /// Which of the two, nobody asks.
    Bool,
    /// The place among [`NUMBERS`].
    Number(u16),
    Text(Span),
    List(Span),
    /// In the order of the schema's text.
    Table(Span),
}

/// Some bytes of [`TEXT`], or neighbours among [`NODES`].
#[derive(Clone, Copy)]
struct Span {
    first: u16,
    count: u16,
}

include!(concat!(env!("OUT_DIR"), "/schema_tree.rs"));

impl Span {
    fn of<T: ?Sized + std::ops::Index<std::ops::Range<usize>>>(self, all: &T) -> &T::Output {
        let first = usize::from(self.first);
        &all[first..first + usize::from(self.count)]
    }
}

impl Tree {
    /// The whole schema.
    pub(super) fn schema() -> Self {
        Self(&NODES[0])
    }

    /// The value of a key, if this is a table that has it.
    pub(super) fn get(self, key: &str) -> Option<Self> {
        self.table().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The text, if this is one.
    pub(super) fn text(self) -> Option<&'static str> {
        match self.0.value {
            Value::Text(text) => Some(text.of(TEXT)),
            _ => None,
        }
    }

    /// The number, if this is one.
    pub(super) fn number(self) -> Option<i128> {
        match self.0.value {
            Value::Number(at) => NUMBERS.get(usize::from(at)).copied(),
            _ => None,
        }
    }

    /// Whether this is a table.
    pub(super) fn is_table(self) -> bool {
        matches!(self.0.value, Value::Table(_))
    }

    /// The values of a list; none of anything else.
    pub(super) fn list(self) -> impl Iterator<Item = Self> {
        let nodes = match self.0.value {
            Value::List(nodes) => nodes.of(NODES.as_slice()),
            _ => &[],
        };
        nodes.iter().map(Self)
    }

    /// The keys and values of a table; none of anything else.
    pub(super) fn table(self) -> impl Iterator<Item = (&'static str, Self)> {
        let nodes = match self.0.value {
            Value::Table(nodes) => nodes.of(NODES.as_slice()),
            _ => &[],
        };
        nodes.iter().map(|node| (node.key.of(TEXT), Self(node)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Number, Value as Json};

    use super::{Tree, Value};

    /// The tree as JSON; every bool becomes true.
    fn told(tree: Tree) -> Json {
        match tree.0.value {
            Value::Bool => Json::Bool(true),
            Value::Number(_) => {
                let number = tree.number().and_then(Number::from_i128);
                Json::Number(number.expect("a bound of 64 bits"))
            }
            Value::Text(_) => Json::from(tree.text().expect("a text")),
            Value::List(_) => tree.list().map(told).collect(),
            Value::Table(_) => {
                let entries = tree.table().map(|(key, value)| (key.to_owned(), told(value)));
                Json::Object(entries.collect())
            }
        }
    }

    /// A schema without the keywords that nobody reads, every bool true.
    fn read(schema: &Json) -> Json {
        const UNREAD: [&str; 6] = ["$id", "$schema", "default", "description", "pattern", "title"];
        let named = |table: &Map<String, Json>| {
            table.iter().map(|(name, schema)| (name.clone(), read(schema))).collect()
        };
        match schema {
            Json::Bool(_) => Json::Bool(true),
            Json::Array(list) => list.iter().map(read).collect(),
            Json::Object(table) => {
                let mut keywords = table.clone();
                keywords.retain(|keyword, _| !UNREAD.contains(&keyword.as_str()));
                for (keyword, value) in &mut keywords {
                    *value = match (keyword.as_str(), &*value) {
                        ("properties" | "definitions", Json::Object(table)) => {
                            Json::Object(named(table))
                        }
                        _ => read(value),
                    };
                }
                Json::Object(keywords)
            }
            other => other.clone(),
        }
    }

    #[test]
    fn is_the_whole_schema() {
        let schema = include_str!("../../schema/ebpf-apply-v1.schema.json");
        let schema = serde_json::from_str(schema).expect("JSON");
        assert_eq!(told(Tree::schema()), read(&schema));
    }
}
