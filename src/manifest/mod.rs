//! Manifest text to [`Manifest`], with every syntax and schema problem in one report.
//!
//! The types derive both their reader and the published JSON schema, and the walker that looks for
//! problems follows that schema, so the three cannot disagree for long: tests hold them together.
//! Never opens a file, looks at an object or asks the kernel.

mod document;
mod grammar;
mod hook;
mod path;
mod prune;
mod schema;
mod suggest;
mod tree;
mod types;
mod value;
mod walk;

pub use document::Document;
pub use hook::*;
pub use path::KeyPath;
pub use schema::{SCHEMA, SCHEMA_ID};
pub use suggest::{listed, suggest};
pub use types::{
    Expect, Load, Manifest, MapEntry, MapTypeName, Names, ObjectEntry, ProgramEntry, Version,
};
pub use value::GlobalValue;

use serde::Deserialize as _;
use toml::de::DeTable;

use crate::model::code;
use crate::model::problem::Problem;

/// Largest manifest, in bytes.
pub const MANIFEST_MAX: usize = 1 << 20;

/// What a manifest's text yields.
#[derive(Debug)]
pub struct Parsed<'s> {
    /// The manifest without the parts that have a problem.
    pub manifest: Manifest,
    /// Where its keys and values stand, and which of them have a problem.
    pub document: Document<'s>,
    /// Every syntax and schema problem, in the order of the text.
    pub problems: Vec<Problem>,
}

/// Reads a manifest, never failing: what cannot be understood is a problem, and the rest is
/// delivered.
#[must_use]
pub fn parse(source: &str) -> Parsed<'_> {
    if source.len() > MANIFEST_MAX {
        let message =
            format!("the manifest has {} bytes; at most {MANIFEST_MAX} are read", source.len());
        return Parsed {
            manifest: Manifest::default(),
            document: Document::new("", toml::Spanned::new(0..0, DeTable::new())),
            problems: vec![Problem::error(code::MANIFEST_TOO_LARGE, None, message)],
        };
    }
    let (table, errors) = DeTable::parse_recoverable(source);
    let mut document = Document::new(source, table);
    let mut problems = document.note_syntax(&errors);
    let walked = walk::walk(&document);
    // What the parser made up to go on raises no findings of its own, and lost text no "missing".
    let guessed = |problem: &Problem| {
        document.is_garbled(problem.span.as_ref())
            || (document.has_syntax_errors() && problem.code == code::MISSING_KEY)
    };
    problems.extend(walked.problems.into_iter().filter(|problem| !guessed(problem)));
    document.mark(walked.marked);
    let pruned = prune::prune(document.table().clone(), &walked.dropped);
    let manifest =
        Manifest::deserialize(toml::Deserializer::from(pruned)).unwrap_or_else(|error| {
            // Only reached if the walker let something pass that the types refuse.
            if problems.is_empty() {
                let message = error.message().to_owned();
                problems.push(Problem::error(
                    code::BAD_VALUE,
                    document.clamp(error.span()),
                    message,
                ));
            }
            Manifest::default()
        });
    problems.sort_by_key(|problem| problem.span.as_ref().map(|span| (span.start, span.end)));
    Parsed { manifest, document, problems }
}
