//! `ebpf-apply validate`

use crate::model::problem::Severity;
use crate::view;

use super::ExitStatus;
use super::args::{Deny, ValidateArgs};
use super::checked::Checked;
use super::context::Context;

pub(super) fn run(args: &ValidateArgs, context: &Context) -> ExitStatus {
    let mut checked = Vec::new();
    let mut status = ExitStatus::Ok;
    for manifest in &args.manifests {
        match Checked::read(manifest) {
            Ok(one) => checked.push(one),
            Err(error) => status = context.unreadable(manifest, &error),
        }
    }
    let reports: Vec<_> = checked.iter().map(Checked::report).collect();
    let fatal = |severity| severity == Severity::Error || args.deny == Some(Deny::Warnings);
    if reports.iter().flat_map(|report| report.problems).any(|problem| fatal(problem.severity)) {
        status = ExitStatus::Invalid;
    }
    context.result(
        |style| reports.iter().map(|report| view::problems::human(report, style)).collect(),
        || view::problems::json(&reports),
    );
    status
}
