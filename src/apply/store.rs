//! The records on disk: one inventory a deployment, replaced atomically.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::model::inventory::{INVENTORY_VERSION, Inventory};
use crate::model::name::Name;

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
    ///
    /// # Errors
    /// If that fails; the old record is then still in place.
    pub fn save_or_remove(&self, inventory: &Inventory) -> Result<(), StoreError> {
        let owns_nothing = inventory.resources.is_empty()
            && inventory.objects.is_empty()
            && inventory.directories.is_empty()
            && inventory.root_directories.is_empty();
        if owns_nothing { self.remove(&inventory.name) } else { self.save(inventory) }
    }

    fn save(&self, inventory: &Inventory) -> Result<(), StoreError> {
        let path = self.inventory(&inventory.name);
        let fresh = path.with_extension("json.new");
        let failed = |source| StoreError { operation: "write", path: path.clone(), source };
        make_directory(path.parent().unwrap_or(&self.0))?;
        let text = serde_json::to_vec_pretty(inventory).map_err(|error| failed(error.into()))?;
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh);
        let mut file = file.map_err(failed)?;
        file.write_all(&text).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        fs::rename(&fresh, &path).map_err(failed)
    }

    fn remove(&self, name: &Name) -> Result<(), StoreError> {
        let path = self.inventory(name);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(StoreError { operation: "remove", path, source }),
        }
        let directory = self.0.join(name.as_str());
        let removed = fs::remove_dir(&directory);
        removed.map_err(|source| StoreError { operation: "remove", path: directory, source })
    }

    /// A file beside the records that is never removed, for a lock.
    pub(super) fn lock_file(&self, name: &Name, kind: &str) -> Result<PathBuf, StoreError> {
        make_directory(&self.0)?;
        Ok(self.lock_path(name, kind))
    }

    /// Where [`lock_file`](Self::lock_file) is, whether or not it exists.
    pub(super) fn lock_path(&self, name: &Name, kind: &str) -> PathBuf {
        // A name has no dot, so this cannot meet a deployment's directory.
        self.0.join(format!("{name}.{kind}.lock"))
    }

    fn inventory(&self, name: &Name) -> PathBuf {
        self.0.join(name.as_str()).join("inventory.json")
    }
}

fn make_directory(directory: &Path) -> Result<(), StoreError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|source| StoreError {
        operation: "make directory",
        path: directory.to_owned(),
        source,
    })
}
