//! `ebpf-apply status`

use crate::kernel::linux::Linux;
use crate::view;

use super::ExitStatus;
use super::args::StatusArgs;
use super::context::Context;

pub(super) fn run(args: &StatusArgs, context: &Context) -> ExitStatus {
    let name = match args.manifest.as_deref().map(|manifest| context.name(manifest)) {
        None => None,
        Some(Ok(name)) => Some(name),
        Some(Err(status)) => return status,
    };
    let kernel = Linux::new();
    match context.host(&kernel).status(name.as_ref()) {
        Ok(deployments) => {
            context.result(
                |style| view::status::human(&deployments, style),
                || view::status::json(&deployments),
            );
            ExitStatus::Ok
        }
        Err(error) => context.failed(&error),
    }
}
