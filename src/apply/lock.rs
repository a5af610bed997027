//! Two locks: *apply*, held for one run, and *holder*, held for a process's life.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::model::name::Name;
use crate::model::pin::PinRoot;

use super::locker::Locker;
use super::progress::{Lock, Observer, Progress};
use super::store::{LockName, Records, StateDirectory, StoreError};

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
    /// The directory that its files lie in.
    pub(super) records: Records,
    _files: Vec<File>,
}

/// Takes the apply lock: of the deployment, of the pin root's path, and of its directory if it exists.
///
/// The path's lock is for runs that are about to make the root; the directory's is for those whose
/// records lie elsewhere.
pub(super) fn apply(
    state: &StateDirectory,
    (name, root): (&Name, &PinRoot),
    timeout: Duration,
    observer: &dyn Observer,
) -> Result<ApplyLock, LockError> {
    let wait = Wait::of(timeout.max(GLANCE), observer);
    let of_root = Lock::PinRoot(root.as_path());
    let locks =
        [(LockName::of(name, "apply"), Lock::Deployment(name)), (LockName::of_root(root), of_root)];
    let (records, mut files) = wait.for_files(state, &locks)?;
    files.extend(wait.for_root(root.as_path())?);
    Ok(ApplyLock { records, _files: files })
}

/// A `status` looks at a lock by taking it, shared, for a moment; only who keeps it longer has it.
const GLANCE: Duration = Duration::from_millis(100);

/// How often it is looked up who has a lock that is waited for.
const LOOK: Duration = Duration::from_secs(1);

/// How long to wait for locks.
struct Wait<'o> {
    timeout: Duration,
    /// When to give up; `None` for a time beyond the clock's end.
    deadline: Option<Instant>,
    /// Who is told of it.
    observer: &'o dyn Observer,
}

impl<'o> Wait<'o> {
    fn of(timeout: Duration, observer: &'o dyn Observer) -> Self {
        Self { timeout, deadline: Instant::now().checked_add(timeout), observer }
    }

    /// Locks files in the state directory, all of which is made, and writes down who has them.
    fn for_files(
        &self,
        state: &StateDirectory,
        locks: &[(LockName, Lock<'_>)],
    ) -> Result<(Records, Vec<File>), LockError> {
        'anew: loop {
            let records = state.make()?;
            let mut files = Vec::with_capacity(locks.len() + 1);
            for (lock, what) in locks {
                let path = records.lock_path(lock);
                let opened = records.make_lock(lock).map_err(|source| failed(&path, source))?;
                // One that was removed while we waited, with its directory or alone, is made anew.
                let Some(file) = opened else { continue 'anew };
                let Some((mut file, length)) = self.for_inode(file, &path, *what)? else {
                    continue 'anew;
                };
                sign(&mut file, length).map_err(|source| failed(&path, source))?;
                files.push(file);
            }
            return Ok((records, files));
        }
    }

    /// Locks the directory of a pin root; `None` if there is none.
    fn for_root(&self, path: &Path) -> Result<Option<File>, LockError> {
        loop {
            match File::open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(source) => return Err(failed(path, source)),
                Ok(file) => {
                    if let Some((file, _)) = self.for_inode(file, path, Lock::PinRoot(path))? {
                        return Ok(Some(file));
                    }
                }
            }
        }
    }

    /// Locks what was opened at `path`, and tells its length. It may be removed and made anew while we
    /// wait, so what was locked is compared with what is there; `None` if that is something else.
    fn for_inode(
        &self,
        mut file: File,
        path: &Path,
        what: Lock<'_>,
    ) -> Result<Option<(File, u64)>, LockError> {
        self.lock(&mut file, path, what)?;
        let locked = file.metadata().map_err(|source| failed(path, source))?;
        match path.metadata() {
            Ok(found) if (found.dev(), found.ino()) == (locked.dev(), locked.ino()) => {
                Ok(Some((file, locked.len())))
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path, error)),
            _ => Ok(None),
        }
    }

    fn lock(&self, file: &mut File, path: &Path, what: Lock<'_>) -> Result<(), LockError> {
        /// flock(2) has no timeout, so the lock is tried again and again.
        const PAUSE: Duration = Duration::from_millis(20);
        // A glance takes less.
        let mut look = Instant::now() + GLANCE;
        let mut seen = None;
        while !try_lock(file, path)? {
            let now = Instant::now();
            if now >= look {
                let wrote = read_pid(file);
                seen = Some(Locker::of(file, wrote));
                look = now + LOOK;
            }
            if let Some(locker) = &seen {
                self.observer.tell(Progress::Lock { lock: what, locker: locker.as_ref() });
            }
            if self.deadline.is_some_and(|deadline| now >= deadline) {
                let wrote = read_pid(file);
                return Err(LockError::Timeout {
                    path: path.to_owned(),
                    waited: self.timeout,
                    locker: Locker::of(file, wrote),
                });
            }
            thread::sleep(PAUSE);
        }
        if seen.is_some() {
            self.observer.tell(Progress::Done);
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

/// Writes down who has a lock, in a file of that length.
fn sign(file: &mut File, length: u64) -> io::Result<()> {
    let text = format!("{}\n", std::process::id());
    if length > text.len() as u64 {
        file.set_len(0)?;
    }
    file.write_all(text.as_bytes())
}

fn failed(path: &Path, source: io::Error) -> LockError {
    LockError::File { path: path.to_owned(), source }
}

/// The right to be the one process that holds a deployment.
#[derive(Debug)]
pub struct Holder {
    _files: Vec<File>,
}

impl Holder {
    /// Becomes the holder of the deployment.
    ///
    /// # Errors
    /// [`LockError::Held`] names the process that holds it already.
    pub fn take(state: &StateDirectory, name: &Name) -> Result<Self, LockError> {
        let lock = (LockName::of(name, "holder"), Lock::Deployment(name));
        match Wait::of(GLANCE, &()).for_files(state, &[lock]) {
            Ok((_, files)) => Ok(Self { _files: files }),
            Err(LockError::Timeout { locker, .. }) => {
                Err(LockError::Held { name: name.clone(), locker })
            }
            Err(other) => Err(other),
        }
    }
}

/// The live holder of a deployment, if it has one.
pub(super) fn holder(records: &Records, name: &Name) -> Result<Option<Locker>, LockError> {
    let Some(mut file) = busy(records, &LockName::of(name, "holder"))? else { return Ok(None) };
    let wrote = read_pid(&mut file);
    Ok(Locker::of(&file, wrote))
}

/// Whether a run is changing a deployment.
pub(super) fn is_changing(records: &Records, name: &Name) -> Result<bool, LockError> {
    Ok(busy(records, &LockName::of(name, "apply"))?.is_some())
}

/// A lock that another process has; `None` if it is free.
fn busy(records: &Records, lock: &LockName) -> Result<Option<File>, LockError> {
    let path = records.lock_path(lock);
    let opened = records.existing_lock(lock).map_err(|source| failed(&path, source))?;
    let Some(file) = opened else { return Ok(None) };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(None),
        Err(Errno::WOULDBLOCK) => Ok(Some(file)),
        Err(errno) => Err(failed(&path, errno.into())),
    }
}

/// The pid that whoever locked a file wrote there; a directory has none.
fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).ok()?;
    text.trim().parse().ok()
}
