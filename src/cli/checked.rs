//! A manifest with the objects it names, read once and validated.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::validate::{OBJECT_MAX, Validation, validate};
use crate::view::problems::Report;

/// A manifest read and validated.
pub(super) struct Checked {
    /// Its path, as the user gave it.
    pub(super) file: String,
    /// Its text.
    pub(super) source: String,
    /// What the validator says.
    pub(super) validation: Validation,
}

impl Checked {
    /// Reads and validates a manifest and the objects it names.
    pub(super) fn read(manifest: &Path) -> io::Result<Self> {
        let source = std::fs::read_to_string(manifest)?;
        let validation = validate(manifest, &source, &read_object);
        Ok(Self { file: manifest.display().to_string(), source, validation })
    }

    /// What is wrong with it, for [`view`](crate::view).
    pub(super) fn report(&self) -> Report<'_> {
        Report { file: &self.file, source: &self.source, problems: &self.validation.problems }
    }
}

/// Reads an object, and no more of it than tells that it is too large.
fn read_object(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = OBJECT_MAX as u64 + 1;
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
