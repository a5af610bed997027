//! What every command but `validate` says when it fails: words on standard error for people, one
//! document on standard output for programs.

use crate::apply::ApplyError;
use crate::model::name::Name;
use crate::plan::Change;
use crate::view::plan::{Outcome, RunResult};
use crate::view::{self, failure, problems};

use super::ExitStatus;
use super::checked::Checked;
use super::context::Context;

/// A run failed.
pub(super) fn failed(name: Option<&Name>, error: &ApplyError, context: &Context) -> ExitStatus {
    context.complain(|style| view::failure::human(error, style));
    let (outcome, changes): (_, &[Change]) = match error {
        ApplyError::Refused(plan) => (Outcome::Refused, &plan.changes),
        ApplyError::Stuck { .. } => (Outcome::Stuck, &[]),
        _ => (Outcome::Failed, &[]),
    };
    let result = RunResult {
        outcome,
        problems: failure::problems_json(error),
        rolled_back: error.rolled_back(),
        ..nothing(name, changes)
    };
    context.result(|_| String::new(), || view::plan::result_json(&result));
    error.into()
}

/// The manifest or an object is invalid.
pub(super) fn invalid(name: Option<&Name>, checked: &Checked, context: &Context) -> ExitStatus {
    context.complain(|style| problems::human(&checked.report(), style));
    let result = RunResult {
        outcome: Outcome::Invalid,
        problems: problems::problems_json(&checked.report()),
        ..nothing(name, &[])
    };
    context.result(|_| String::new(), || view::plan::result_json(&result));
    ExitStatus::Invalid
}

/// A result with nothing but a name and changes.
pub(super) fn nothing<'r>(name: Option<&'r Name>, changes: &'r [Change]) -> RunResult<'r> {
    RunResult {
        name,
        outcome: Outcome::Unchanged,
        generation: None,
        changes,
        problems: Vec::new(),
        rolled_back: false,
    }
}
