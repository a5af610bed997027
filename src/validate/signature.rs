//! Manifests that someone vouches for: signatures of minisign, a file beside the manifest.
//!
//! What is verified are the bytes that are parsed afterwards. A signature says who wrote a manifest,
//! and with the digests in it which objects are meant. It does not say that there is no newer one.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use minisign_verify::{Error, PublicKey, Signature};

use crate::model::code;
use crate::model::problem::Problem;

/// Largest signature, and largest public key, in bytes. What minisign writes has a few hundred.
pub const SIGNATURE_MAX: usize = 8 << 10;

/// A public key whose signatures are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey(PublicKey);

/// Text that is no public key of minisign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no public key of minisign: {0}")]
pub struct NoKey(String);

/// What `minisign -G` writes into `minisign.pub`, or the last line of it alone.
impl FromStr for TrustedKey {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        let line = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
        PublicKey::from_base64(line).map(Self).map_err(|error| NoKey(error.to_string()))
    }
}

/// Where the signature of a manifest lies: `edge.toml.minisig` beside `edge.toml`.
#[must_use]
pub fn signature_of(manifest: &Path) -> PathBuf {
    let mut path = manifest.as_os_str().to_owned();
    path.push(".minisig");
    path.into()
}

/// Why a signature does not vouch for a text.
enum Unsigned {
    /// It is nobody's whom we trust, or of another text.
    Refused(Error),
    /// It is of the form that older versions of minisign made.
    Legacy,
    /// It is no signature of minisign.
    Malformed,
}

impl fmt::Display for Unsigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(Error::UnexpectedKeyId) => {
                f.write_str("it was made with a key that is not trusted here")
            }
            Self::Refused(_) => f.write_str("it is of other bytes than the manifest has now"),
            Self::Legacy => f.write_str("it is of the form that minisign made before version 0.10"),
            Self::Malformed => f.write_str("it is not what minisign writes"),
        }
    }
}

/// Checks that one of `keys` has signed these bytes of a manifest, if there are any.
///
/// Nothing of the manifest is looked at before. `read` is asked for the signature once.
pub(super) fn check(
    manifest: &Path,
    bytes: &[u8],
    keys: &[TrustedKey],
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<(), Box<Problem>> {
    if keys.is_empty() {
        return Ok(());
    }
    let path = signature_of(manifest);
    let signature = read(&path).map_err(|error| missing(&path, manifest, &error))?;
    verify(bytes, &signature, keys).map_err(|unsigned| invalid(&path, manifest, &unsigned))
}

fn verify(bytes: &[u8], signature: &[u8], keys: &[TrustedKey]) -> Result<(), Unsigned> {
    let text = std::str::from_utf8(signature).ok().filter(|text| text.len() <= SIGNATURE_MAX);
    let signature = text.and_then(|text| Signature::decode(text).ok());
    let signature = signature.ok_or(Unsigned::Malformed)?;
    let mut refused = Unsigned::Refused(Error::UnexpectedKeyId);
    for TrustedKey(key) in keys {
        // Not the form without a hash before: a signature of one form would be one of the other, of
        // other bytes.
        match key.verify(bytes, &signature, false) {
            Ok(()) => return Ok(()),
            Err(Error::UnexpectedKeyId) => {}
            Err(Error::UnexpectedAlgorithm) => refused = Unsigned::Legacy,
            Err(error) => refused = Unsigned::Refused(error),
        }
    }
    Err(refused)
}

fn missing(path: &Path, manifest: &Path, error: &io::Error) -> Box<Problem> {
    let message = format!("its signature `{}` cannot be read: {error}", path.display());
    let problem = Problem::error(code::SIGNATURE_MISSING, None, message);
    Box::new(problem.help(format!(
        "only what a trusted key has signed is looked at; `minisign -Sm {}` signs",
        manifest.display()
    )))
}

fn invalid(path: &Path, manifest: &Path, unsigned: &Unsigned) -> Box<Problem> {
    let message = format!("its signature `{}` does not hold: {unsigned}", path.display());
    let problem = Problem::error(code::SIGNATURE_INVALID, None, message);
    Box::new(problem.help(format!(
        "nothing of the manifest was looked at; if it is what was reviewed, sign it again: \
         `minisign -Sm {}`",
        manifest.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    // By minisign 0.11 with a key made for this test.
    const KEY: &str = "RWT/WXv83qdS2QuhUJ+Pyanoo+Ahs9XkTFxteV3+L8iL3gHODC7PUC1o";
    const OTHER_KEY: &str = "RWRiRMETI6VOHbgmUi2sdsz63qoxiv2JxD3UCPkTWFXp3lTs8kMxsXGY";
    const TEXT: &str = "version = 1\nname = \"edge\"\n";
    const SIGNATURE: &str = "untrusted comment: signature\nRUT/WXv83qdS2dnaoD7KWP4IdILnQfQ3sxjimw8BdWbunhCoRaUds654s6mwle01WmJTN0rIi427dfXVPHWEY7wD012nO6uKcAw=\ntrusted comment: reviewed\n5frHFw5vCFKUelAiwbhJbe3RpIqi6iV6yJKC7WwySQKS8ZXSsezZQLlwewDOxDHkl32Ywtu9IGS5TsjzeQcAAA==\n";
    const LEGACY: &str = "untrusted comment: sig\nRWT/WXv83qdS2d6firX4DUONTEyirWrheA9RcG8k3hYOwfXRo/lpRUGW+DhU9bkFks9bk+grAW+62UF7NYkRFq88Xq/PrNnd1wo=\ntrusted comment: reviewed\notunvlv15BlsGAtfVj0ydHv6LPWiXFS39Ir3gdqy9csFXAhnUwuGibhoyDHDWgZnfcJ5bJkAehiNJUKZbXR5BQ==\n";

    fn key() -> TrustedKey {
        KEY.parse().expect("a public key")
    }

    fn said(bytes: &[u8], signature: &str, keys: &[TrustedKey]) -> String {
        verify(bytes, signature.as_bytes(), keys)
            .map_or_else(|unsigned| unsigned.to_string(), |()| "holds".to_owned())
    }

    #[test]
    fn what_minisign_signed_holds_and_no_other_byte() {
        assert_eq!(said(TEXT.as_bytes(), SIGNATURE, &[key()]), "holds");
        let changed = TEXT.replace("edge", "edgy");
        assert!(said(changed.as_bytes(), SIGNATURE, &[key()]).contains("other bytes"));
        assert!(said(b"", SIGNATURE, &[key()]).contains("other bytes"));
        // The comment that is signed too.
        let retold = SIGNATURE.replace("reviewed", "unviewed");
        assert_ne!(retold, SIGNATURE);
        assert!(said(TEXT.as_bytes(), &retold, &[key()]).contains("other bytes"));
    }

    #[test]
    fn one_of_several_keys_suffices_and_another_does_not() {
        let other: TrustedKey = OTHER_KEY.parse().expect("a public key");
        assert_eq!(said(TEXT.as_bytes(), SIGNATURE, &[other.clone(), key()]), "holds");
        assert!(said(TEXT.as_bytes(), SIGNATURE, &[other]).contains("not trusted"));
    }

    #[test]
    fn the_form_without_a_hash_is_refused_and_named() {
        assert!(said(TEXT.as_bytes(), LEGACY, &[key()]).contains("before version 0.10"));
    }

    #[test]
    fn a_damaged_signature_is_never_one_that_holds() {
        assert!(said(TEXT.as_bytes(), "", &[key()]).contains("not what minisign writes"));
        let bytes = SIGNATURE.as_bytes();
        // The first line is not signed.
        let signed = SIGNATURE.find('\n').expect("lines") + 1;
        for at in signed..bytes.len() - 1 {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 1;
            assert!(verify(TEXT.as_bytes(), &damaged, &[key()]).is_err(), "byte {at}");
            assert!(verify(TEXT.as_bytes(), &bytes[..at], &[key()]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_key_is_a_file_or_its_last_line() {
        let file = format!("untrusted comment: minisign public key 1234\n{KEY}\n");
        assert_eq!(file.parse(), Ok(key()));
        assert!("edge.pub".parse::<TrustedKey>().is_err());
        assert!("".parse::<TrustedKey>().is_err());
    }

    #[test]
    fn a_signature_lies_beside_its_manifest() {
        let signature = signature_of(Path::new("/etc/edge.toml"));
        assert_eq!(signature, Path::new("/etc/edge.toml.minisig"));
    }
}
