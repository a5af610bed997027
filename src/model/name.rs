//! Names of deployments, objects and path components.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest name, in bytes.
pub const NAME_MAX: usize = 63;

/// A name that is safe as one component of a path on bpffs: `[A-Za-z0-9_-]{1,63}`.
///
/// bpffs refuses a `.` anywhere in a component with `EPERM` (`bpf_lookup` in `kernel/bpf/inode.c`);
/// a leading `~` is kept for our own directories and is outside the alphabet anyway.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(String);

/// Why a string is no [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The string is empty.
    #[error("a name cannot be empty")]
    Empty,
    /// The string is longer than [`NAME_MAX`] bytes.
    #[error("a name has at most {NAME_MAX} characters, this one has {0}")]
    TooLong(usize),
    /// A character outside `[A-Za-z0-9_-]`.
    #[error("a name is made of letters, digits, `_` and `-`; `{0}` is none of these")]
    Character(char),
}

impl Name {
    /// Checks the grammar.
    ///
    /// # Errors
    /// A [`NameError`] that says which part of the grammar is broken.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if let Some(illegal) = text.chars().find(|c| !legal(*c)) {
            return Err(NameError::Character(illegal));
        }
        if text.len() > NAME_MAX {
            return Err(NameError::TooLong(text.len()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        assert_eq!(Name::new("edge-1_a").map(|n| n.to_string()), Ok("edge-1_a".into()));
        assert_eq!(Name::new(""), Err(NameError::Empty));
        assert_eq!(Name::new("a.b"), Err(NameError::Character('.')));
        assert_eq!(Name::new("a/b"), Err(NameError::Character('/')));
        assert_eq!(Name::new("~a"), Err(NameError::Character('~')));
        assert_eq!(Name::new("ä"), Err(NameError::Character('ä')));
        assert_eq!(Name::new(&"x".repeat(64)), Err(NameError::TooLong(64)));
        assert!(Name::new(&"x".repeat(63)).is_ok());
    }
}
