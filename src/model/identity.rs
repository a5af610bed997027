//! What names one object of the kernel.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Kinds of objects that bpf(2) hands out. The kernel counts the ids of each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// A map.
    Map,
    /// A program.
    Program,
    /// A link.
    Link,
    /// A BTF.
    Btf,
}

impl ObjectKind {
    const ALL: [Self; 4] = [Self::Map, Self::Program, Self::Link, Self::Btf];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Program => "program",
            Self::Link => "link",
            Self::Btf => "btf",
        }
    }
}

/// Names one object of the kernel, as long as it lives: map 7 and link 7 have nothing to do with each
/// other. In records it is text, such as `map:7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Identity {
    /// What it is.
    pub kind: ObjectKind,
    /// The kernel's id.
    pub id: u32,
}

impl Identity {
    /// The map with that id.
    #[must_use]
    pub fn map(id: u32) -> Self {
        Self { kind: ObjectKind::Map, id }
    }

    /// The program with that id.
    #[must_use]
    pub fn program(id: u32) -> Self {
        Self { kind: ObjectKind::Program, id }
    }

    /// The link with that id.
    #[must_use]
    pub fn link(id: u32) -> Self {
        Self { kind: ObjectKind::Link, id }
    }
}

/// For messages.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.id)
    }
}

impl From<Identity> for String {
    fn from(identity: Identity) -> Self {
        format!("{}:{}", identity.kind.as_str(), identity.id)
    }
}

impl TryFrom<String> for Identity {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed = text.split_once(':').and_then(|(word, id)| {
            let kind = ObjectKind::ALL.into_iter().find(|kind| kind.as_str() == word)?;
            Some(Self { kind, id: id.parse().ok()? })
        });
        parsed.ok_or_else(|| format!("`{text}` names no object of the kernel, as `map:7` does"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_tell_the_kind_with_the_id() {
        for kind in ObjectKind::ALL {
            let identity = Identity { kind, id: 7 };
            let text = serde_json::to_string(&identity).expect("JSON");
            assert_eq!(text, format!("\"{}:7\"", kind.as_str()));
            assert_eq!(serde_json::from_str::<Identity>(&text).expect("it was written"), identity);
        }
        for text in ["\"7\"", "\"map\"", "\"map:\"", "\"map:-7\"", "\"pin:7\"", "7"] {
            assert!(serde_json::from_str::<Identity>(text).is_err(), "{text}");
        }
    }
}
