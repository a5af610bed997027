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
use super::manager::Manager;
use super::saved;
use super::session::{Order, Session};
use super::signals::Signals;
use super::terms::Terms;

pub(super) fn run(args: &ApplyArgs, context: &Context) -> ExitStatus {
    let terms = match Terms::of(&args.trust(), context.exposed(), context) {
        Ok(terms) => terms,
        Err(status) => return status,
    };
    let order = match (&args.manifest, &args.plan) {
        (Some(manifest), _) => Ok((manifest.clone(), Order::Converge(args.on_drift.into()))),
        (None, Some(plan)) => saved::read(plan, &terms, context)
            .map(|saved| (saved.plan.after.manifest.clone(), Order::CarryOut(Box::new(saved)))),
        (None, None) => Err(context.misused("a manifest or a saved plan is needed")),
    };
    match order {
        Ok((manifest, order)) => {
            apply(&manifest, &order, args, &terms, context).unwrap_or_else(|status| status)
        }
        Err(status) => status,
    }
}

/// `ebpf-apply adopt`.
pub(super) fn adopt(manifest: &Path, args: &ApplyArgs, context: &Context) -> ExitStatus {
    let order = Order::Converge(Adoption::Foreign);
    Terms::of(&args.trust(), context.exposed(), context)
        .and_then(|terms| apply(manifest, &order, args, &terms, context))
        .unwrap_or_else(|status| status)
}

fn apply(
    manifest: &Path,
    order: &Order,
    args: &ApplyArgs,
    terms: &Terms,
    context: &Context,
) -> Result<ExitStatus, ExitStatus> {
    let (watcher, checked) = if args.watch {
        let options =
            Options { method: args.watch_method.into(), poll_interval: args.poll_interval };
        let files = Files::new(manifest, terms);
        let started = Watcher::start(manifest, options, Instant::now(), &files);
        let (watcher, snapshot) = started.map_err(|error| {
            context.failed(&format!("cannot watch {}: {error}", manifest.display()))
        })?;
        (Some(watcher), files.check(&snapshot))
    } else {
        (None, Checked::read(manifest, terms))
    };
    let desired = context.accept(checked, None)?;
    let signals = Signals::catch(context)?;
    // Who exits is no service that somebody manages.
    let manager = if args.detach { Manager::default() } else { Manager::from_environment() };
    let session = Session::start(&desired, order, args, context, &manager)?;
    drop(desired);
    if args.detach {
        return Ok(ExitStatus::Ok);
    }
    Ok(Hold::new(manifest, terms, session, watcher, signals, manager).run())
}
