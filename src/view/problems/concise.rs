//! A line for each problem, as compilers print it: editors and `grep` know the form.

use std::fmt::Write as _;

use super::{Report, Sources, word};
use crate::model::problem::Severity;
use crate::view::{Style, printable};

/// `file:line:column: severity[code]: message` for each problem; without line and column for one of the
/// whole file.
#[must_use]
pub fn concise(reports: &[Report<'_>], style: Style) -> String {
    let sources = Sources::new(reports);
    let mut text = String::new();
    for report in reports {
        for problem in report.problems {
            text.push_str(&style.bold(&printable(report.file)));
            if let Some(place) = sources.of_problem(report, problem) {
                let _ = write!(text, ":{}:{}", place.start.line, place.start.column);
            }
            let kind = format!("{}[{}]", word(problem.severity), problem.code);
            let kind = match problem.severity {
                Severity::Error => style.red(&kind),
                Severity::Warning => style.yellow(&kind),
            };
            let _ = writeln!(text, ": {kind}: {}", printable(&problem.message));
        }
    }
    text
}
