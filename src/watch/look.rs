//! What was read of the watched files at one moment.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Source;
use crate::model::digest::Digest;

/// The watched files as they were read.
#[derive(Debug, Default)]
pub struct Snapshot {
    files: BTreeMap<PathBuf, Result<Vec<u8>, Unread>>,
}

/// Why a file could not be read. An `io::Error` cannot be handed out twice.
#[derive(Clone, Debug)]
struct Unread {
    kind: io::ErrorKind,
    message: String,
}

/// What of a [`Snapshot`] is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Print {
    /// Of all paths and what was read of each, errors too.
    pub(super) digest: Digest,
    /// Whether every file is there and looks whole.
    pub(super) settled: bool,
}

impl Snapshot {
    /// Reads a file, unless this snapshot has it already.
    pub(super) fn read(&mut self, path: &Path, source: &dyn Source) -> Option<&[u8]> {
        if !self.files.contains_key(path) {
            let bytes = source.read(path).map_err(|error| Unread::from(&error));
            self.files.insert(path.to_owned(), bytes);
        }
        self.files.get(path)?.as_deref().ok()
    }

    /// The bytes of a file as they were read, or why they could not be.
    ///
    /// # Errors
    /// Those of the reading, and for a file that was not watched.
    pub fn bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.files.get(path) {
            Some(Ok(bytes)) => Ok(bytes.clone()),
            Some(Err(error)) => Err(io::Error::new(error.kind, error.message.clone())),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "it was not watched")),
        }
    }

    pub(super) fn print(&self) -> Print {
        let mut parts = Vec::new();
        for (path, file) in &self.files {
            let (tag, content) = match file {
                Ok(bytes) => ("file", Digest::of(bytes).to_string()),
                Err(error) => ("error", error.message.clone()),
            };
            parts.push((path, tag, content));
        }
        let parts = parts.iter().flat_map(|(path, tag, content)| {
            [path.as_os_str().as_bytes(), tag.as_bytes(), content.as_bytes()]
        });
        Print { digest: Digest::of_parts(parts), settled: self.files.values().all(is_settled) }
    }
}

impl From<&io::Error> for Unread {
    fn from(error: &io::Error) -> Self {
        Self { kind: error.kind(), message: error.to_string() }
    }
}

/// A file that is missing, empty or cut off is probably being replaced. Another error will not pass
/// by waiting.
fn is_settled(file: &Result<Vec<u8>, Unread>) -> bool {
    match file {
        Ok(bytes) => !bytes.is_empty() && !is_torn(bytes),
        Err(error) => error.kind != io::ErrorKind::NotFound,
    }
}

/// Whether it is an ELF file whose section headers end beyond its end: linkers write those last, so
/// that is how a file looks that is still being written.
fn is_torn(bytes: &[u8]) -> bool {
    const IDENTIFICATION: &[u8] = b"\x7fELF\x02\x01";
    const HEADER: usize = 64;
    if !bytes.starts_with(IDENTIFICATION) {
        return false;
    }
    let Some(header) = bytes.get(..HEADER) else { return true };
    let short = |at: usize| u64::from(u16::from_le_bytes([header[at], header[at + 1]]));
    // `e_shoff`, `e_shentsize` and `e_shnum` of elf(5).
    let offset: u64 = (0..8).map(|n| u64::from(header[0x28 + n]) << (8 * n)).sum();
    let end = offset.saturating_add(short(0x3a) * short(0x3c));
    end > bytes.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(offset: u64, count: u16) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[0x28..0x30].copy_from_slice(&offset.to_le_bytes());
        bytes[0x3a..0x3c].copy_from_slice(&64_u16.to_le_bytes());
        bytes[0x3c..0x3e].copy_from_slice(&count.to_le_bytes());
        bytes
    }

    #[test]
    fn an_elf_file_that_lacks_its_end_is_torn() {
        let mut whole = elf(64, 2);
        whole.resize(64 + 128, 0);
        assert!(!is_torn(&whole));
        for length in [8, 64, 65, 191] {
            assert!(is_torn(&whole[..length]), "{length}");
        }
        assert!(is_torn(&elf(u64::MAX, u16::MAX)), "no overflow");
        assert!(!is_torn(b"version = 1"));
    }

    #[test]
    fn what_is_missing_or_empty_has_not_settled_and_what_is_forbidden_has() {
        let error = |kind: io::ErrorKind| Err(Unread::from(&io::Error::from(kind)));
        assert!(!is_settled(&error(io::ErrorKind::NotFound)));
        assert!(is_settled(&error(io::ErrorKind::PermissionDenied)));
        assert!(!is_settled(&Ok(Vec::new())));
        assert!(is_settled(&Ok(b"x".to_vec())));
    }

    #[test]
    fn prints_tell_files_and_errors_apart() {
        let print = |files: &[(&str, Result<&[u8], io::ErrorKind>)]| {
            let files = files.iter().map(|(path, file)| {
                let file = file.map(<[u8]>::to_vec);
                let file = file.map_err(|kind| Unread::from(&io::Error::from(kind)));
                (PathBuf::from(path), file)
            });
            Snapshot { files: files.collect() }.print().digest
        };
        let denied = io::ErrorKind::PermissionDenied;
        let all = [
            print(&[]),
            print(&[("a", Ok(b"1"))]),
            print(&[("b", Ok(b"1"))]),
            print(&[("a", Ok(b"2"))]),
            print(&[("a", Ok(b"1")), ("b", Ok(b""))]),
            print(&[("a", Err(denied))]),
            print(&[("a", Err(io::ErrorKind::NotFound))]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert_eq!(all.iter().position(|other| other == one), Some(at));
        }
    }
}
