//! Files and directories as they are on disk, for who has no reader of their own.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::OBJECT_MAX;

/// Reads a regular file, and no more of it than tells that it is too large.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Looked at before it is opened: a FIFO without a writer would wait.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(OBJECT_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The manifests of a directory: its files `*.toml`, in the order of their names. Hidden files are
/// left out, and directories below are not entered, as with a `conf.d`: a directory holds what one
/// host is to run.
pub fn manifests_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let named = path.extension().is_some_and(|extension| extension == "toml");
        if named && !hidden && !path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
