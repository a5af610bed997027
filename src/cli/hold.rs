//! Holding a deployment in the foreground, and ending one.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::apply::{ApplyError, Host};
use crate::kernel::Kernel;
use crate::model::name::Name;
use crate::plan::Change;
use crate::view::plan::{Outcome, RunResult};
use crate::view::{self, failure};

use super::ExitStatus;
use super::context::Context;

/// The signals that end a held deployment, caught from the moment this is made: one that arrives
/// during an apply waits until the apply is done.
pub(super) struct Ending(Signals);

impl Ending {
    pub(super) fn new() -> std::io::Result<Self> {
        Signals::new([SIGINT, SIGTERM]).map(Self)
    }

    /// Waits for the first of them.
    pub(super) fn wait(mut self) {
        self.0.forever().next();
    }
}

/// Ends a deployment and says how that went.
pub(super) fn end<K: Kernel>(
    host: &Host<'_, K>,
    name: &Name,
    purge: bool,
    context: &Context,
) -> ExitStatus {
    let ended = host.end(name, purge, &mut |plan| {
        context.remark(|style| view::plan::human(plan, style));
    });
    match ended {
        Ok(applied) => {
            let result = RunResult {
                outcome: Outcome::Ended,
                generation: Some(applied.generation),
                ..nothing(Some(name), &applied.plan.changes)
            };
            context.result(
                |_| format!("deployment `{name}` has ended\n"),
                || view::plan::result_json(&result),
            );
            ExitStatus::Ok
        }
        Err(error) => failed(Some(name), &error, context),
    }
}

/// Says that a run failed, on standard error for people and as a result for programs.
pub(super) fn failed(name: Option<&Name>, error: &ApplyError, context: &Context) -> ExitStatus {
    let status = context.failed(error);
    let (outcome, changes): (_, &[Change]) = match error {
        ApplyError::Refused(plan) => (Outcome::Refused, &plan.changes),
        ApplyError::Stuck { .. } => (Outcome::Stuck, &[]),
        _ => (Outcome::Failed, &[]),
    };
    let result = RunResult {
        outcome,
        problems: failure::problems_json(error),
        rolled_back: matches!(error, ApplyError::Failed(_) | ApplyError::Unverified(_)),
        ..nothing(name, changes)
    };
    context.result(|_| String::new(), || view::plan::result_json(&result));
    status
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
