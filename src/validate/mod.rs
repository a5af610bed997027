//! A manifest held against the objects it names: either a [`Desired`] state, or every problem at once.
//!
//! Knows no kernel and prints nothing. Files come through a reader that the caller hands in, so it
//! does no I/O of its own.

mod desired;
mod encode;
mod findings;
mod hooks;
mod load;
mod rules;
mod subject;

pub use desired::{Desired, DesiredMap, DesiredObject, DesiredProgram};
pub use load::{OBJECT_MAX, OBJECTS_MAX, ObjectFile};

use std::io;
use std::path::Path;

use crate::manifest::{self, Parsed};
use crate::model::pin::PinRoot;
use crate::model::problem::{Problem, Severity};
use findings::Findings;
use rules::places::Places;
use subject::Subject;

/// What validation yields.
#[derive(Debug)]
pub struct Validation {
    /// Every problem, in the order of the manifest; those of the whole file first.
    pub problems: Vec<Problem>,
    /// What the manifest asks for; `Some` exactly if no problem is an error.
    pub desired: Option<Desired>,
    /// The objects the manifest names, in its order, those too that could not be read.
    pub objects: Vec<ObjectFile>,
}

/// Checks a manifest's text against the objects it names.
///
/// `path` is the manifest's: paths of objects are relative to its directory. `read` yields a file's
/// bytes and is asked once for each file; it need not read more than [`OBJECT_MAX`] bytes and one.
pub fn validate(
    path: &Path,
    text: &str,
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Validation {
    let Parsed { manifest, document, problems } = manifest::parse(text);
    let mut findings = Findings::new(&document, problems);
    let objects = load::load(&manifest, path, read, &mut findings);
    let subjects: Vec<Subject<'_>> = objects
        .iter()
        .zip(manifest.objects.values())
        .filter_map(|(file, entry)| Some(Subject::new(&file.name, entry, file.image.as_ref()?)))
        .collect();
    let mut places = Places::default();
    let mut resolved = Vec::new();
    for subject in &subjects {
        rules::names::check(subject, &mut findings);
        resolved.push(resolve(subject, &mut places, &mut findings));
    }
    rules::paths::check(&subjects, &resolved, &mut findings);
    rules::replaced::check(&subjects, &resolved, &mut findings);
    rules::iterated::check(&subjects, &resolved, &mut findings);
    let problems = findings.sorted();
    let valid = problems.iter().all(|problem| problem.severity != Severity::Error);
    let desired = valid.then(|| Desired {
        pin_root: manifest.pin_root.unwrap_or_else(|| PinRoot::default_for(&manifest.name)),
        name: manifest.name,
        manifest: path.to_owned(),
        objects: resolved,
    });
    Validation { problems, desired, objects }
}

/// One object as the manifest wants it, as far as that can be settled.
fn resolve(
    subject: &Subject<'_>,
    places: &mut Places,
    findings: &mut Findings<'_>,
) -> DesiredObject {
    let specs = rules::globals::resolve(subject, findings);
    let maps = rules::maps::resolve(subject, specs, findings);
    let programs = rules::programs::resolve(subject, places, findings);
    DesiredObject {
        name: subject.name.clone(),
        load_digest: desired::load_digest(subject.image, &maps, &programs),
        image: subject.image.clone(),
        maps,
        programs,
    }
}
