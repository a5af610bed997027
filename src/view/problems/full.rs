//! Problems drawn at their place in the source, for people.

use std::error::Error;
use std::fmt::{self, Write as _};

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, Severity as Level, SourceCode,
};

use super::source::Source;
use super::{Report, Sources, plural};
use crate::model::code;
use crate::model::problem::{Problem, Related, Severity};
use crate::view::printable::printable_source;
use crate::view::{Style, printable};

/// Every problem of one manifest at its place, with advice, then a count.
#[must_use]
pub fn human(report: &Report<'_>, style: Style) -> String {
    full(std::slice::from_ref(report), style)
}

/// Every problem at its place, with advice, then a count for each manifest that has one, and one of
/// all if there are several.
#[must_use]
pub fn full(reports: &[Report<'_>], style: Style) -> String {
    let sources = Sources::new(reports);
    let mut text = String::new();
    for report in reports {
        draw(&mut text, report, &sources, style);
        if reports.len() == 1 || !report.problems.is_empty() {
            let _ = writeln!(text, "{}: {}", printable(report.file), count(report.problems));
        }
    }
    if reports.len() > 1 {
        let all = reports.iter().flat_map(|report| report.problems);
        let _ = writeln!(text, "{} manifests: {}", reports.len(), count(all));
    }
    text
}

fn draw(text: &mut String, report: &Report<'_>, sources: &Sources<'_>, style: Style) {
    let theme =
        if style.colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler =
        GraphicalReportHandler::new_themed(theme).with_width(style.width).with_links(false);
    let source = Source::new(printable(report.file), printable_source(report.source));
    for problem in report.problems {
        // The last of its pieces has the advice, so that it stands below all places.
        let mut elsewhere: Vec<Elsewhere<'_>> =
            problem.related.iter().filter_map(|related| Elsewhere::new(related, sources)).collect();
        let mut help = problem.help.as_deref();
        if let Some(last) = elsewhere.last_mut() {
            last.help = help.take();
        }
        if handler.render_report(text, &Drawn { problem, source: &source, help }).is_err() {
            text.push_str(&printable(&problem.message));
        }
        for other in &elsewhere {
            let mut drawn = String::new();
            if handler.render_report(&mut drawn, other).is_ok() {
                // Its head would say again what its label says.
                let below_head = drawn.lines().skip_while(|line| !line.contains(CORNER));
                for line in below_head {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
        if code::page(problem.code).is_some() {
            let _ = writeln!(text, "  see: ebpf-apply explain {}", problem.code);
        }
        text.push('\n');
    }
}

/// Where the frame around a piece of source begins.
const CORNER: char = '╭';

fn count<'p>(problems: impl IntoIterator<Item = &'p Problem>) -> String {
    let (mut errors, mut warnings) = (0, 0);
    for problem in problems {
        match problem.severity {
            Severity::Error => errors += 1,
            Severity::Warning => warnings += 1,
        }
    }
    match (errors, warnings) {
        (0, 0) => "valid".to_owned(),
        (0, warnings) => format!("valid, with {}", plural(warnings, "warning")),
        (errors, 0) => plural(errors, "error"),
        (errors, warnings) => {
            format!("{}, {}", plural(errors, "error"), plural(warnings, "warning"))
        }
    }
}

/// A problem as miette draws it, with the places in its own manifest.
#[derive(Debug)]
struct Drawn<'p> {
    problem: &'p Problem,
    source: &'p Source,
    help: Option<&'p str>,
}

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.problem.message))
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
        self.help.map(|help| Box::new(printable(help)) as Box<dyn fmt::Display + '_>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.problem.span.as_ref().map(|_| self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label =
            Some(printable(&self.problem.label).into_owned()).filter(|label| !label.is_empty());
        let primary = self.problem.span.clone();
        let primary = primary.map(|span| LabeledSpan::new_primary_with_span(label, span));
        let related = self.problem.related.iter().filter(|related| related.file.is_none());
        let related = related.map(|related| {
            LabeledSpan::new_with_span(
                Some(printable(&related.message).into_owned()),
                related.span.clone(),
            )
        });
        Some(Box::new(primary.into_iter().chain(related)))
    }
}

/// A place in another manifest: miette draws one source at a time.
#[derive(Debug)]
struct Elsewhere<'p> {
    related: &'p Related,
    source: Source,
    help: Option<&'p str>,
}

impl<'p> Elsewhere<'p> {
    fn new(related: &'p Related, sources: &Sources<'_>) -> Option<Self> {
        let file = related.file.as_ref()?.display().to_string();
        let source = Source::new(printable(&file), printable_source(sources.source(&file)));
        Some(Self { related, source, help: None })
    }
}

impl fmt::Display for Elsewhere<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.related.message))
    }
}

impl Error for Elsewhere<'_> {}

impl Diagnostic for Elsewhere<'_> {
    fn severity(&self) -> Option<Level> {
        Some(Level::Advice)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.map(|help| Box::new(printable(help)) as Box<dyn fmt::Display + '_>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = Some(printable(&self.related.message).into_owned());
        let span = self.related.span.clone();
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(label, span))))
    }
}
