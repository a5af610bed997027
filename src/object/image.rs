//! An object file read once: the bytes that are hashed are those inspected and those loaded.

use std::path::PathBuf;

use super::error::InspectError;
use super::inspect::inspect;
use crate::model::digest::Digest;
use crate::model::object::ObjectSpec;

/// An object in memory with what it declares.
#[derive(Clone, Debug)]
pub struct Image {
    /// Where it was read, for messages.
    pub path: PathBuf,
    /// The file's contents.
    pub bytes: Vec<u8>,
    /// Of `bytes`.
    pub digest: Digest,
    /// What `bytes` declare.
    pub spec: ObjectSpec,
}

impl Image {
    /// The object's name as libbpf derives it from its file's (`bpf_object__new`): up to the first
    /// dot.
    #[must_use]
    pub fn name(&self) -> &str {
        let file = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        file.split('.').next().unwrap_or_default()
    }

    /// Hashes and inspects `bytes`; `path` is not opened.
    pub fn new(path: impl Into<PathBuf>, bytes: Vec<u8>) -> Result<Self, InspectError> {
        let spec = inspect(&bytes)?;
        let digest = Digest::of(&bytes);
        Ok(Self { path: path.into(), bytes, digest, spec })
    }
}
