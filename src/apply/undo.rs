//! Inverses: what takes a step back.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::model::attach::Attachment;
use crate::model::live::{Descriptor, FilterKey};
use crate::model::pin::PinPath;
use crate::plan::{Dispatch, ProgramRef, Slot, Sockets};

/// The inverse of an effect, as data. Handles named by a slot are still held when it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Undo {
    /// Remove the directories made for the root, innermost first.
    RemoveRoot(Vec<PathBuf>),
    /// Make the root again.
    MakeRoot,
    /// Remove a directory we made.
    RemoveDirectory(PinPath),
    /// Make a directory we removed.
    MakeDirectory(PinPath),
    /// Remove a pin we made.
    Unpin(PinPath),
    /// Put a dropped pin back into the stage.
    Pin(Slot, PinPath),
    /// Bring the old object back from the stage and remove the new one's pin.
    SwapBack { pin: PinPath, stage: PinPath },
    /// Rename back.
    Rename { from: PinPath, to: PinPath },
    /// Close the handle of a link we made, which detaches it.
    Detach(Slot),
    /// Close the descriptor of an attachment we made, which ends it.
    LetGo(Descriptor),
    /// Give a link its old program back.
    UpdateLink { link: Slot, program: Slot, expected: Slot },
    /// Attach a detached link's program again, by a new link in the place of the old one's pin.
    Reattach {
        pin: PinPath,
        program: ProgramRef,
        attachment: Attachment,
        others: BTreeMap<String, Slot>,
    },
    /// Unregister a map of struct ops that we registered.
    Unregister(Slot),
    /// Attach the program of a link that is gone again, by a new link at its pin.
    Attach { pin: PinPath, program: ProgramRef, attachment: Attachment },
    /// Give a filter its old program back, or put it back where it was.
    PutFilter { key: FilterKey, program: Slot },
    /// Nothing takes it back; says what, and why not.
    Impossible(String, &'static str),
    /// Have a map of sockets keep what it kept before.
    Sockets(Sockets),
    /// Have a dispatcher call what it called before.
    Dispatch(Dispatch),
    /// Remove a filter we added.
    RemoveFilter { key: FilterKey, with_clsact: bool },
}
