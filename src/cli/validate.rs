//! `ebpf-apply validate`

use std::path::PathBuf;

use crate::model::problem::Severity;
use crate::view;

use super::ExitStatus;
use super::args::{Deny, ValidateArgs};
use super::checked::Checked;
use super::context::Context;
use super::reader::Exposed;

pub(super) fn run(args: &ValidateArgs, context: &Context) -> ExitStatus {
    let read = |path: &PathBuf| Checked::read_for(path, Exposed::Ignored, args.kernel);
    let checked: Vec<Checked> = args.manifests.iter().map(read).collect();
    let reports: Vec<_> = checked.iter().map(Checked::report).collect();
    context.result(
        |style| reports.iter().map(|report| view::problems::human(report, style)).collect(),
        || view::problems::json(&reports),
    );
    let fatal = |severity| severity == Severity::Error || args.deny == Some(Deny::Warnings);
    if reports.iter().flat_map(|report| report.problems).any(|problem| fatal(problem.severity)) {
        ExitStatus::Invalid
    } else {
        ExitStatus::Ok
    }
}
