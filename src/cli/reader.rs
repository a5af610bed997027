//! Files read once, with what else could have changed them.

use std::cell::RefCell;
use std::io::{self, Read as _};
use std::path::Path;

use crate::manifest::MANIFEST_MAX;
use crate::model::code;
use crate::model::problem::{Problem, Severity};
use crate::trust::{self, Exposure};
use crate::validate::{OBJECT_MAX, SIGNATURE_MAX, signature_of};

/// What it means that others than root and the user could change the files that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exposed {
    /// What they say is not acted upon.
    Refused,
    /// It is said.
    Warned,
    /// Nothing: nobody acts on them, or it is allowed.
    Ignored,
}

impl Exposed {
    /// The same for a command that only shows what another would do.
    pub(super) fn for_reading(self) -> Self {
        if self == Self::Refused { Self::Warned } else { self }
    }

    /// Whether files with these problems may be acted upon.
    pub(super) fn passes(self, problems: &[Problem]) -> bool {
        self != Self::Refused || problems.is_empty()
    }
}

/// Reads files and remembers what of them, and of the way to them, is exposed.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Each with the file that was read through it first.
    exposures: RefCell<Vec<(String, Exposure)>>,
}

impl Reader {
    /// Reads a manifest, its signature, or an object it names.
    pub(super) fn read_of(&self, manifest: &Path, path: &Path) -> io::Result<Vec<u8>> {
        let limit = if path == manifest {
            MANIFEST_MAX
        } else if path == signature_of(manifest) {
            SIGNATURE_MAX
        } else {
            OBJECT_MAX
        };
        self.read(path, limit)
    }

    /// Reads a regular file, and no more of it than tells that it is too large.
    pub(super) fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let opened = trust::file(path)?;
        let mut seen = self.exposures.borrow_mut();
        for exposure in opened.exposures {
            if seen.iter().all(|(_, known)| *known != exposure) {
                seen.push((path.display().to_string(), exposure));
            }
        }
        // Room for one byte more than it has, so that its end is found without growing.
        let size = usize::try_from(opened.file.metadata()?.len()).unwrap_or(limit).min(limit);
        let mut bytes = Vec::with_capacity(size + 1);
        opened.file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads a file that is no manifest and of none, and acted upon; fails with what is wrong with it.
    pub(super) fn read_alone(
        path: &Path,
        limit: usize,
        exposed: Exposed,
    ) -> Result<Vec<u8>, String> {
        let reader = Self::default();
        let bytes = reader.read(path, limit).map_err(|error| error.to_string())?;
        let problems = reader.problems(exposed);
        if exposed.passes(&problems) {
            return Ok(bytes);
        }
        let say = |problem: &Problem| match &problem.help {
            Some(help) => format!("{}: {help}", problem.message),
            None => problem.message.clone(),
        };
        Err(problems.iter().map(say).collect::<Vec<_>>().join("; "))
    }

    /// What is exposed, as problems.
    pub(super) fn problems(&self, exposed: Exposed) -> Vec<Problem> {
        let severity = match exposed {
            Exposed::Refused => Severity::Error,
            Exposed::Warned => Severity::Warning,
            Exposed::Ignored => return Vec::new(),
        };
        let problem = |(file, exposure): &(String, Exposure)| Problem {
            severity,
            ..Problem::error(
                code::INSECURE_PERMISSIONS,
                None,
                format!("others could change what `{file}` says: {exposure}"),
            )
            .help(format!(
                "`{}`; or, if whoever that lets in may decide what runs in this kernel, \
                 `--allow-insecure-permissions`",
                exposure.mend()
            ))
        };
        self.exposures.borrow().iter().map(problem).collect()
    }
}
