//! What a check of manifests has found.

use std::path::PathBuf;

use crate::model::position::{Lines, Position};
use crate::model::problem::{Problem, Severity};

/// What is wrong with a set of manifests; made by [`Validator::check`](super::Validator::check).
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The manifests in the order they were given, those without a problem too.
    pub manifests: Vec<CheckedManifest>,
}

/// One manifest with its problems.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CheckedManifest {
    /// Its path as it was given.
    pub path: PathBuf,
    /// Its text, in which spans count bytes; empty if it could not be read.
    pub source: String,
    /// What is wrong with it: problems of the whole file first, the others in the order of the text.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Whether every manifest can be applied: there may be warnings, and no error.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.count(Severity::Error) == 0
    }

    /// How many problems of that severity there are.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.problems().filter(|(_, problem)| problem.severity == severity).count()
    }

    /// Every problem with its manifest.
    pub fn problems(&self) -> impl Iterator<Item = (&CheckedManifest, &Problem)> {
        self.manifests
            .iter()
            .flat_map(|manifest| manifest.problems.iter().map(move |problem| (manifest, problem)))
    }

    /// Makes every warning an error.
    #[must_use]
    pub fn deny_warnings(mut self) -> Self {
        for manifest in &mut self.manifests {
            for problem in &mut manifest.problems {
                problem.severity = Severity::Error;
            }
        }
        self
    }
}

impl CheckedManifest {
    /// Where a problem stands: its first character, and the one after its last. `None` for one of the
    /// whole file.
    #[must_use]
    pub fn place(&self, problem: &Problem) -> Option<(Position, Position)> {
        Some(Lines::new(&self.source).range(problem.span.as_ref()?))
    }
}
