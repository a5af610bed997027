//! `ebpf-apply apply`, and `ebpf-apply MANIFEST`

use crate::apply::{Applied, Holder};
use crate::kernel::linux::Linux;
use crate::model::name::Name;
use crate::plan::Plan;
use crate::view;
use crate::view::plan::{Outcome, RunResult};

use super::ExitStatus;
use super::args::ApplyArgs;
use super::context::{Context, Rejected};
use super::hold::{self, Ending};

pub(super) fn run(args: &ApplyArgs, context: &Context) -> ExitStatus {
    let (_, desired) = match context.desired(&args.manifest) {
        Ok(desired) => desired,
        Err(rejected) => return invalid(&rejected, context),
    };
    let name = desired.name.clone();
    let ending = match Ending::new() {
        Ok(ending) => ending,
        Err(error) => {
            context.complain(&format!("error: cannot catch signals: {error}\n"));
            return ExitStatus::Failed;
        }
    };
    let _holder = match Holder::take(&context.state, &name) {
        Ok(holder) => holder,
        Err(error) => return hold::failed(Some(&name), &error.into(), context),
    };
    let kernel = Linux::new();
    let host = context.host(&kernel);
    let applied = host.apply(&desired, &mut |plan| show(&name, plan, context));
    let applied = match applied {
        Ok(applied) => applied,
        Err(error) => return hold::failed(Some(&name), &error, context),
    };
    report(&name, &applied, args.detach, context);
    if args.detach {
        return ExitStatus::Ok;
    }
    drop((desired, applied));
    ending.wait();
    hold::end(&host, &name, false, context)
}

fn show(name: &Name, plan: &Plan, context: &Context) {
    context.remark(|style| {
        format!(
            "deployment `{name}`, pins below {}\n\n{}",
            plan.after.pin_root,
            view::plan::human(plan, style)
        )
    });
}

fn report(name: &Name, applied: &Applied, detach: bool, context: &Context) {
    let unchanged = applied.plan.is_unchanged();
    let result = RunResult {
        outcome: if unchanged { Outcome::Unchanged } else { Outcome::Applied },
        generation: Some(applied.generation),
        ..hold::nothing(Some(name), &applied.plan.changes)
    };
    context.result(
        |_| {
            let done = if unchanged { "unchanged at" } else { "applied as" };
            let next = if detach {
                "it stays in the kernel; `ebpf-apply destroy` ends it"
            } else {
                "held until SIGINT or SIGTERM, which ends it by pin policy"
            };
            format!("deployment `{name}` {done} generation {}; {next}\n", applied.generation)
        },
        || view::plan::result_json(&result),
    );
}

fn invalid(rejected: &Rejected, context: &Context) -> ExitStatus {
    if let Rejected::Invalid(checked) = rejected {
        let result = RunResult {
            outcome: Outcome::Invalid,
            problems: view::problems::problems_json(&checked.report()),
            ..hold::nothing(None, &[])
        };
        context.result(|_| String::new(), || view::plan::result_json(&result));
    }
    rejected.into()
}
