//! Plans on file: what `plan --out` writes and `apply --plan` reads.

use std::io;
use std::path::Path;

use crate::plan::SavedPlan;

use super::ExitStatus;
use super::context::Context;
use super::reader::Reader;
use super::replace::replace;

/// No plan of ours is larger: it grows with the resources of one deployment.
const SAVED_MAX: usize = 64 << 20;

/// Writes a plan, whole or not at all.
pub(super) fn write(path: &Path, saved: &SavedPlan, context: &Context) -> Result<(), ExitStatus> {
    let written = serde_json::to_vec_pretty(saved)
        .map_err(io::Error::from)
        .and_then(|bytes| replace(path, &bytes, 0o600));
    written.map_err(|error| {
        context.failed(&format!("cannot save the plan to {}: {error}", path.display()))
    })
}

/// Reads a plan. It names the manifest that is acted upon, so whoever could change it counts like one
/// who could change the manifest.
pub(super) fn read(path: &Path, context: &Context) -> Result<SavedPlan, ExitStatus> {
    let invalid = |what: &str| {
        context.failed(&format!("cannot read the saved plan {}: {what}", path.display()));
        ExitStatus::Invalid
    };
    let reader = Reader::default();
    let bytes = reader.read(path, SAVED_MAX).map_err(|error| invalid(&error.to_string()))?;
    let problems = reader.problems(context.exposed());
    if !context.exposed().passes(&problems) {
        let said: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        return Err(invalid(&said.join("; ")));
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| invalid(&format!("it is not what `plan --out` writes: {error}")))
}
