//! A manifest and its objects, for who watches them.

use std::io;
use std::path::Path;

use crate::manifest;
use crate::watch::{Named, Source};

use super::checked;

/// A manifest's path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Files<'p>(pub(super) &'p Path);

impl Source for Files<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        checked::file(self.0, path)
    }

    /// A manifest with a problem names its objects all the same: mending one of them may be what
    /// makes it valid.
    fn named(&self, first: &[u8]) -> Named {
        let Ok(text) = std::str::from_utf8(first) else { return Named::default() };
        let parsed = manifest::parse(text);
        let paths = parsed.manifest.objects.values().map(|object| object.file(self.0)).collect();
        Named { paths, complete: parsed.problems.is_empty() }
    }
}
