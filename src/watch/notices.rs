//! inotify(7) on the directories that decide where the watched paths lead.
//!
//! Directories, never files: a watch on a file stays with the inode when another one takes its name.
//! Reads are not asked for, so looking at the files cannot wake the one who looks.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, Event, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::route;

/// Watched directories.
#[derive(Debug)]
pub(super) struct Notices {
    descriptor: OwnedFd,
    watched: Watched,
}

/// The names that matter in each directory, by watch descriptor. The kernel has one descriptor for
/// an inode, so a directory that was made anew under its old name is another key.
type Watched = BTreeMap<i32, BTreeSet<OsString>>;

/// One pass over all paths, see [`Notices::rearm`].
#[derive(Debug)]
pub(super) struct Round<'n> {
    notices: &'n mut Notices,
    wanted: Watched,
    refused: Option<Errno>,
}

impl Notices {
    pub(super) fn open() -> Result<Self, Errno> {
        let descriptor = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { descriptor, watched: Watched::new() })
    }

    /// Begins to watch what the paths that [`Round::follow`] gets lead over now, and nothing else.
    pub(super) fn rearm(&mut self) -> Round<'_> {
        Round { notices: self, wanted: Watched::new(), refused: None }
    }

    /// Takes in all that was noticed, and says whether any of it matters.
    pub(super) fn drain(&mut self) -> bool {
        let mut matters = false;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.descriptor, &mut buffer);
        loop {
            match events.next() {
                Ok(event) => matters |= note(&mut self.watched, &event),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return matters,
                // Nothing can be said of what is in the queue.
                Err(_) => return true,
            }
        }
    }
}

/// Takes in one event, and says whether it matters.
fn note(watched: &mut Watched, event: &Event<'_>) -> bool {
    if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
        return true;
    }
    if event.events().contains(ReadFlags::IGNORED) {
        return watched.remove(&event.wd()).is_some();
    }
    let Some(names) = watched.get(&event.wd()) else { return false };
    match event.file_name() {
        Some(name) => names.contains(OsStr::from_bytes(name.to_bytes())),
        // Of the directory itself: moved, removed, unmounted, other permissions.
        None => true,
    }
}

impl AsFd for Notices {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Round<'_> {
    /// Watches every directory on the way to a file; the path is absolute.
    pub(super) fn follow(&mut self, path: &Path) {
        route::follow(path, |directory, name, last| self.watch(directory, name, last));
    }

    /// Lets go of what is no longer on any way. The error is the first by which a directory could not
    /// be watched that is there.
    pub(super) fn finish(self) -> Result<(), Errno> {
        for stale in self.notices.watched.keys().filter(|id| !self.wanted.contains_key(id)) {
            // It fails for a directory that is gone, and so is its watch.
            let _gone = inotify::remove_watch(&self.notices.descriptor, *stale);
        }
        self.notices.watched = self.wanted;
        self.refused.map_or(Ok(()), Err)
    }

    fn watch(&mut self, directory: &Path, name: &OsStr, last: bool) {
        let mut what = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF;
        if last {
            what |= WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE;
        }
        // A directory may be on the way to one file and hold another.
        let how = WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW
            | WatchFlags::EXCL_UNLINK
            | WatchFlags::MASK_ADD;
        match inotify::add_watch(&self.notices.descriptor, directory, what | how) {
            Ok(id) => {
                self.wanted.entry(id).or_default().insert(name.to_owned());
            }
            // It went a moment ago, which its parent's watch tells.
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => {
                self.refused.get_or_insert(errno);
            }
        }
    }
}
