//! Plans on file: what `plan --out` writes and `apply --plan` reads.

use std::io;
use std::path::Path;

use crate::plan::{Adoption, SavedPlan};

use super::ExitStatus;
use super::context::Context;
use super::reader::Reader;
use super::replace::replace;
use super::terms::Terms;

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
///
/// It is compared, not replayed: what is done is what the manifest says, which is read, and its signature
/// checked, as without a plan. All that a plan decides by itself is which manifest that is, and whether
/// what is someone else's is taken over; the latter no signature of a manifest vouches for.
pub(super) fn read(path: &Path, terms: &Terms, context: &Context) -> Result<SavedPlan, ExitStatus> {
    let invalid = |what: &str| {
        context.failed(&format!("cannot read the saved plan {}: {what}", path.display()));
        ExitStatus::Invalid
    };
    let bytes =
        Reader::read_alone(path, SAVED_MAX, context.exposed()).map_err(|error| invalid(&error))?;
    let saved: SavedPlan = serde_json::from_slice(&bytes)
        .map_err(|error| invalid(&format!("it is not what `plan --out` writes: {error}")))?;
    if !terms.demands.keys.is_empty() && saved.adoption != Adoption::Never {
        return Err(invalid(
            "it takes over what is someone else's, which no signature of a manifest vouches for; \
             with `--trusted-key` say so on the command line: `ebpf-apply adopt MANIFEST`",
        ));
    }
    Ok(saved)
}
