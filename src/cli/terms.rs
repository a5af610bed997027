//! On which terms a manifest is acted upon: what is demanded of it, and of the files it is in.

use std::ffi::OsStr;
use std::path::Path;

use crate::validate::{Demands, SIGNATURE_MAX, TrustedKey};

use super::ExitStatus;
use super::args::TrustArgs;
use super::context::Context;
use super::reader::{Exposed, Reader};

/// The terms of a command. Keys are read once, so that no reload trusts another one.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// What is demanded of the manifest.
    pub(super) demands: Demands,
    /// What it means that others could change the files.
    pub(super) exposed: Exposed,
}

impl Terms {
    /// Those that were asked for. Whoever could change the file of a key could sign whatever they like.
    pub(super) fn of(
        args: &TrustArgs,
        exposed: Exposed,
        context: &Context,
    ) -> Result<Self, ExitStatus> {
        let keys: Result<_, _> =
            args.trusted_keys.iter().map(|named| key(named, exposed, context)).collect();
        let demands = Demands { kernel: None, digests: args.require_digests, keys: keys? };
        Ok(Self { demands, exposed })
    }
}

/// The key that is written on the command line, or in the file of that name.
fn key(named: &OsStr, exposed: Exposed, context: &Context) -> Result<TrustedKey, ExitStatus> {
    if let Some(key) = named.to_str().and_then(|text| text.parse().ok()) {
        return Ok(key);
    }
    let path = Path::new(named);
    let invalid = |what: &str| {
        context.invalid(&format!("cannot use the trusted key {}: {what}", path.display()))
    };
    let bytes =
        Reader::read_alone(path, SIGNATURE_MAX, exposed).map_err(|error| invalid(&error))?;
    String::from_utf8_lossy(&bytes).parse().map_err(|error| invalid(&format!("{error}")))
}
