//! The end of a link.

use std::path::Path;

use super::super::{KernelError, Result};
use super::fault::CallKind;
use super::{Fake, Handle};
use crate::model::identity::ObjectKind;

impl Fake {
    /// Removes a link's pin and the link with it; brings the pin back if the link stays.
    pub(super) fn release(&self, link: Handle, pin: &Path, name: &str) -> Result<()> {
        const OPERATION: &str = "let go of the link";
        let mut state = self.act(CallKind::ReleaseLink, name)?;
        state.expect(link.object, ObjectKind::Link, OPERATION)?;
        let unpinned = state.tree.unpin(pin)?;
        state.release_by_user(unpinned);
        drop(state);
        let id = link.object;
        drop(link);
        let mut state = self.lock();
        if state.objects.contains_key(&id) {
            state.tree.pin(pin, id)?;
            state.hold_for_user(id);
            return Err(KernelError::reason(OPERATION, "it is held by someone else as well"));
        }
        Ok(())
    }
}
