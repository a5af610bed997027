//! `ebpf-apply plan`

use crate::kernel::linux::Linux;
use crate::view;

use super::ExitStatus;
use super::args::PlanArgs;
use super::context::Context;
use super::failure::failed;

pub(super) fn run(args: &PlanArgs, context: &Context) -> ExitStatus {
    let desired = match context.desired(&args.manifest, context.exposed().for_reading()) {
        Ok(desired) => desired,
        Err(status) => return status,
    };
    let kernel = match Linux::with_btf(args.btf.as_deref()) {
        Ok(kernel) => kernel,
        Err(error) => return failed(Some(&desired.name), &error.into(), context),
    };
    let host = context.host(&kernel);
    let plan = if args.adopt { host.plan_adoption(&desired) } else { host.plan(&desired) };
    let plan = match plan {
        Ok(plan) => plan,
        Err(error) => return failed(Some(&desired.name), &error, context),
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
