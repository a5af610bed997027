//! `ebpf-apply plan`

use crate::apply::Keeper;
use crate::plan::{Adoption, SavedPlan, capabilities};
use crate::view;

use super::ExitStatus;
use super::args::PlanArgs;
use super::common::Format;
use super::context::Context;
use super::failure::failed;
use super::kernel;
use super::saved;
use super::terms::Terms;

pub(super) fn run(args: &PlanArgs, context: &Context) -> ExitStatus {
    plan(args, context).unwrap_or_else(|status| status)
}

fn plan(args: &PlanArgs, context: &Context) -> Result<ExitStatus, ExitStatus> {
    // A saved plan finds its manifest from anywhere.
    let manifest = match &args.out {
        Some(_) => std::path::absolute(&args.manifest).unwrap_or_else(|_| args.manifest.clone()),
        None => args.manifest.clone(),
    };
    let terms = Terms::of(&args.trust, context.exposed().for_reading(), context)?;
    let desired = context.desired(&manifest, &terms)?;
    let kernel = kernel::running(args.btf.as_deref(), terms.exposed)
        .map_err(|error| failed(Some(&desired.name), &error.into(), context))?;
    // As for a run that holds what it makes.
    let keeper = Keeper::default();
    let host = context.host(&kernel, Some(&keeper));
    let adoption = if args.adopt { Adoption::Foreign } else { Adoption::Never };
    let plan = if args.adopt { host.plan_adoption(&desired) } else { host.plan(&desired) };
    let plan = plan.map_err(|error| failed(Some(&desired.name), &error, context))?;
    let needs = capabilities(&desired, &plan.steps);
    match context.format {
        Format::Markdown => context.print(&view::plan::markdown(&desired.name, &plan, &needs)),
        _ => context.result(
            |style| view::plan::human(&plan, style) + &view::plan::needs(&needs),
            || view::plan::json(&desired.name, &plan, &needs),
        ),
    }
    if plan.is_refused() {
        return Ok(ExitStatus::Failed);
    }
    let unchanged = plan.is_unchanged();
    if let Some(path) = &args.out {
        saved::write(path, &SavedPlan::new(plan, adoption), context)?;
    }
    Ok(if args.detailed_exitcode && !unchanged { ExitStatus::Changes } else { ExitStatus::Ok })
}
