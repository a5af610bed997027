//! What is demanded of a manifest beyond being valid.

use crate::model::release::Release;

use super::signature::TrustedKey;

/// What whoever checks or applies a manifest demands of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// Linux of that release has all that is needed.
    pub kernel: Option<Release>,
    /// Every object has its digest, see [`Demands::wants_digests`].
    pub digests: bool,
    /// One of these keys has signed the manifest; none: it need not be signed.
    pub keys: Vec<TrustedKey>,
}

impl Demands {
    /// Whether every object must have its digest. A signature of a manifest without them would vouch
    /// for no byte of what is loaded.
    #[must_use]
    pub fn wants_digests(&self) -> bool {
        self.digests || !self.keys.is_empty()
    }
}
