//! Two locks: *apply*, held for one run, and *holder*, held for a process's life.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::model::name::Name;
use crate::model::pin::PinRoot;

use super::store::{StateDirectory, StoreError};

/// A lock that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds the deployment.
    #[error("deployment `{name}` is held by pid {pid}", pid = pid.map_or("unknown".to_owned(), |pid| pid.to_string()))]
    Held {
        /// The deployment.
        name: Name,
        /// The process, if it said so.
        pid: Option<u32>,
    },
    /// Another run did not end in time.
    #[error("another run has had {path} locked for {waited:?}", path = .path.display())]
    Timeout {
        /// The lock.
        path: PathBuf,
        /// How long we waited.
        waited: Duration,
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
    let deadline = deadline(timeout);
    let mut files = Vec::new();
    for path in [state.lock_path(name, "apply"), state.root_lock_path(root)] {
        let file = open(state, &path)?;
        wait(&file, &path, timeout, deadline)?;
        files.push(file);
    }
    files.extend(lock_root(root, timeout, deadline)?);
    Ok(ApplyLock { _files: files })
}

/// Locks the root's directory. It may be removed and made anew while we wait, so what was locked is
/// compared with what is there.
fn lock_root(
    root: &PinRoot,
    timeout: Duration,
    deadline: Option<Instant>,
) -> Result<Option<File>, LockError> {
    let path = root.as_path();
    let failed = |source| LockError::File { path: path.to_owned(), source };
    loop {
        let directory = match File::open(path) {
            Ok(directory) => directory,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        wait(&directory, path, timeout, deadline)?;
        let locked = directory.metadata().map_err(failed)?;
        match path.metadata() {
            Ok(found) if (found.dev(), found.ino()) == (locked.dev(), locked.ino()) => {
                return Ok(Some(directory));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(failed(source)),
        }
    }
}

/// When to give up; `None` for a time beyond the clock's end.
fn deadline(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

fn wait(
    file: &File,
    path: &Path,
    timeout: Duration,
    deadline: Option<Instant>,
) -> Result<(), LockError> {
    /// flock(2) has no timeout, so the lock is tried again and again.
    const PAUSE: Duration = Duration::from_millis(20);
    while !try_lock(file, path)? {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(LockError::Timeout { path: path.to_owned(), waited: timeout });
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn try_lock(file: &File, path: &Path) -> Result<bool, LockError> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(LockError::File { path: path.to_owned(), source: errno.into() }),
    }
}

/// Opens a lock file, which is made if it is missing, and so is the directory of records.
fn open(state: &StateDirectory, path: &Path) -> Result<File, LockError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            state.make()?;
            options.open(path)
        }
        answer => answer,
    };
    file.map_err(|source| LockError::File { path: path.to_owned(), source })
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
        let path = state.lock_path(name, "holder");
        let mut file = open(state, &path)?;
        match wait(&file, &path, GLANCE, deadline(GLANCE)) {
            Ok(()) => {}
            Err(LockError::Timeout { .. }) => {
                return Err(LockError::Held { name: name.clone(), pid: read_pid(&mut file) });
            }
            Err(other) => return Err(other),
        }
        let pid = format!("{}\n", std::process::id());
        let written = file.set_len(0).and_then(|()| file.write_all(pid.as_bytes()));
        written.map_err(|source| LockError::File { path, source })?;
        Ok(Self { _file: file })
    }
}

/// Pid of the live holder of a deployment, if it has one.
pub(super) fn holder(state: &StateDirectory, name: &Name) -> Result<Option<u32>, LockError> {
    let path = state.lock_path(name, "holder");
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(LockError::File { path, source }),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(None),
        Err(Errno::WOULDBLOCK) => Ok(read_pid(&mut file)),
        Err(errno) => Err(LockError::File { path, source: errno.into() }),
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).ok()?;
    text.trim().parse().ok()
}
