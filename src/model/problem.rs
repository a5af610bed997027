//! What is wrong with a manifest or the objects it names: data, not text on a screen.

use std::ops::Range;
use std::path::PathBuf;

use serde::Serialize;

/// One problem, placed in the manifest's source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Readable and stable: `pin-attribute-missing`.
    pub code: &'static str,
    /// Whether it stops an apply.
    pub severity: Severity,
    /// The problem in one sentence, without a full stop.
    pub message: String,
    /// Where in the manifest, in bytes; `None` where it concerns the whole file.
    pub span: Option<Range<usize>>,
    /// What to say at that place; may be empty.
    pub label: String,
    /// Other places that the problem concerns.
    pub related: Vec<Related>,
    /// What to do about it.
    pub help: Option<String>,
}

/// A second place that a [`Problem`] concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// The manifest it is in; `None` for the one that has the problem.
    pub file: Option<PathBuf>,
    /// Where in that manifest, in bytes.
    pub span: Range<usize>,
    /// What to say there.
    pub message: String,
}

/// How much a [`Problem`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The manifest cannot be applied.
    Error,
    /// It can be, but probably does not do what was meant.
    Warning,
}

impl Problem {
    /// An error at `span`.
    #[must_use]
    pub fn error(
        code: &'static str,
        span: Option<Range<usize>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            span,
            label: String::new(),
            related: Vec::new(),
            help: None,
        }
    }

    /// A warning at `span`.
    #[must_use]
    pub fn warning(
        code: &'static str,
        span: Option<Range<usize>>,
        message: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    /// Says something at the primary place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Points at a second place, if that is known.
    #[must_use]
    pub fn related(mut self, span: Option<Range<usize>>, message: impl Into<String>) -> Self {
        if let Some(span) = span {
            self.related.push(Related { file: None, span, message: message.into() });
        }
        self
    }

    /// Points at a place in another manifest, if that is known.
    #[must_use]
    pub fn related_in(
        mut self,
        file: impl Into<PathBuf>,
        span: Option<Range<usize>>,
        message: impl Into<String>,
    ) -> Self {
        if let Some(span) = span {
            self.related.push(Related { file: Some(file.into()), span, message: message.into() });
        }
        self
    }

    /// Puts the problems of one manifest in the order of its text, those of the whole file first.
    pub fn sort(problems: &mut [Self]) {
        problems.sort_by(|a, b| {
            let key = |problem: &Self| problem.span.as_ref().map(|span| (span.start, span.end));
            key(a).cmp(&key(b)).then_with(|| a.severity.cmp(&b.severity))
        });
    }
}
