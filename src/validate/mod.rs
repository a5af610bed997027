//! Manifests held against the objects they name: either a [`Desired`] state, or every problem at once.
//!
//! [`Validator`] checks the manifests of a host and yields a [`Report`] of [`Problem`]s; it is what
//! `ebpf-apply validate` prints. [`validate`] checks one manifest and yields what it asks for, too.
//!
//! Knows no kernel and prints nothing. Files come through a reader that the caller hands in;
//! [`Validator::new`] and [`manifests_in`] bring one that reads the disk.

mod claims;
mod declaration;
mod demands;
mod desired;
mod disk;
mod encode;
mod findings;
mod hooks;
mod load;
mod report;
mod room;
mod rules;
mod signature;
mod subject;
mod together;
mod validator;

pub use crate::model::position::Position;
pub use crate::model::problem::{Problem, Related, Severity};
pub use demands::Demands;
pub use desired::{Desired, DesiredMap, DesiredObject, DesiredOperations, DesiredProgram, Terms};
pub use disk::manifests_in;
pub use hooks::fitting_hooks;
pub use load::{OBJECT_MAX, OBJECTS_MAX, ObjectFile};
pub use report::{CheckedManifest, Report};
pub use rules::replaced::{Holder, Replaced};
pub use signature::{NoKey, SIGNATURE_MAX, TrustedKey, signature_of};
pub use validator::Validator;
pub(crate) use validator::manifest_text;

use std::io;
use std::path::Path;

use crate::manifest::{self, Parsed};
use crate::model::pin::PinRoot;
use claims::Claims;
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
    /// What it claims of its host.
    claims: Claims,
}

/// Checks a manifest's text against the objects it names.
///
/// `path` is the manifest's: paths of objects are relative to its directory. `read` yields a file's
/// bytes and is asked once for each file; it need not read more than [`OBJECT_MAX`] bytes and one.
///
/// [`Validator`] does so for all manifests of a host, and holds them against each other.
///
/// ```
/// use std::path::Path;
/// use ebpf_apply::validate::validate;
///
/// let text = "\
/// version = 1
/// name = \"edge\"
///
/// [objects.firewall]
/// path = \"firewall.bpf.o\"
/// load = \"some\"
/// ";
/// let no_files = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
/// let validation = validate(Path::new("edge.toml"), text, &no_files);
/// let found: Vec<_> = validation
///     .problems
///     .iter()
///     .map(|problem| (problem.code, &text[problem.span.clone().expect("a place")]))
///     .collect();
/// assert_eq!(
///     found,
///     [("object-unreadable", "\"firewall.bpf.o\""), ("bad-value", "\"some\"")]
/// );
/// assert!(validation.desired.is_none());
/// ```
pub fn validate(
    path: &Path,
    text: &str,
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Validation {
    validate_for(path, text, &Demands::default(), read)
}

/// Checks a manifest as [`validate`] does, and that it meets what else is demanded. Its signature was
/// for the bytes before they became text, and is not looked at here.
pub fn validate_for(
    path: &Path,
    text: &str,
    demands: &Demands,
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Validation {
    let Parsed { manifest, document, problems } = manifest::parse(text);
    let mut findings = Findings::new(&document, problems);
    let objects = load::load(&manifest, path, demands, read, &mut findings);
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
    let own = manifest.pin_root.clone();
    let pin_root = own.unwrap_or_else(|| PinRoot::default_for(&manifest.name));
    rules::named::check(&subjects, &resolved, &mut findings);
    rules::replaced::check(&subjects, &resolved, &pin_root, &mut findings);
    rules::iterated::check(&subjects, &resolved, &mut findings);
    rules::flags::check(&subjects, &resolved, demands.kernel, &mut findings);
    if let Some(kernel) = demands.kernel {
        rules::kernel::check(&subjects, &resolved, kernel, &mut findings);
    }
    let claims = claims::of(&manifest, &subjects, &resolved, &places, &findings);
    let problems = findings.sorted();
    let valid = problems.iter().all(|problem| problem.severity != Severity::Error);
    let desired = valid.then(|| Desired {
        pin_root,
        name: manifest.name,
        manifest: path.to_owned(),
        objects: resolved,
    });
    Validation { problems, desired, objects, claims }
}

/// One object as the manifest wants it, as far as that can be settled.
fn resolve(
    subject: &Subject<'_>,
    places: &mut Places,
    findings: &mut Findings<'_>,
) -> DesiredObject {
    let specs = rules::globals::resolve(subject, findings);
    let maps = rules::maps::resolve(subject, specs, findings);
    rules::kernel_names::check(subject, &maps, findings);
    let operations = rules::operations::resolve(subject, &maps, places, findings);
    let programs = rules::programs::resolve(subject, places, findings);
    rules::license::check(subject, &programs, findings);
    DesiredObject {
        name: subject.name.clone(),
        load_digest: desired::load_digest(subject.image, &maps, &programs),
        image: subject.image.clone(),
        maps,
        operations,
        programs,
    }
}
