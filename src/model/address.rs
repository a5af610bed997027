//! Addresses: the names by which plans, inventories and results speak of a deployment's resources.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::attach::Attachment;
use super::name::Name;

/// `map.<object>.<map>`, `program.<object>.<program>` or `link.<object>.<program>[<hook>:<target>]`.
///
/// Stable over reloads: it holds names only, never a position or a kernel id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

impl Address {
    /// Of a map.
    #[must_use]
    pub fn map(object: &Name, map: &str) -> Self {
        Self(format!("map.{object}.{map}"))
    }

    /// Of a program.
    #[must_use]
    pub fn program(object: &Name, program: &str) -> Self {
        Self(format!("program.{object}.{program}"))
    }

    /// Of one attachment of a program.
    #[must_use]
    pub fn link(object: &Name, program: &str, attachment: &Attachment) -> Self {
        Self(format!("link.{object}.{program}[{attachment}]"))
    }

    /// Of an attachment at a place written as [`Attachment`] prints it.
    #[must_use]
    pub fn link_at(object: &str, program: &str, place: &str) -> Self {
        Self(format!("link.{object}.{program}[{place}]"))
    }

    /// Of a pin that belongs to no resource any more.
    #[must_use]
    pub fn pin(path: &str) -> Self {
        Self(format!("pin.{path}"))
    }

    /// Of the pin root itself, for what concerns the whole deployment.
    #[must_use]
    pub fn pin_root() -> Self {
        Self("pin-root".to_owned())
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
