//! Signs as people do: with minisign(1).

use std::path::{Path, PathBuf};
use std::process::Command;

/// A pair of keys in files of their own.
pub(crate) struct Signer {
    secret: PathBuf,
    public: PathBuf,
}

impl Signer {
    /// Makes keys without a password in a directory.
    pub(crate) fn new(directory: &Path, name: &str) -> Self {
        let secret = directory.join(format!("{name}.key"));
        let public = directory.join(format!("{name}.pub"));
        minisign(
            Command::new("minisign").args(["-G", "-W", "-s"]).arg(&secret).arg("-p").arg(&public),
        );
        Self { secret, public }
    }

    /// The file of the public key.
    pub(crate) fn public(&self) -> String {
        self.public.display().to_string()
    }

    /// Writes the signature of a file beside it.
    pub(crate) fn sign(&self, file: impl AsRef<Path>) {
        minisign(
            Command::new("minisign")
                .args(["-S", "-s"])
                .arg(&self.secret)
                .arg("-m")
                .arg(file.as_ref()),
        );
    }
}

fn minisign(command: &mut Command) {
    let done = command.output().expect("minisign is installed; `make deps` does that");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
