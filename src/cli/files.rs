//! A manifest and its objects, for who watches them.

use std::io;
use std::path::Path;

use crate::manifest;
use crate::watch::{Named, Snapshot, Source};

use super::checked::Checked;
use super::reader::{Exposed, Reader};

/// A manifest with its objects, for one look at them.
#[derive(Debug)]
pub(super) struct Files<'p> {
    manifest: &'p Path,
    reader: Reader,
}

impl<'p> Files<'p> {
    pub(super) fn new(manifest: &'p Path) -> Self {
        Self { manifest, reader: Reader::default() }
    }

    /// Validates what the look has shown.
    pub(super) fn check(&self, snapshot: &Snapshot, exposed: Exposed) -> Checked {
        let read = |path: &Path| snapshot.bytes(path);
        Checked::of(self.manifest, &read).judged(&self.reader, exposed)
    }
}

impl Source for Files<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.reader.read_of(self.manifest, path)
    }

    /// A manifest with a problem names its objects all the same: mending one of them may be what
    /// makes it valid.
    fn named(&self, first: &[u8]) -> Named {
        let Ok(text) = std::str::from_utf8(first) else { return Named::default() };
        let parsed = manifest::parse(text);
        let paths =
            parsed.manifest.objects.values().map(|object| object.file(self.manifest)).collect();
        Named { paths, complete: parsed.problems.is_empty() }
    }
}
