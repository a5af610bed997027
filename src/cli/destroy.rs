//! `ebpf-apply destroy`

use crate::apply::Holder;
use crate::kernel::linux::Linux;
use crate::model::name::Name;
use crate::model::pin::PinRoot;

use super::ExitStatus;
use super::args::DestroyArgs;
use super::checked::Checked;
use super::context::Context;
use super::end::end;
use super::failure::{failed, invalid};
use super::signals::Signals;

pub(super) fn run(args: &DestroyArgs, context: &Context) -> ExitStatus {
    let (name, root) = match deployment(args, context) {
        Ok(deployment) => deployment,
        Err(status) => return status,
    };
    // Not for waiting: a signal must not end this half-way.
    let _caught = match Signals::catch(context) {
        Ok(signals) => signals,
        Err(status) => return status,
    };
    let kernel = Linux::new();
    let host = context.host(&kernel);
    // Asked before anything is locked: a mistyped name leaves no lock file.
    if let Err(error) = host.root_of(&name, root.as_ref()) {
        return failed(Some(&name), &error, context);
    }
    let _holder = match Holder::take(&context.state, &name) {
        Ok(holder) => holder,
        Err(error) => return failed(Some(&name), &error.into(), context),
    };
    end(&host, (&name, root.as_ref()), args.purge, context)
}

/// Which deployment is meant, and where its pins are if its record is lost.
fn deployment(
    args: &DestroyArgs,
    context: &Context,
) -> Result<(Name, Option<PinRoot>), ExitStatus> {
    match (&args.name, &args.manifest) {
        (Some(name), _) => context.deployment(name).map(|name| (name, None)),
        (None, Some(manifest)) => match Checked::header(manifest, context.exposed()) {
            Ok(header) => Ok((header.name, Some(header.pin_root))),
            Err(checked) => Err(invalid(None, &checked, context)),
        },
        (None, None) => Err(ExitStatus::Usage),
    }
}
