//! The problems found so far, each at its place in the manifest.

use std::ops::Range;

use crate::manifest::{Document, KeyPath};
use crate::model::problem::Problem;

/// What a finding points at.
#[derive(Clone, Debug)]
pub(super) enum Spot {
    /// The key at the end of a path.
    Key(KeyPath),
    /// The value at a path.
    Value(KeyPath),
}

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

    /// Adds a problem of the value at `path`.
    pub(super) fn at_value(&mut self, path: &KeyPath, problem: Problem) {
        self.at(&Spot::Value(path.clone()), problem);
    }

    /// Adds a problem of the key at the end of `path`.
    pub(super) fn at_key(&mut self, path: &KeyPath, problem: Problem) {
        self.at(&Spot::Key(path.clone()), problem);
    }

    /// Adds a problem, unless another one explains it.
    pub(super) fn at(&mut self, spot: &Spot, problem: Problem) {
        let (Spot::Key(path) | Spot::Value(path)) = spot;
        let span = self.place(spot);
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

    /// Where that stands; what contains it, if the manifest says nothing there.
    pub(super) fn place(&self, spot: &Spot) -> Option<Range<usize>> {
        match spot {
            Spot::Key(path) => self.document.nearest_span(path),
            Spot::Value(path) => {
                self.document.value_span(path).or_else(|| self.document.nearest_span(path))
            }
        }
    }

    /// All problems in the order of the text.
    pub(super) fn sorted(mut self) -> Vec<Problem> {
        Problem::sort(&mut self.problems);
        self.problems
    }
}
