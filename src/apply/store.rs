//! The records on disk: one inventory a deployment, replaced atomically.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::kernel::KernelError;
use crate::model::digest::Digest;
use crate::model::inventory::{INVENTORY_VERSION, Inventory};
use crate::model::name::Name;
use crate::model::pin::PinRoot;

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
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError { operation: "read", path, source }),
        };
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
        let failed = |source| StoreError { operation: "list", path: self.0.clone(), source };
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(failed(source)),
        };
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

    /// Makes the directory of records, if it is missing.
    pub(super) fn make(&self) -> Result<(), StoreError> {
        make_directory(&self.0)
    }

    /// Where the lock of a pin root's path is, beside the records; it is never removed.
    pub(super) fn root_lock_path(&self, root: &PinRoot) -> PathBuf {
        let digest = Digest::of(root.as_path().as_os_str().as_encoded_bytes()).to_string();
        self.0.join(format!("{}.root.lock", &digest[..16]))
    }

    /// Where a lock of a deployment is, beside the records; it is never removed.
    pub(super) fn lock_path(&self, name: &Name, kind: &str) -> PathBuf {
        // A name has no dot, so this cannot meet a deployment's directory.
        self.0.join(format!("{name}.{kind}.lock"))
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
