//! A manifest and its objects, for who watches them.

use std::io;
use std::path::Path;

use crate::manifest;
use crate::validate::{manifest_text, signature_of};
use crate::watch::{Named, Snapshot, Source};

use super::checked::Checked;
use super::reader::Reader;
use super::terms::Terms;

/// A manifest with its objects, for one look at them.
#[derive(Debug)]
pub(super) struct Files<'p> {
    manifest: &'p Path,
    terms: &'p Terms,
    reader: Reader,
}

impl<'p> Files<'p> {
    pub(super) fn new(manifest: &'p Path, terms: &'p Terms) -> Self {
        Self { manifest, terms, reader: Reader::default() }
    }

    /// Validates what the look has shown.
    pub(super) fn check(&self, snapshot: &Snapshot) -> Checked {
        let read = |path: &Path| snapshot.bytes(path);
        let checked = Checked::of(self.manifest, &self.terms.demands, &read);
        checked.judged(&self.reader, self.terms.exposed)
    }
}

impl Source for Files<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.reader.read_of(self.manifest, path)
    }

    /// A manifest with a problem names its objects all the same: mending one of them may be what
    /// makes it valid. One that must be signed and is not says nothing.
    fn named(&self, first: &[u8]) -> Named {
        let demands = &self.terms.demands;
        let mut paths = Vec::new();
        if !demands.keys.is_empty() {
            paths.push(signature_of(self.manifest));
        }
        let read = |path: &Path| {
            if path == self.manifest { Ok(first.to_vec()) } else { self.read(path) }
        };
        let Ok(text) = manifest_text(self.manifest, demands, &read) else {
            return Named { paths, complete: false };
        };
        let parsed = manifest::parse(&text);
        let objects = parsed.manifest.objects.values();
        paths.extend(objects.map(|object| object.file(self.manifest)));
        Named { paths, complete: parsed.problems.is_empty() }
    }
}
