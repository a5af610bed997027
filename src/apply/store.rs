//! The records on disk: one inventory a deployment, replaced atomically.
//!
//! The directory they lie in is opened and judged once for a run; all that is read, written and locked
//! in it is reached from that descriptor.

use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

use crate::kernel::KernelError;
use crate::model::digest::Digest;
use crate::model::inventory::{INVENTORY_VERSION, Inventory};
use crate::model::name::Name;
use crate::model::pin::PinRoot;
use crate::trust;

/// The directory of all records, `/run/ebpf-apply`: it goes with the boot, as bpffs does.
#[derive(Clone, Debug)]
pub struct StateDirectory(PathBuf);

/// A record that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {path}: {source}", path = .path.display())]
pub struct StoreError {
    /// What was tried.
    pub operation: &'static str,
    /// On which file.
    pub path: PathBuf,
    /// The answer.
    pub source: io::Error,
}

impl StoreError {
    /// The same as an error of a run that could not be undone.
    pub(super) fn into_kernel_error(self) -> KernelError {
        let operation = format!("{} the record", self.operation);
        KernelError::reason(operation, self.source.to_string()).at(self.path)
    }
}

impl StateDirectory {
    /// Where the records are unless the user says otherwise.
    pub const DEFAULT: &'static str = "/run/ebpf-apply";

    /// Records below `directory`, which is made when something is first recorded.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    /// The record of a deployment; `None` if there is none, or none that can be understood.
    ///
    /// A record is disposable: a damaged one counts as lost, and a warning says so.
    ///
    /// # Errors
    /// If the directory is not to be trusted, or the file is there and cannot be read.
    pub fn load(&self, name: &Name) -> Result<Option<Inventory>, StoreError> {
        self.open()?.load(name)
    }

    /// Opens the directory to read what lies in it. Without one there are no records.
    pub(super) fn open(&self) -> Result<Records, StoreError> {
        Ok(Records { directory: judged(&self.0)?, path: self.0.clone() })
    }

    /// Opens the directory, made if it is missing, to write in it.
    pub(super) fn make(&self) -> Result<Records, StoreError> {
        let directory = judged(&self.0)?;
        if directory.is_some() {
            return Ok(Records { directory, path: self.0.clone() });
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.0);
        made.map_err(|source| self.failed("make directory", source))?;
        // Somebody else may have made it a moment ago, so this one is judged too.
        match judged(&self.0)? {
            None => Err(self.failed("make directory", Errno::NOENT.into())),
            directory => Ok(Records { directory, path: self.0.clone() }),
        }
    }

    fn failed(&self, operation: &'static str, source: io::Error) -> StoreError {
        StoreError { operation, path: self.0.clone(), source }
    }
}

/// The directory if it is there. What lies in it decides what is unlinked, so one that others can
/// write to is an error. So is one that others can enter: whoever can open a lock can take it.
fn judged(path: &Path) -> Result<Option<OwnedFd>, StoreError> {
    let failed = |source| StoreError { operation: "trust", path: path.to_owned(), source };
    let opened = match trust::directory_itself(path) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::LOOP) => {
            return Err(failed(io::Error::other(
                "it is a symbolic link; name the directory itself with `--state-dir`",
            )));
        }
        Err(source) => return Err(failed(source)),
    };
    if let Some(exposure) = opened.exposures.first() {
        let reason = format!("{exposure}; `{}` mends it", exposure.mend());
        return Err(failed(io::Error::other(reason)));
    }
    if opened.mode & 0o077 != 0 {
        let (mode, path) = (opened.mode, path.display());
        let reason = format!("others may enter it (mode {mode:04o}); `chmod 700 {path}` mends it");
        return Err(failed(io::Error::other(reason)));
    }
    Ok(Some(opened.file))
}

/// An open state directory that only root and the user can change.
#[derive(Debug)]
pub(super) struct Records {
    /// None if there is no such directory.
    pub(super) directory: Option<OwnedFd>,
    pub(super) path: PathBuf,
}

/// A deployment's record, in a directory of its name.
const INVENTORY: &str = "inventory.json";

/// What was noticed of a deployment between its applies.
pub(super) const NOTES: &str = "drift.json";

/// What a file is written to before it takes the old one's place.
fn fresh(file: &str) -> String {
    format!("{file}.new")
}

/// The mode of what is written: for its owner only, whatever the umask.
const OWN_FILE: Mode = Mode::RUSR.union(Mode::WUSR);

impl Records {
    /// The record of a deployment, see [`StateDirectory::load`].
    pub(super) fn load(&self, name: &Name) -> Result<Option<Inventory>, StoreError> {
        let Some(directory) = &self.directory else { return Ok(None) };
        let path = self.path.join(name.as_str()).join(INVENTORY);
        let failed = |source| StoreError { operation: "read", path: path.clone(), source };
        let below = Path::new(name.as_str()).join(INVENTORY);
        let mut record = match trust::file_below(directory.as_fd(), &self.path, &below) {
            Ok(record) => record,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        if let Some(exposure) = record.exposures.first() {
            tracing::warn!(path = %path.display(), "record ignored, since {exposure}");
            return Ok(None);
        }
        let mut text = Vec::new();
        record.file.read_to_end(&mut text).map_err(failed)?;
        match serde_json::from_slice::<Inventory>(&text) {
            Ok(inventory) if inventory.format_version == INVENTORY_VERSION => Ok(Some(inventory)),
            Ok(inventory) => {
                let version = inventory.format_version;
                tracing::warn!(path = %path.display(), version, "record of another version ignored");
                Ok(None)
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "damaged record ignored");
                Ok(None)
            }
        }
    }

    /// The names of all deployments on record, sorted.
    pub(super) fn names(&self) -> Result<Vec<Name>, StoreError> {
        let Some(directory) = &self.directory else { return Ok(Vec::new()) };
        let failed = |errno: Errno| StoreError {
            operation: "list",
            path: self.path.clone(),
            source: errno.into(),
        };
        let has_record = |name: &Name| {
            let record = Path::new(name.as_str()).join(INVENTORY);
            rustix::fs::statat(directory, &record, AtFlags::empty()).is_ok()
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let readable = rustix::fs::openat(directory, ".", flags, Mode::empty()).map_err(failed)?;
        let mut names = Vec::new();
        for entry in Dir::new(readable).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_str().ok().and_then(|name| Name::new(name).ok());
            names.extend(name.filter(has_record));
        }
        names.sort();
        Ok(names)
    }

    /// Writes the record, or removes it once the deployment owns nothing.
    pub(super) fn save_or_remove(&self, inventory: &Inventory) -> Result<(), StoreError> {
        let directories =
            !inventory.directories.is_empty() || !inventory.root_directories.is_empty();
        if inventory.is_spent() && !directories {
            self.remove(&inventory.name)
        } else {
            self.save(inventory)
        }
    }

    /// Makes the record what it was.
    pub(super) fn restore(
        &self,
        name: &Name,
        before: Option<&Inventory>,
    ) -> Result<(), StoreError> {
        match before {
            Some(inventory) => self.save(inventory),
            None => self.remove(name),
        }
    }

    /// Writes the record. If that fails, the old one is still in place.
    pub(super) fn save(&self, inventory: &Inventory) -> Result<(), StoreError> {
        let name = inventory.name.as_str();
        let text = serde_json::to_vec_pretty(inventory)
            .map_err(|error| self.failed("write", name, error.into()))?;
        match self.write(name, INVENTORY, &text) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // The directory was removed since it was opened.
                let anew = StateDirectory(self.path.clone()).make()?;
                anew.write(name, INVENTORY, &text)
                    .map_err(|source| self.failed("write", name, source))
            }
            written => written.map_err(|source| self.failed("write", name, source)),
        }
    }

    /// Writes the notes of a deployment that has a record; of one without there is nothing to note.
    pub(super) fn save_notes(&self, name: &Name, text: &str) -> Result<(), StoreError> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let record = format!("{name}/{INVENTORY}");
        if rustix::fs::statat(directory, &record, AtFlags::empty()).is_err() {
            return Ok(());
        }
        let written = self.write(name.as_str(), NOTES, text.as_bytes());
        written.map_err(|source| self.failed("write the notes beside", name.as_str(), source))
    }

    /// Removes the notes of a deployment, if there are any.
    pub(super) fn forget_notes(&self, name: &Name) {
        let Some(directory) = &self.directory else { return };
        for file in [fresh(NOTES), NOTES.to_owned()] {
            // Most often there are none; what stays is of another generation soon.
            let _ = rustix::fs::unlinkat(directory, format!("{name}/{file}"), AtFlags::empty());
        }
    }

    /// Writes a file that only its owner may read, and puts it in the old one's place. It lies on a
    /// tmpfs that goes with the boot, as what it tells of does, so nothing is gained by waiting for a
    /// disk.
    fn write(&self, name: &str, file: &str, text: &[u8]) -> io::Result<()> {
        let directory = self.directory.as_ref().ok_or(Errno::NOENT)?;
        let (fresh, record) = (format!("{name}/{}", fresh(file)), format!("{name}/{file}"));
        let open = || {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
            rustix::fs::openat(directory, &fresh, flags | OFlags::NOFOLLOW, OWN_FILE)
        };
        let file = match open() {
            Err(Errno::NOENT) => {
                rustix::fs::mkdirat(directory, name, Mode::RWXU)?;
                open()?
            }
            opened => opened?,
        };
        let written = File::from(file).write_all(text);
        written
            .and_then(|()| Ok(rustix::fs::renameat(directory, &fresh, directory, &record)?))
            .inspect_err(|_| {
                // What is left of it would only be in the way; that it cannot be removed is no news.
                let _ = rustix::fs::unlinkat(directory, &fresh, AtFlags::empty());
                let _ = rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR);
            })
    }

    fn remove(&self, name: &Name) -> Result<(), StoreError> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let unlink = |file: &str| {
            rustix::fs::unlinkat(directory, format!("{name}/{file}"), AtFlags::empty())
        };
        match unlink(INVENTORY) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(self.failed("remove", name.as_str(), errno.into())),
        }
        // With the record gone, the rest means nothing; a directory with someone's file in it stays.
        let _ = unlink(&fresh(INVENTORY));
        self.forget_notes(name);
        let _ = rustix::fs::unlinkat(directory, name.as_str(), AtFlags::REMOVEDIR);
        Ok(())
    }

    /// Opens a file beside the records that is never removed, for a lock. It is made if it is missing;
    /// `None` if the directory was removed since it was opened.
    pub(super) fn make_lock(&self, lock: &LockName) -> io::Result<Option<File>> {
        let flags = OFlags::RDWR | OFlags::CREATE;
        self.open_lock(lock, flags)
    }

    /// Opens such a file to look at it; `None` if there is none.
    pub(super) fn existing_lock(&self, lock: &LockName) -> io::Result<Option<File>> {
        self.open_lock(lock, OFlags::RDONLY)
    }

    fn open_lock(&self, lock: &LockName, how: OFlags) -> io::Result<Option<File>> {
        let Some(directory) = &self.directory else { return Ok(None) };
        let flags = how | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(directory, &lock.0, flags, OWN_FILE) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Where a lock is, whether or not it exists.
    pub(super) fn lock_path(&self, lock: &LockName) -> PathBuf {
        self.path.join(&lock.0)
    }

    fn failed(&self, operation: &'static str, name: &str, source: io::Error) -> StoreError {
        StoreError { operation, path: self.path.join(name).join(INVENTORY), source }
    }
}

/// The name of a lock's file. A deployment's name has no dot, so this cannot meet its directory.
#[derive(Debug)]
pub(super) struct LockName(String);

impl LockName {
    /// The lock of that kind of a deployment.
    pub(super) fn of(name: &Name, kind: &str) -> Self {
        Self(format!("{name}.{kind}.lock"))
    }

    /// The lock of a pin root's path.
    pub(super) fn of_root(root: &PinRoot) -> Self {
        let digest = Digest::of(root.as_path().as_os_str().as_encoded_bytes()).to_string();
        Self(format!("{}.root.lock", &digest[..16]))
    }
}
