//! The problems found so far, each at its place in the manifest.

use std::ops::Range;

use crate::manifest::{Document, KeyPath};
use crate::model::problem::Problem;

/// Takes findings in and leaves out those that another problem explains.
#[derive(Debug)]
pub(super) struct Findings<'d> {
    document: &'d Document<'d>,
    problems: Vec<Problem>,
}

impl<'d> Findings<'d> {
    pub(super) fn new(document: &'d Document<'d>, problems: Vec<Problem>) -> Self {
        Self { document, problems }
    }

    /// Adds a problem of the value at `path`; of what contains it, if the manifest has no such value.
    pub(super) fn at_value(&mut self, path: &KeyPath, problem: Problem) {
        let span = self.value_place(path);
        self.add(path, span, problem);
    }

    /// Adds a problem of the key at the end of `path`; of what contains it, if there is none.
    pub(super) fn at_key(&mut self, path: &KeyPath, problem: Problem) {
        let span = self.place(path);
        self.add(path, span, problem);
    }

    fn add(&mut self, path: &KeyPath, span: Option<Range<usize>>, problem: Problem) {
        let explained = self.document.is_marked(path) || self.document.is_garbled(span.as_ref());
        if !explained {
            self.problems.push(Problem { span, ..problem });
        }
    }

    /// Whether what the manifest says at `path` has a problem already, so that nothing can be
    /// concluded from it.
    pub(super) fn is_marked(&self, path: &KeyPath) -> bool {
        self.document.is_marked(path)
    }

    /// Where the key at the end of `path` stands, or what contains it.
    pub(super) fn place(&self, path: &KeyPath) -> Option<Range<usize>> {
        self.document.nearest_span(path)
    }

    /// Where the value at `path` stands, or what contains it.
    pub(super) fn value_place(&self, path: &KeyPath) -> Option<Range<usize>> {
        self.document.value_span(path).or_else(|| self.place(path))
    }

    /// All problems in the order of the text.
    pub(super) fn sorted(mut self) -> Vec<Problem> {
        self.problems.sort_by(|a, b| {
            let key = |problem: &Problem| problem.span.as_ref().map(|span| (span.start, span.end));
            key(a).cmp(&key(b)).then_with(|| a.severity.cmp(&b.severity))
        });
        self.problems
    }
}
