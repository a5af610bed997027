//! `ebpf-apply apply`, and `ebpf-apply MANIFEST`

use std::path::Path;
use std::time::Instant;

use crate::plan::Adoption;
use crate::watch::{Options, Watcher};

use super::ExitStatus;
use super::args::ApplyArgs;
use super::checked::Checked;
use super::context::Context;
use super::files::Files;
use super::hold::Hold;
use super::saved;
use super::session::{Order, Session};
use super::signals::Signals;

pub(super) fn run(args: &ApplyArgs, context: &Context) -> ExitStatus {
    let order = match (&args.manifest, &args.plan) {
        (Some(manifest), _) => Ok((manifest.clone(), Order::Converge(args.on_drift.into()))),
        (None, Some(plan)) => saved::read(plan, context)
            .map(|saved| (saved.plan.after.manifest.clone(), Order::CarryOut(Box::new(saved)))),
        (None, None) => Err(context.misused("a manifest or a saved plan is needed")),
    };
    match order {
        Ok((manifest, order)) => carry_out(&manifest, &order, args, context),
        Err(status) => status,
    }
}

/// `ebpf-apply adopt`.
pub(super) fn adopt(manifest: &Path, args: &ApplyArgs, context: &Context) -> ExitStatus {
    carry_out(manifest, &Order::Converge(Adoption::Foreign), args, context)
}

fn carry_out(manifest: &Path, order: &Order, args: &ApplyArgs, context: &Context) -> ExitStatus {
    apply(manifest, order, args, context).unwrap_or_else(|status| status)
}

fn apply(
    manifest: &Path,
    order: &Order,
    args: &ApplyArgs,
    context: &Context,
) -> Result<ExitStatus, ExitStatus> {
    let (watcher, checked) = if args.watch {
        let options =
            Options { method: args.watch_method.into(), poll_interval: args.poll_interval };
        let files = Files::new(manifest);
        let started = Watcher::start(manifest, options, Instant::now(), &files);
        let (watcher, snapshot) = started.map_err(|error| {
            context.failed(&format!("cannot watch {}: {error}", manifest.display()))
        })?;
        (Some(watcher), files.check(&snapshot, context.exposed()))
    } else {
        (None, Checked::read(manifest, context.exposed()))
    };
    let desired = context.accept(checked, None)?;
    let signals = Signals::catch(context)?;
    let session = Session::start(&desired, order, args, context)?;
    drop(desired);
    if args.detach {
        return Ok(ExitStatus::Ok);
    }
    Ok(Hold::new(manifest, session, watcher, signals).run())
}
