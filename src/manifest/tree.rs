//! The schema as a tree of constants, made when the program is built: reading its JSON at every
//! start would cost more than all the rest of validating a small manifest.

/// A JSON value.
#[derive(Debug, PartialEq)]
pub(super) enum Tree {
    Bool(bool),
    Number(i128),
    Text(&'static str),
    List(&'static [Tree]),
    /// In the order of the text.
    Table(&'static [(&'static str, Tree)]),
}

/// The manifest's schema without what is only for people: descriptions, titles, patterns.
#[expect(clippy::unreadable_literal, reason = "a program wrote it for the compiler")]
pub(super) static TREE: Tree = include!(concat!(env!("OUT_DIR"), "/schema_tree.rs"));

impl Tree {
    /// The value of a key, if this is a table that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.table().iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The text, if this is one.
    pub(super) fn text(&self) -> Option<&'static str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if this is one.
    pub(super) fn number(&self) -> Option<i128> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The values of a list; none of anything else.
    pub(super) fn list(&self) -> &'static [Self] {
        match self {
            Self::List(list) => list,
            _ => &[],
        }
    }

    /// The keys and values of a table; none of anything else.
    pub(super) fn table(&self) -> &'static [(&'static str, Self)] {
        match self {
            Self::Table(table) => table,
            _ => &[],
        }
    }
}
