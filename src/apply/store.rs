//! The records on disk: one inventory a deployment, replaced atomically.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

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
    /// If the file is there and cannot be read.
    pub fn load(&self, name: &Name) -> Result<Option<Inventory>, StoreError> {
        let path = self.inventory(name);
        if !self.check()? {
            return Ok(None);
        }
        let failed = |source| StoreError { operation: "read", path: path.clone(), source };
        let mut record = match trust::file(&path) {
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
    ///
    /// # Errors
    /// If the directory is there and cannot be read.
    pub fn names(&self) -> Result<Vec<Name>, StoreError> {
        if !self.check()? {
            return Ok(Vec::new());
        }
        let failed = |source| StoreError { operation: "list", path: self.0.clone(), source };
        let entries = fs::read_dir(&self.0).map_err(failed)?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_str().and_then(|name| Name::new(name).ok());
            names.extend(name.filter(|name| self.inventory(name).exists()));
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
        let path = self.inventory(&inventory.name);
        let fresh = path.with_extension("json.new");
        let failed = |source| StoreError { operation: "write", path: path.clone(), source };
        self.prepare()?;
        make_directory(path.parent().unwrap_or(&self.0))?;
        let text = serde_json::to_vec_pretty(inventory).map_err(|error| failed(error.into()))?;
        let written = write(&fresh, &text).and_then(|()| fs::rename(&fresh, &path));
        written.map_err(|source| {
            // What is left of it would only be in the way; that it cannot be removed is no news.
            let _ = fs::remove_file(&fresh);
            let _ = fs::remove_dir(path.parent().unwrap_or(&self.0));
            failed(source)
        })
    }

    fn remove(&self, name: &Name) -> Result<(), StoreError> {
        let path = self.inventory(name);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(StoreError { operation: "remove", path, source }),
        }
        // With the record gone, the rest means nothing; a directory with someone's file in it stays.
        let _ = fs::remove_file(path.with_extension("json.new"));
        let _ = fs::remove_dir(self.0.join(name.as_str()));
        Ok(())
    }

    /// A file beside the records that is never removed, for a lock.
    pub(super) fn lock_file(&self, name: &Name, kind: &str) -> Result<PathBuf, StoreError> {
        self.prepare()?;
        Ok(self.lock_path(name, kind))
    }

    /// The same for the path of a pin root.
    pub(super) fn root_lock_file(&self, root: &PinRoot) -> Result<PathBuf, StoreError> {
        self.prepare()?;
        let digest = Digest::of(root.as_path().as_os_str().as_encoded_bytes()).to_string();
        Ok(self.0.join(format!("{}.root.lock", &digest[..16])))
    }

    /// Where [`lock_file`](Self::lock_file) is, whether or not it exists.
    pub(super) fn lock_path(&self, name: &Name, kind: &str) -> PathBuf {
        // A name has no dot, so this cannot meet a deployment's directory.
        self.0.join(format!("{name}.{kind}.lock"))
    }

    /// Makes the directory if it is missing.
    fn prepare(&self) -> Result<(), StoreError> {
        make_directory(&self.0)?;
        self.check().map(drop)
    }

    /// Whether the directory is there. What lies in it decides what is unlinked, so one that others
    /// can write to is an error. So is one that others can enter: whoever can open a lock can take it.
    fn check(&self) -> Result<bool, StoreError> {
        let failed = |source| StoreError { operation: "trust", path: self.0.clone(), source };
        let opened = match trust::directory_itself(&self.0) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
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
            let (mode, path) = (opened.mode, self.0.display());
            let reason =
                format!("others may enter it (mode {mode:04o}); `chmod 700 {path}` mends it");
            return Err(failed(io::Error::other(reason)));
        }
        Ok(true)
    }

    fn inventory(&self, name: &Name) -> PathBuf {
        self.0.join(name.as_str()).join("inventory.json")
    }
}

/// Writes a new file that only its owner may read. It lies on a tmpfs that goes with the boot, as what
/// it tells of does, so nothing is gained by waiting for a disk.
fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(text)
}

fn make_directory(directory: &Path) -> Result<(), StoreError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|source| StoreError {
        operation: "make directory",
        path: directory.to_owned(),
        source,
    })
}
