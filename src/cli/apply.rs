//! `ebpf-apply apply`, and `ebpf-apply MANIFEST`

use std::fs;
use std::path::Path;

use crate::apply::{Applied, Holder};
use crate::kernel::VerifierLog;
use crate::kernel::linux::Linux;
use crate::model::name::Name;
use crate::plan::{Adoption, Plan};
use crate::view;
use crate::view::plan::{Outcome, RunResult};

use super::ExitStatus;
use super::args::ApplyArgs;
use super::context::Context;
use super::failure::{failed, nothing};
use super::hold::{self, Ending};

pub(super) fn run(args: &ApplyArgs, adoption: Adoption, context: &Context) -> ExitStatus {
    let desired = match context.desired(&args.manifest, context.exposed()) {
        Ok(desired) => desired,
        Err(status) => return status,
    };
    let name = desired.name.clone();
    let ending = match Ending::new(context) {
        Ok(ending) => ending,
        Err(status) => return status,
    };
    let _holder = match Holder::take(&context.state, &name) {
        Ok(holder) => holder,
        Err(error) => return failed(Some(&name), &error.into(), context),
    };
    let kernel = match Linux::with_btf(args.btf.as_deref()) {
        Ok(kernel) => kernel,
        Err(error) => return failed(Some(&name), &error.into(), context),
    };
    let host = context.host(&kernel);
    let show = &mut |plan: &Plan| show(&name, plan, context);
    let applied = match adoption {
        Adoption::Never => host.apply(&desired, show),
        Adoption::Foreign => host.adopt(&desired, show),
    };
    let applied = match applied {
        Ok(applied) => applied,
        Err(error) => {
            if let (Some(directory), Some(log)) = (&args.verifier_log, error.verifier_log()) {
                keep(directory, log, context);
            }
            return failed(Some(&name), &error, context);
        }
    };
    report(&name, &applied, args.detach, context);
    if args.detach {
        return ExitStatus::Ok;
    }
    let root = desired.pin_root.clone();
    drop((desired, applied));
    ending.wait();
    hold::end(&host, (&name, Some(&root)), false, context)
}

/// Writes a log of the verifier to a file of its own and says where.
fn keep(directory: &Path, log: &VerifierLog, context: &Context) {
    let path = directory.join(format!("{}.{}.log", log.object, log.program));
    let written = fs::create_dir_all(directory).and_then(|()| fs::write(&path, &log.text));
    context.complain(|style| view::failure::kept(&path, &written, style));
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
        ..nothing(Some(name), &applied.plan.changes)
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
