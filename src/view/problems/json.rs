//! Problems as one JSON document.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Place, Report, Sources};
use crate::model::position::Position;
use crate::model::problem::{Problem, Severity};
use crate::view::FORMAT_VERSION;

/// A problem for JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProblemJson {
    /// Readable and stable.
    pub code: String,
    /// `error` or `warning`.
    pub severity: Severity,
    /// The problem in one sentence.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The manifest.
    pub file: Option<String>,
    /// Where in it.
    pub span: Option<SpanJson>,
    /// Other places it concerns.
    pub related: Vec<RelatedJson>,
}

/// A second place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RelatedJson {
    /// What to say there.
    pub message: String,
    /// The manifest.
    pub file: String,
    /// Where in it.
    pub span: SpanJson,
}

/// A range of the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SpanJson {
    /// First character.
    pub start: PlaceJson,
    /// One past the last.
    pub end: PlaceJson,
}

/// A place in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PlaceJson {
    /// From 1.
    pub line: usize,
    /// From 1, in Unicode characters.
    pub column: usize,
    /// From 0, in bytes.
    pub offset: usize,
}

impl From<Place<'_>> for SpanJson {
    fn from(place: Place<'_>) -> Self {
        let at = |position: Position, offset| PlaceJson {
            line: position.line,
            column: position.column,
            offset,
        };
        Self { start: at(place.start, place.span.start), end: at(place.end, place.span.end) }
    }
}

/// The problems of one manifest for JSON.
#[must_use]
pub fn problems_json(report: &Report<'_>) -> Vec<ProblemJson> {
    all(std::slice::from_ref(report))
}

fn all(reports: &[Report<'_>]) -> Vec<ProblemJson> {
    let sources = Sources::new(reports);
    let of = |report: &Report<'_>| -> Vec<ProblemJson> {
        report.problems.iter().map(|problem| one(report, problem, &sources)).collect()
    };
    reports.iter().flat_map(of).collect()
}

fn one(report: &Report<'_>, problem: &Problem, sources: &Sources<'_>) -> ProblemJson {
    let related = problem.related.iter().filter_map(|related| {
        let (message, place) = sources.of_related(report, related)?;
        let file = place.file.to_owned();
        Some(RelatedJson { message: message.to_owned(), file, span: place.into() })
    });
    ProblemJson {
        code: problem.code.to_owned(),
        severity: problem.severity,
        message: problem.message.clone(),
        help: problem.help.clone(),
        file: Some(report.file.to_owned()),
        span: sources.of_problem(report, problem).map(SpanJson::from),
        related: related.collect(),
    }
}

/// The result of `validate` as one JSON document.
#[must_use]
pub fn json(reports: &[Report<'_>]) -> Value {
    let problems = all(reports);
    let valid = problems.iter().all(|problem| problem.severity != Severity::Error);
    json!({ "format_version": FORMAT_VERSION, "valid": valid, "problems": problems })
}
