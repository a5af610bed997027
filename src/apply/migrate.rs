//! Carrying entries over, with what is said of it while it lasts and when it is done.

use crate::kernel::{Copied, Kernel, KernelError};
use crate::model::entries::Transfer;
use crate::plan::Slot;

/// After how many entries a long copy says how far it is.
const REPORT: u64 = 100_000;

/// Copies the entries of one map into `to`, which is new.
pub(super) fn copy<K: Kernel>(
    kernel: &K,
    [from, into]: [&K::Handle; 2],
    to: &Slot,
    transfer: Transfer,
    alive: &dyn Fn(),
) -> Result<Copied, KernelError> {
    let mut reported = 0;
    let copied = kernel.copy_entries(from, into, transfer, &mut |entries| {
        alive();
        if entries / REPORT > reported {
            reported = entries / REPORT;
            tracing::info!("{entries} entries copied into {to}, and it goes on");
        }
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
) -> Result<(), KernelError> {
    let carried = kernel.carry_entries(from, into, transfer, copied)?;
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
