//! `ebpf-apply apply`, and `ebpf-apply MANIFEST`

use std::time::Instant;

use crate::plan::Adoption;
use crate::watch::{Options, Watcher};

use super::ExitStatus;
use super::args::ApplyArgs;
use super::checked::Checked;
use super::context::Context;
use super::files::Files;
use super::hold::Hold;
use super::session::Session;
use super::signals::Signals;

pub(super) fn run(args: &ApplyArgs, adoption: Adoption, context: &Context) -> ExitStatus {
    apply(args, adoption, context).unwrap_or_else(|status| status)
}

fn apply(
    args: &ApplyArgs,
    adoption: Adoption,
    context: &Context,
) -> Result<ExitStatus, ExitStatus> {
    let manifest = &args.manifest;
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
    let session = Session::start(&desired, adoption, args, context)?;
    drop(desired);
    if args.detach {
        return Ok(ExitStatus::Ok);
    }
    Ok(Hold::new(manifest, session, watcher, signals).run())
}
