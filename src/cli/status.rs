//! `ebpf-apply status`

use std::thread::sleep;

use crate::apply::{ApplyError, DeploymentStatus};
use crate::kernel::linux::Linux;
use crate::model::name::Name;
use crate::view;
use crate::view::status::Conditions;

use super::ExitStatus;
use super::args::StatusArgs;
use super::checked::Checked;
use super::common::Format;
use super::context::Context;
use super::failure::{failed, invalid};
use super::reader::Exposed;
use super::replace::replace;

pub(super) fn run(args: &StatusArgs, context: &Context) -> ExitStatus {
    show(args, context).unwrap_or_else(|status| status)
}

fn show(args: &StatusArgs, context: &Context) -> Result<ExitStatus, ExitStatus> {
    let header = args.manifest.as_deref().map(|path| Checked::header(path, Exposed::Ignored));
    let header = header.transpose().map_err(|checked| invalid(None, &checked, context))?;
    let name = args.name.as_deref().map(|name| context.deployment(name)).transpose()?;
    let name = name.or(header.map(|header| header.name));
    let look =
        || look(name.as_ref(), context).map_err(|error| failed(name.as_ref(), &error, context));
    if let Some(pause) = args.watch {
        loop {
            let text = text(&look()?, context);
            context.anew();
            context.print(&text);
            sleep(pause);
        }
    }
    let deployments = look()?;
    let text = text(&deployments, context);
    match &args.out {
        None => context.print(&text),
        // Whoever collects it is not root.
        Some(path) => replace(path, text.as_bytes(), 0o644).map_err(|error| {
            context.failed(&format!("cannot write {}: {error}", path.display()))
        })?,
    }
    let ready = deployments.iter().all(|deployment| Conditions::of(deployment).ready);
    let changes = args.detailed_exitcode && !ready;
    Ok(if changes { ExitStatus::Changes } else { ExitStatus::Ok })
}

fn look(name: Option<&Name>, context: &Context) -> Result<Vec<DeploymentStatus>, ApplyError> {
    let kernel = Linux::new();
    let host = context.host(&kernel, None);
    let mut deployments = host.status(name)?;
    for deployment in &mut deployments {
        deployment.usage = host.usage(deployment);
    }
    Ok(deployments)
}

fn text(deployments: &[DeploymentStatus], context: &Context) -> String {
    match context.format {
        Format::Json => view::json_line(&view::status::json(deployments)),
        Format::Prometheus => view::metrics::prometheus(deployments),
        _ => view::status::human(deployments, context.line_style()),
    }
}
