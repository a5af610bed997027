//! Notices that files changed, and hands their bytes on once they have settled.
//!
//! Events are hints, digests are truth. An event only says when to look; what was read is compared
//! with what was last handed on, so a lost event costs time and a needless one costs nothing. What
//! the bytes mean, and what is done with them, is not known here: who does tells through
//! [`Source`] which files belong together.
//!
//! Time is handed in, nothing sleeps, and nothing blocks: whoever owns the loop waits for
//! [`Watcher::descriptor`] and [`Watcher::deadline`].

mod backoff;
mod filesystem;
mod look;
mod notices;
mod places;
mod route;
mod schedule;
mod watcher;

pub use look::Snapshot;
pub use places::Places;
pub use watcher::{Method, Options, Turn, Watcher};

use std::io;
use std::path::{Path, PathBuf};

/// The one who knows the files.
pub trait Source {
    /// The bytes of a file; asked once for each file and look.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The other files that the first one names.
    fn named(&self, first: &[u8]) -> Named;
}

/// Which files a first file names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Their paths.
    pub paths: Vec<PathBuf>,
    /// Whether these are all of them. If not, those named before are watched too, so that mending
    /// one of them is noticed.
    pub complete: bool,
}
