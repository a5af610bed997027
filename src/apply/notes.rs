//! Since when resources have drifted, as the process that watches a deployment has noticed.
//!
//! A status changes nothing, and the kernel does not tell when something was changed, so this is all
//! there is to know. The notes lie beside the record and are as disposable; they hold for the
//! generation in which they were made, since each apply mends what has drifted.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::model::address::Address;
use crate::model::moment::Moment;
use crate::model::name::Name;
use crate::trust;

use super::store::{NOTES, Records, StateDirectory, StoreError};

/// When each resource was first seen to have drifted.
pub type Since = BTreeMap<Address, Moment>;

#[derive(Serialize, Deserialize)]
struct Notes {
    generation: u64,
    since: Since,
}

impl StateDirectory {
    /// Notes what of a deployment is seen to have drifted now; what was noted before keeps its time,
    /// and what is in sync again is forgotten.
    ///
    /// # Errors
    /// If the notes cannot be written.
    pub fn note_drift(
        &self,
        (name, generation): (&Name, u64),
        drifted: impl IntoIterator<Item = Address>,
        now: Moment,
    ) -> Result<(), StoreError> {
        let records = self.open()?;
        let before = records.drifted_since(name, generation);
        let first = |address: &Address| before.get(address).copied().unwrap_or(now);
        let since: Since =
            drifted.into_iter().map(|address| (address.clone(), first(&address))).collect();
        if since.is_empty() {
            records.forget_notes(name);
            return Ok(());
        }
        records.save_notes(name, &serde_json::json!(Notes { generation, since }).to_string())
    }
}

impl Records {
    /// What was noted of that generation. Notes that cannot be read are none.
    pub(super) fn drifted_since(&self, name: &Name, generation: u64) -> Since {
        let found = self.notes(name).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let current = found.filter(|notes: &Notes| notes.generation == generation);
        current.map(|notes| notes.since).unwrap_or_default()
    }

    fn notes(&self, name: &Name) -> io::Result<Vec<u8>> {
        let directory = self.directory.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let below = Path::new(name.as_str()).join(NOTES);
        let mut notes = trust::file_below(directory.as_fd(), &self.path, &below)?;
        if !notes.exposures.is_empty() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut text = Vec::new();
        notes.file.read_to_end(&mut text)?;
        Ok(text)
    }
}
