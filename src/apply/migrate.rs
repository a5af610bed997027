//! Carrying entries over, with what is said of it while it lasts and when it is done.

use crate::kernel::{Copied, Kernel, KernelError};
use crate::model::entries::Transfer;
use crate::plan::Slot;

use super::progress::{Observer, Progress};

/// Copies the entries of one map into `to`, which is new.
pub(super) fn copy<K: Kernel>(
    kernel: &K,
    [from, into]: [&K::Handle; 2],
    to: &Slot,
    transfer: Transfer,
    observer: &dyn Observer,
) -> Result<Copied, KernelError> {
    let copied = kernel.copy_entries(from, into, transfer, &mut |pass| {
        observer.tell(Progress::Entries { map: to, pass });
    })?;
    tracing::info!("{} entries copied into {to}", copied.len());
    if copied.evicted() > 0 {
        tracing::warn!(
            "{to} evicted {} of the entries copied into it, to have free ones",
            copied.evicted()
        );
    }
    Ok(copied)
}

/// Brings over what was written after the copy.
pub(super) fn carry<K: Kernel>(
    kernel: &K,
    [from, into]: [&K::Handle; 2],
    to: &Slot,
    transfer: Transfer,
    copied: &mut Copied,
    observer: &dyn Observer,
) -> Result<(), KernelError> {
    let carried = kernel.carry_entries(from, into, transfer, copied, &mut |pass| {
        observer.tell(Progress::Entries { map: to, pass });
    })?;
    tracing::info!("{} late writes carried over into {to}", carried.entries);
    if carried.conflicts > 0 {
        tracing::warn!(
            "{} entries of {to} were written in the old map after they were copied, and in the new \
             one: those of the new one stand",
            carried.conflicts
        );
    }
    if carried.no_room > 0 {
        tracing::warn!(
            "{} entries were written in the old map after the others were copied, and {to} has no \
             room for them",
            carried.no_room
        );
    }
    Ok(())
}
