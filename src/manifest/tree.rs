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
