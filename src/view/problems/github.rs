//! Annotations of GitHub Actions: workflow commands that show problems in a pull request's diff.
//!
//! Source: `command.ts` of `@actions/core` for what is escaped, and the documentation of workflow
//! commands for the properties.

use std::fmt::Write as _;

use super::{Report, Sources, word};
use crate::view::printable;

/// A workflow command for each problem.
#[must_use]
pub fn github(reports: &[Report<'_>]) -> String {
    let sources = Sources::new(reports);
    let mut text = String::new();
    for report in reports {
        for problem in report.problems {
            let _ = write!(text, "::{} file={}", word(problem.severity), property(report.file));
            if let Some(place) = sources.of_problem(report, problem) {
                let (start, end) = (place.start, place.end);
                let _ = write!(text, ",line={},endLine={}", start.line, end.line);
                // Columns are shown only within one line, and refused for several.
                if start.line == end.line {
                    let _ = write!(text, ",col={},endColumn={}", start.column, end.column);
                }
            }
            let mut message = problem.message.clone();
            for related in &problem.related {
                if let Some((said, place)) = sources.of_related(report, related) {
                    let (file, line, column) = (place.file, place.start.line, place.start.column);
                    let _ = write!(message, "\n{said}: {file}:{line}:{column}");
                }
            }
            if let Some(help) = &problem.help {
                let _ = write!(message, "\nhelp: {help}");
            }
            let _ = writeln!(text, ",title={}::{}", property(problem.code), data(&message));
        }
    }
    text
}

/// What follows `::`.
fn data(text: &str) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    printable(&text).into_owned()
}

/// The value of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
