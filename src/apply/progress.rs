//! What a run is at, where that may last.

use std::path::Path;

use crate::kernel::Pass;
use crate::model::name::Name;
use crate::plan::Slot;

use super::locker::Locker;

/// What a run is at.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'p> {
    /// What was told before is done, or a step was taken that does not last.
    Done,
    /// It waits for another run to end.
    Lock {
        /// What that one has locked.
        lock: Lock<'p>,
        /// The process, if it can be seen.
        locker: Option<&'p Locker>,
    },
    /// It loads programs.
    Programs {
        /// How many are loaded.
        loaded: usize,
        /// How many there are to load.
        of: usize,
    },
    /// It carries entries over into a new map.
    Entries {
        /// The new map.
        map: &'p Slot,
        /// How far the old one has been gone over.
        pass: Pass,
    },
}

/// A lock that keeps one run waiting for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock<'p> {
    /// Of a deployment.
    Deployment(&'p Name),
    /// Of a pin root, which several deployments may have.
    PinRoot(&'p Path),
}

/// Who hears what a run is at: again and again while that lasts, after each step, and always on the
/// thread that the run was begun on. What it does must be quick.
pub trait Observer {
    /// Is told.
    fn tell(&self, progress: Progress<'_>);
}

/// Does not listen.
impl Observer for () {
    fn tell(&self, _: Progress<'_>) {}
}
