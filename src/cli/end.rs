//! Ending a deployment.

use crate::apply::Host;
use crate::kernel::Kernel;
use crate::model::name::Name;
use crate::model::pin::PinRoot;
use crate::view;
use crate::view::plan::{Outcome, RunResult};

use super::ExitStatus;
use super::context::Context;
use super::failure::{failed, nothing};

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
            context
                .result(|_| view::plan::done(&result, None), || view::plan::result_json(&result));
            ExitStatus::Ok
        }
        Err(error) => failed(Some(name), &error, context),
    }
}
