//! Problems of manifests: drawn at their place in the source, a line each, and for programs.
//!
//! Every form tells the same problems in the same order. Lines and columns count from 1, columns in
//! Unicode characters.

mod concise;
mod full;
mod github;
mod json;
mod sarif;
mod source;
#[cfg(test)]
mod tests;

pub use concise::concise;
pub use full::{full, human};
pub use github::github;
pub use json::{PlaceJson, ProblemJson, RelatedJson, SpanJson, json, problems_json};
pub use sarif::sarif;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::model::position::{Lines, Position};
use crate::model::problem::{Problem, Related, Severity};

/// One manifest with its problems.
#[derive(Clone, Copy, Debug)]
pub struct Report<'r> {
    /// The manifest's path, as the user gave it.
    pub file: &'r str,
    /// Its text.
    pub source: &'r str,
    /// What is wrong with it.
    pub problems: &'r [Problem],
}

/// The manifests of a report by their paths, for problems that point at two of them.
struct Sources<'r> {
    reports: BTreeMap<&'r str, (Report<'r>, Lines<'r>)>,
}

/// A range of a manifest.
struct Place<'r> {
    file: &'r str,
    span: Range<usize>,
    start: Position,
    end: Position,
}

impl<'r> Sources<'r> {
    fn new(reports: &[Report<'r>]) -> Self {
        let one = |report: &Report<'r>| (report.file, (*report, Lines::new(report.source)));
        // Only what has a problem is pointed at, or what such a problem names.
        let named: BTreeSet<String> = reports
            .iter()
            .flat_map(|report| report.problems)
            .flat_map(|problem| &problem.related)
            .filter_map(|related| related.file.as_ref())
            .map(|file| file.display().to_string())
            .collect();
        let pointed =
            |report: &&Report<'r>| !report.problems.is_empty() || named.contains(report.file);
        Self { reports: reports.iter().filter(pointed).map(one).collect() }
    }

    fn source(&self, file: &str) -> &'r str {
        self.reports.get(file).map_or("", |(report, _)| report.source)
    }

    fn place(&self, file: &str, span: &Range<usize>) -> Option<Place<'r>> {
        let (report, lines) = self.reports.get(file)?;
        let (start, end) = lines.range(span);
        Some(Place { file: report.file, span: span.clone(), start, end })
    }

    /// Where a problem stands.
    fn of_problem(&self, report: &Report<'_>, problem: &Problem) -> Option<Place<'r>> {
        self.place(report.file, problem.span.as_ref()?)
    }

    /// Where else it points, with what is said there.
    fn of_related<'p>(
        &self,
        report: &Report<'_>,
        related: &'p Related,
    ) -> Option<(&'p str, Place<'r>)> {
        let other = related.file.as_ref().map(|file| file.display().to_string());
        let place = self.place(other.as_deref().unwrap_or(report.file), &related.span)?;
        Some((&related.message, place))
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

pub(super) fn plural(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}
