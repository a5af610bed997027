//! Problems of manifests: drawn at their place in the source, and as JSON.

use std::error::Error;
use std::fmt;
use std::ops::Range;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource,
    Severity as Level, SourceCode,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::model::problem::{Problem, Severity};

use super::{FORMAT_VERSION, Style};

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

/// Every problem at its place, with advice, then a count.
#[must_use]
pub fn human(report: &Report<'_>, style: Style) -> String {
    let theme =
        if style.colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler =
        GraphicalReportHandler::new_themed(theme).with_width(style.width).with_links(false);
    let source = NamedSource::new(report.file, report.source.to_owned());
    let mut text = String::new();
    for problem in report.problems {
        let drawn = Drawn { problem, source: &source };
        if handler.render_report(&mut text, &drawn).is_err() {
            text.push_str(&problem.message);
        }
        text.push('\n');
    }
    text.push_str(&count(report));
    text.push('\n');
    text
}

fn count(report: &Report<'_>) -> String {
    let of =
        |severity| report.problems.iter().filter(|problem| problem.severity == severity).count();
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    match (errors, warnings) {
        (0, 0) => format!("{}: valid", report.file),
        (0, warnings) => format!("{}: valid, with {}", report.file, plural(warnings, "warning")),
        (errors, 0) => format!("{}: {}", report.file, plural(errors, "error")),
        (errors, warnings) => {
            format!("{}: {}, {}", report.file, plural(errors, "error"), plural(warnings, "warning"))
        }
    }
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// A problem as miette draws it.
#[derive(Debug)]
struct Drawn<'p> {
    problem: &'p Problem,
    source: &'p NamedSource<String>,
}

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl Error for Drawn<'_> {}

impl Diagnostic for Drawn<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.problem.code))
    }

    fn severity(&self) -> Option<Level> {
        Some(match self.problem.severity {
            Severity::Error => Level::Error,
            Severity::Warning => Level::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.problem.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.problem.span.as_ref().map(|_| self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = Some(self.problem.label.clone()).filter(|label| !label.is_empty());
        let primary = self.problem.span.clone();
        let primary = primary.map(|span| LabeledSpan::new_primary_with_span(label, span));
        let related = self.problem.related.iter();
        let related = related.map(|related| {
            LabeledSpan::new_with_span(Some(related.message.clone()), related.span.clone())
        });
        Some(Box::new(primary.into_iter().chain(related)))
    }
}

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
    /// From 1, in UTF-8 characters.
    pub column: usize,
    /// From 0, in bytes.
    pub offset: usize,
}

/// The problems of one manifest for JSON.
#[must_use]
pub fn problems_json(report: &Report<'_>) -> Vec<ProblemJson> {
    let one = |problem: &Problem| ProblemJson {
        code: problem.code.to_owned(),
        severity: problem.severity,
        message: problem.message.clone(),
        help: problem.help.clone(),
        file: Some(report.file.to_owned()),
        span: problem.span.as_ref().map(|span| span_json(report.source, span)),
        related: problem
            .related
            .iter()
            .map(|related| RelatedJson {
                message: related.message.clone(),
                file: report.file.to_owned(),
                span: span_json(report.source, &related.span),
            })
            .collect(),
    };
    report.problems.iter().map(one).collect()
}

/// The result of `validate` as one JSON document.
#[must_use]
pub fn json(reports: &[Report<'_>]) -> Value {
    let problems: Vec<ProblemJson> = reports.iter().flat_map(problems_json).collect();
    let valid = problems.iter().all(|problem| problem.severity != Severity::Error);
    json!({ "format_version": FORMAT_VERSION, "valid": valid, "problems": problems })
}

fn span_json(source: &str, span: &Range<usize>) -> SpanJson {
    SpanJson { start: place(source, span.start), end: place(source, span.end) }
}

fn place(source: &str, offset: usize) -> PlaceJson {
    let before = source.get(..offset).unwrap_or(source);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    PlaceJson {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        offset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let source = "a = 1\nvä = 2\n";
        assert_eq!(place(source, 0), PlaceJson { line: 1, column: 1, offset: 0 });
        assert_eq!(place(source, 10), PlaceJson { line: 2, column: 4, offset: 10 });
        assert_eq!(place(source, source.len()), PlaceJson { line: 3, column: 1, offset: 14 });
    }

    #[test]
    fn both_places_of_a_problem_are_drawn() {
        let source = "one = 1\ntwo = 1\n";
        let problem = Problem::error("pin-path-shared", Some(8..11), "two maps on one path")
            .label("this one too")
            .related(Some(0..3), "first here")
            .help("give one of them a `subpath`");
        let report = Report { file: "m.toml", source, problems: std::slice::from_ref(&problem) };
        let text = human(&report, Style::PLAIN);
        for part in
            ["pin-path-shared", "m.toml:2:1", "first here", "this one too", "subpath", "1 error"]
        {
            assert!(text.contains(part), "{part} is missing from:\n{text}");
        }
    }
}
