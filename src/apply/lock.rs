//! Two locks: *apply*, held for one run, and *holder*, held for a process's life.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use crate::model::name::Name;
use crate::model::pin::PinRoot;

use super::locker::Locker;
use super::store::{StateDirectory, StoreError};

/// A lock that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds the deployment.
    #[error("deployment `{name}` is held by {}", who(.locker.as_ref()))]
    Held {
        /// The deployment.
        name: Name,
        /// The process, if it can be seen.
        locker: Option<Locker>,
    },
    /// Another run did not end in time.
    #[error("another run has had {path} locked for {waited:?}: {who}", path = .path.display(), who = who(.locker.as_ref()))]
    Timeout {
        /// The lock.
        path: PathBuf,
        /// How long we waited.
        waited: Duration,
        /// The process, if it can be seen.
        locker: Option<Locker>,
    },
    /// The lock file could not be used.
    #[error("cannot lock {path}: {source}", path = .path.display())]
    File {
        /// The lock.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
    /// The directory of locks could not be made.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LockError {
    /// Whether another process has the lock, rather than the lock being out of order.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Held { .. } | Self::Timeout { .. })
    }
}

fn who(locker: Option<&Locker>) -> String {
    let unseen = "a process that cannot be seen from here (in another PID namespace?)";
    locker.map_or_else(|| unseen.to_owned(), Locker::to_string)
}

/// Keeps other runs on the same deployment, or on the same pin root, waiting.
#[derive(Debug)]
pub(super) struct ApplyLock {
    _files: Vec<File>,
}

/// Takes the apply lock: of the deployment, of the pin root's path, and of its directory if it exists.
///
/// The path's lock is for runs that are about to make the root; the directory's is for those whose
/// records lie elsewhere.
pub(super) fn apply(
    state: &StateDirectory,
    name: &Name,
    root: &PinRoot,
    timeout: Duration,
) -> Result<ApplyLock, LockError> {
    let wait = Wait::of(timeout);
    let mut files = vec![
        wait.for_file(&|| state.lock_file(name, "apply"))?,
        wait.for_file(&|| state.root_lock_file(root))?,
    ];
    let path = root.as_path();
    let open = || match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some).map_err(|source| failed(path, source)),
    };
    files.extend(wait.for_inode(path, &open)?);
    Ok(ApplyLock { _files: files })
}

/// How long to wait for locks.
struct Wait {
    timeout: Duration,
    /// When to give up; `None` for a time beyond the clock's end.
    deadline: Option<Instant>,
}

impl Wait {
    fn of(timeout: Duration) -> Self {
        Self { timeout, deadline: Instant::now().checked_add(timeout) }
    }

    /// Locks a file, which is made, and writes down who has it.
    fn for_file(&self, path: &dyn Fn() -> Result<PathBuf, StoreError>) -> Result<File, LockError> {
        loop {
            // Its directory may have been removed with it, and is then made anew.
            let path = path()?;
            if let Some(mut file) = self.for_inode(&path, &|| open(&path).map(Some))? {
                let written =
                    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
                return written.map(|()| file).map_err(|source| failed(&path, source));
            }
        }
    }

    /// Locks what `open` opens at `path`. It may be removed and made anew while we wait, so what was
    /// locked is compared with what is there. `None` once nothing is there.
    fn for_inode(
        &self,
        path: &Path,
        open: &dyn Fn() -> Result<Option<File>, LockError>,
    ) -> Result<Option<File>, LockError> {
        loop {
            let Some(mut file) = open()? else { return Ok(None) };
            self.lock(&mut file, path)?;
            let locked = file.metadata().map_err(|source| failed(path, source))?;
            match path.metadata() {
                Ok(found) if (found.dev(), found.ino()) == (locked.dev(), locked.ino()) => {
                    return Ok(Some(file));
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(path, error));
                }
                _ => {}
            }
        }
    }

    fn lock(&self, file: &mut File, path: &Path) -> Result<(), LockError> {
        /// flock(2) has no timeout, so the lock is tried again and again.
        const PAUSE: Duration = Duration::from_millis(20);
        while !try_lock(file, path)? {
            if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                let wrote = read_pid(file);
                return Err(LockError::Timeout {
                    path: path.to_owned(),
                    waited: self.timeout,
                    locker: Locker::of(file, wrote),
                });
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}

fn try_lock(file: &File, path: &Path) -> Result<bool, LockError> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(failed(path, errno.into())),
    }
}

fn open(path: &Path) -> Result<File, LockError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(path);
    file.map_err(|source| failed(path, source))
}

fn failed(path: &Path, source: io::Error) -> LockError {
    LockError::File { path: path.to_owned(), source }
}

/// The right to be the one process that holds a deployment.
#[derive(Debug)]
pub struct Holder {
    _file: File,
}

impl Holder {
    /// Becomes the holder of the deployment.
    ///
    /// # Errors
    /// [`LockError::Held`] names the process that holds it already.
    pub fn take(state: &StateDirectory, name: &Name) -> Result<Self, LockError> {
        /// A `status` looks at the lock by taking it, shared, for a moment; only who keeps it longer
        /// is a holder.
        const GLANCE: Duration = Duration::from_millis(100);
        match Wait::of(GLANCE).for_file(&|| state.lock_file(name, "holder")) {
            Ok(file) => Ok(Self { _file: file }),
            Err(LockError::Timeout { locker, .. }) => {
                Err(LockError::Held { name: name.clone(), locker })
            }
            Err(other) => Err(other),
        }
    }
}

/// The live holder of a deployment, if it has one.
pub(super) fn holder(state: &StateDirectory, name: &Name) -> Result<Option<Locker>, LockError> {
    let path = state.lock_path(name, "holder");
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(&path, source)),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(None),
        Err(Errno::WOULDBLOCK) => {
            let wrote = read_pid(&mut file);
            Ok(Locker::of(&file, wrote))
        }
        Err(errno) => Err(failed(&path, errno.into())),
    }
}

/// The pid that whoever locked a file wrote there; a directory has none.
fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).ok()?;
    text.trim().parse().ok()
}
