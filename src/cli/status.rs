//! `ebpf-apply status`

use crate::kernel::linux::Linux;
use crate::view;

use super::ExitStatus;
use super::args::StatusArgs;
use super::checked::Checked;
use super::context::Context;
use super::failure::{failed, invalid};
use super::reader::Exposed;

pub(super) fn run(args: &StatusArgs, context: &Context) -> ExitStatus {
    let name = match args.manifest.as_deref().map(|path| Checked::header(path, Exposed::Ignored)) {
        None => None,
        Some(Ok(header)) => Some(header.name),
        Some(Err(checked)) => return invalid(None, &checked, context),
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
        Err(error) => failed(name.as_ref(), &error, context),
    }
}
