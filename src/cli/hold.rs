//! Holding a deployment in the foreground, and ending one.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::apply::Host;
use crate::kernel::Kernel;
use crate::model::name::Name;
use crate::model::pin::PinRoot;
use crate::view;
use crate::view::plan::{Outcome, RunResult};

use super::ExitStatus;
use super::context::Context;
use super::failure::{failed, nothing};

/// The signals that end a held deployment, caught from the moment this is made: one that arrives
/// during an apply, or while a deployment ends, waits until that is done.
pub(super) struct Ending(Signals);

impl Ending {
    pub(super) fn new(context: &Context) -> Result<Self, ExitStatus> {
        Signals::new([SIGINT, SIGTERM]).map(Self).map_err(|error| {
            let text = format!("cannot catch signals: {error}");
            context.complain(|style| format!("{}: {text}\n", style.red("error")));
            ExitStatus::Failed
        })
    }

    /// Waits for the first of them.
    pub(super) fn wait(mut self) {
        self.0.forever().next();
    }
}

/// Ends a deployment and says how that went.
pub(super) fn end<K: Kernel>(
    host: &Host<'_, K>,
    (name, root): (&Name, Option<&PinRoot>),
    purge: bool,
    context: &Context,
) -> ExitStatus {
    let ended = host.end(name, root, purge, &mut |plan| {
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
