//! A manifest with the objects it names, read once and validated.

use std::io;
use std::path::Path;

use crate::manifest::{self, KeyPath};
use crate::model::code;
use crate::model::name::Name;
use crate::model::pin::PinRoot;
use crate::model::problem::Problem;
use crate::validate::{Demands, Desired, OBJECT_MAX, manifest_text, validate_for};
use crate::view::problems::Report;

use super::reader::{Exposed, Reader};
use super::terms::Terms;

/// Yields the bytes of files.
type Read<'r> = dyn Fn(&Path) -> io::Result<Vec<u8>> + 'r;

/// A manifest read and validated.
pub(super) struct Checked {
    file: String,
    source: String,
    problems: Vec<Problem>,
    /// What it asks for, if no problem is an error.
    pub(super) desired: Option<Desired>,
    /// Whether it is refused for what others could change, which is mended without another byte.
    pub(super) exposed: bool,
}

/// What a manifest says of its deployment. Its objects need not exist any more.
pub(super) struct Header {
    /// The deployment's name.
    pub(super) name: Name,
    /// Where its pins are.
    pub(super) pin_root: PinRoot,
}

impl Checked {
    /// Reads and validates a manifest and the objects it names. That it cannot be read is a problem
    /// like another, and so is that others could have changed one of them.
    pub(super) fn read(manifest: &Path, terms: &Terms) -> Self {
        let reader = Reader::default();
        let read = |path: &Path| reader.read_of(manifest, path);
        Self::of(manifest, &terms.demands, &read).judged(&reader, terms.exposed)
    }

    /// Validates a manifest and the objects it names as `read` yields them.
    pub(super) fn of(manifest: &Path, demands: &Demands, read: &Read<'_>) -> Self {
        match Self::source(manifest, demands, read) {
            Err(unreadable) => *unreadable,
            Ok(source) => {
                let validation = validate_for(manifest, &source.source, demands, read);
                Self { problems: validation.problems, desired: validation.desired, ..source }
            }
        }
    }

    /// Adds what others could have changed of what was read. Where that is refused, nothing of it is
    /// acted upon.
    pub(super) fn judged(self, reader: &Reader, exposed: Exposed) -> Self {
        let mut problems = reader.problems(exposed);
        let passes = exposed.passes(&problems);
        problems.extend(self.problems);
        Self {
            problems,
            desired: self.desired.filter(|_| passes),
            exposed: self.exposed || !passes,
            ..self
        }
    }

    /// Makes it a problem if this is the manifest of another deployment than the one that runs.
    pub(super) fn keep_to(&mut self, name: &Name, pin_root: &PinRoot) {
        let Some(desired) = &self.desired else { return };
        let (key, running, found) = if desired.name != *name {
            ("name", name.to_string(), desired.name.to_string())
        } else if desired.pin_root != *pin_root {
            ("pin-root", pin_root.to_string(), desired.pin_root.to_string())
        } else {
            return;
        };
        let span = manifest::parse(&self.source).document.value_span(&KeyPath::of([key]));
        let message = format!("`{key}` is `{found}` now, and `{running}` of what runs");
        let problem = Problem::error(code::DEPLOYMENT_CHANGED, span, message)
            .label("of another deployment")
            .help("end this process and start another one, or put the old value back");
        self.problems.push(problem);
        self.desired = None;
    }

    /// Reads only what a manifest says of its deployment.
    pub(super) fn header(manifest: &Path, exposed: Exposed) -> Result<Header, Box<Self>> {
        let reader = Reader::default();
        let read = |path: &Path| reader.read_of(manifest, path);
        let read = Self::source(manifest, &Demands::default(), &read)?;
        let mut parsed = manifest::parse(&read.source);
        parsed.problems.extend(reader.problems(exposed));
        if parsed.problems.is_empty() {
            let manifest::Manifest { name, pin_root, .. } = parsed.manifest;
            let pin_root = pin_root.unwrap_or_else(|| PinRoot::default_for(&name));
            return Ok(Header { name, pin_root });
        }
        let problems = parsed.problems;
        Err(Box::new(Self { problems, ..read }))
    }

    /// What is wrong with it, for [`view`](crate::view).
    pub(super) fn report(&self) -> Report<'_> {
        Report { file: &self.file, source: &self.source, problems: &self.problems }
    }

    fn source(manifest: &Path, demands: &Demands, read: &Read<'_>) -> Result<Self, Box<Self>> {
        let file = manifest.display().to_string();
        let none =
            |source, problems| Self { file, source, problems, desired: None, exposed: false };
        match manifest_text(manifest, demands, read) {
            Ok(source) => Ok(none(source, Vec::new())),
            Err(problem) => Err(Box::new(none(String::new(), vec![*problem]))),
        }
    }
}

/// Reads an object for inspection.
pub(super) fn object(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = Reader::default().read(path, OBJECT_MAX)?;
    if bytes.len() > OBJECT_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 64 MiB"));
    }
    Ok(bytes)
}
