//! `ebpf-apply apply`, and `ebpf-apply MANIFEST`

use std::time::Instant;

use crate::watch::{Options, Watcher};

use super::ExitStatus;
use super::args::ApplyArgs;
use super::checked::Checked;
use super::context::Context;
use super::files::Files;
use super::hold::Hold;
use super::session::Session;
use super::signals::Signals;

pub(super) fn run(args: &ApplyArgs, context: &Context) -> ExitStatus {
    apply(args, context).unwrap_or_else(|status| status)
}

fn apply(args: &ApplyArgs, context: &Context) -> Result<ExitStatus, ExitStatus> {
    let manifest = &args.manifest;
    let (watcher, checked) = if args.watch {
        let options =
            Options { method: args.watch_method.into(), poll_interval: args.poll_interval };
        let started = Watcher::start(manifest, options, Instant::now(), &Files(manifest));
        let (watcher, snapshot) = started.map_err(|error| {
            context.failed(&format!("cannot watch {}: {error}", manifest.display()))
        })?;
        (Some(watcher), Checked::of(manifest, &|path| snapshot.bytes(path)))
    } else {
        (None, Checked::read(manifest))
    };
    let desired = context.accept(checked, None)?;
    let signals = Signals::catch(context)?;
    let session = Session::start(&desired, args, context)?;
    drop(desired);
    if args.detach {
        return Ok(ExitStatus::Ok);
    }
    Ok(Hold::new(manifest, session, watcher, signals).run())
}
