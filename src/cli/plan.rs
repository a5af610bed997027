//! `ebpf-apply plan`

use crate::kernel::linux::Linux;
use crate::view;

use super::ExitStatus;
use super::args::PlanArgs;
use super::context::Context;

pub(super) fn run(args: &PlanArgs, context: &Context) -> ExitStatus {
    let (_, desired) = match context.desired(&args.manifest) {
        Ok(desired) => desired,
        Err(rejected) => return (&rejected).into(),
    };
    let kernel = Linux::new();
    let plan = match context.host(&kernel).plan(&desired) {
        Ok(plan) => plan,
        Err(error) => return context.failed(&error),
    };
    context
        .result(|style| view::plan::human(&plan, style), || view::plan::json(&desired.name, &plan));
    if plan.is_refused() {
        ExitStatus::Failed
    } else if args.detailed_exitcode && !plan.is_unchanged() {
        ExitStatus::Changes
    } else {
        ExitStatus::Ok
    }
}
