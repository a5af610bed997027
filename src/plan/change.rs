//! Changes: what a plan says to people.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::address::Address;

/// What happens to one resource, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which resource.
    pub address: Address,
    /// The verdict.
    pub action: Action,
    /// Why, in words. For people only: nothing decides by it.
    pub reason: String,
    /// The state found, where there is one.
    pub before: Option<String>,
    /// The state wanted, where there is one.
    pub after: Option<String>,
}

/// The verdict on one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is as wanted.
    NoOp,
    /// It is attached once its target appears.
    Wait,
    /// It does not exist and is made.
    Create,
    /// It exists with the right shape and is used.
    Adopt,
    /// It is changed in place.
    Update,
    /// A new one takes its place.
    Replace,
    /// A new one takes its place, with its contents.
    Migrate,
    /// Its pin is renamed.
    Move,
    /// It is removed.
    Delete,
    /// It stays, and is no longer ours to keep in order.
    Forget,
    /// It cannot be done; nothing of the plan is.
    Refuse,
}

impl Action {
    /// Whether nothing is to be done for now.
    #[must_use]
    pub fn is_at_rest(self) -> bool {
        matches!(self, Self::NoOp | Self::Wait)
    }

    /// The word used in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoOp => "no-op",
            Self::Wait => "wait",
            Self::Create => "create",
            Self::Adopt => "adopt",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Migrate => "migrate",
            Self::Move => "move",
            Self::Delete => "delete",
            Self::Forget => "forget",
            Self::Refuse => "refuse",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Change {
    /// A verdict with its reason.
    #[must_use]
    pub fn new(address: Address, action: Action, reason: impl Into<String>) -> Self {
        Self { address, action, reason: reason.into(), before: None, after: None }
    }

    /// Adds the state found.
    #[must_use]
    pub fn before(mut self, before: impl Into<String>) -> Self {
        self.before = Some(before.into());
        self
    }

    /// Adds the state wanted.
    #[must_use]
    pub fn after(mut self, after: impl Into<String>) -> Self {
        self.after = Some(after.into());
        self
    }
}

/// How many changes of each action there are, those that occur only.
#[must_use]
pub fn summarise(changes: &[Change]) -> BTreeMap<Action, usize> {
    let mut counts = BTreeMap::new();
    for change in changes {
        *counts.entry(change.action).or_default() += 1;
    }
    counts
}
