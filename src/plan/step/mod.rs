//! Steps: what a plan says to the executor. Plain data, each with one effect.

mod describe;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::address::Address;
use crate::model::attach::{Attachment, XdpMode};
use crate::model::dispatch::Run;
use crate::model::entries::Transfer;
use crate::model::identity::Identity;
use crate::model::kinds::AttachType;
use crate::model::live::FilterKey;
use crate::model::name::Name;
use crate::model::pin::PinPath;

/// Names a handle that an earlier step obtained, so that steps need not hold one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Slot {
    /// Made by this run for that resource.
    New(Address),
    /// Opened from that pin.
    Live(PinPath),
    /// The program with that id, which someone else loaded.
    Foreign(u32),
    /// The map with that id, which has no pin.
    Unpinned(u32),
    /// A dispatcher of libxdp that runs nowhere.
    Dispatcher,
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New(address) => address.fmt(f),
            Self::Live(pin) => write!(f, "pin {pin}"),
            Self::Foreign(id) => write!(f, "program id {id} of someone else"),
            Self::Unpinned(id) => write!(f, "map id {id}"),
            Self::Dispatcher => f.write_str("a dispatcher of XDP programs"),
        }
    }
}

/// One effect.
///
/// Steps come in three phases. *Prepare* changes nothing that anyone else sees: maps with their
/// entries, and loaded programs. *Commit* makes directories, swaps links and pins, carries over what
/// was written into old maps until then, and moves what is no longer wanted into the stage. *Clear*
/// empties the stage. Every handle a step obtains is held until the last step is
/// done, so each effect can be undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Makes the pin root with what is missing above it.
    MakeRoot,
    /// Makes a directory below the root, if it is missing.
    MakeDirectory(PinPath),
    /// Opens a pin into [`Slot::Live`]; fails if another object lies there by now.
    Open {
        /// The pin.
        pin: PinPath,
        /// The object that the plan saw.
        identity: Identity,
    },
    /// Opens the program that someone else keeps pinned at a path into [`Slot::Foreign`]; fails if
    /// another lies there by now.
    OpenPinned {
        /// The absolute path.
        pin: PathBuf,
        /// The program that the plan saw.
        program: u32,
    },
    /// Opens a map without a pin into [`Slot::Unpinned`].
    OpenMap {
        /// Its kernel id.
        id: u32,
    },
    /// Creates a map into [`Slot::New`].
    CreateMap {
        /// The map's address.
        address: Address,
        /// Its object.
        object: Name,
        /// Its name there.
        map: String,
    },
    /// Loads every wanted program of these objects, each into its [`Slot::New`], but those that replace
    /// functions of others.
    LoadPrograms(Vec<ObjectLoad>),
    /// Loads a dispatcher of libxdp that runs nowhere into [`Slot::Dispatcher`]: programs that one shall
    /// call are loaded for it.
    LoadDispatcher,
    /// Loads a program that replaces a function of another, into its [`Slot::New`].
    LoadReplacement {
        /// The object.
        object: Name,
        /// Its program.
        program: String,
        /// Where each of its object's maps is, by name.
        maps: BTreeMap<String, Slot>,
        /// The program whose function it replaces.
        replaced: Slot,
    },
    /// Fills slots of a map that this run creates, so that nobody sees it half-filled.
    FillSlots {
        /// The map.
        map: Slot,
        /// What goes where: programs into a prog array, maps into a map-in-map.
        slots: BTreeMap<u32, Slot>,
    },
    /// Puts programs and values into a map of struct ops that is registered by a link. Nobody else sees
    /// it. One that is filled already stays as it is.
    FillOperations(Operations),
    /// Fills a map of struct ops that has no link, which registers it.
    Register(Operations),
    /// Unregisters a map of struct ops that has no link. It cannot be registered again.
    Unregister {
        /// The map.
        map: Slot,
    },
    /// Copies the entries of a live map into one that this run creates and nobody else sees yet.
    CopyEntries {
        /// The old map.
        from: Slot,
        /// The new map.
        to: Slot,
        /// How.
        transfer: Transfer,
    },
    /// Brings over what was written into the old map since, once its programs write into the new one.
    CarryEntries {
        /// The old map.
        from: Slot,
        /// The new map, into which the entries were copied.
        to: Slot,
        /// How.
        transfer: Transfer,
    },
    /// Pins at a free path.
    Pin {
        /// What.
        slot: Slot,
        /// Where.
        pin: PinPath,
    },
    /// Takes the place of what is pinned: pins at the free path `stage`, then exchanges both, so
    /// that the old object stays pinned at `stage`.
    Swap {
        /// The new object.
        slot: Slot,
        /// The place.
        pin: PinPath,
        /// Where the old object waits for the end of the run.
        stage: PinPath,
        /// The old object; if another lies there by now, the step fails.
        identity: Identity,
    },
    /// Renames a pin to a free path.
    Rename {
        /// From.
        from: PinPath,
        /// To.
        to: PinPath,
    },
    /// Attaches a program by a link into [`Slot::New`].
    Attach {
        /// The link's address.
        address: Address,
        /// The program.
        program: ProgramRef,
        /// Where to.
        attachment: Attachment,
        /// What the attachment names beside the program, by name in C: maps, or the link of the program
        /// that it shall be beside.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        others: BTreeMap<String, Slot>,
    },
    /// Attaches a program by a descriptor of this process, which keeps it until the attachment is no
    /// longer on record, or the process ends.
    Hold {
        /// The attachment's address.
        address: Address,
        /// The program.
        program: ProgramRef,
        /// Where to.
        attachment: Attachment,
        /// The maps of `usdt.bpf.h`, by name in C.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        others: BTreeMap<String, Slot>,
    },
    /// Attaches a program at the first of some places that is free, until the run is over. If none is,
    /// nothing runs there while its own place changes hands.
    Bridge {
        /// Address of the attachment that changes hands.
        address: Address,
        /// The program.
        program: ProgramRef,
        /// The places.
        attachments: Vec<Attachment>,
    },
    /// Opens a link of someone else's into [`Slot::New`] by its kernel id.
    TakeLink {
        /// The link's address, once it is ours.
        address: Address,
        /// The link.
        link: u32,
    },
    /// Opens a program of someone else's into [`Slot::Foreign`] by its kernel id, so that it can be
    /// put back where it ran.
    OpenForeign {
        /// The program.
        program: u32,
    },
    /// Swaps the program of a live link.
    UpdateLink {
        /// The link.
        link: Slot,
        /// The program it shall run.
        program: Slot,
        /// The program it must be running now; `None` if nothing holds that program but the link, so
        /// that it can neither be checked nor brought back.
        expected: Option<Slot>,
    },
    /// Detaches a live link, so that its place is free for another. It is attached nowhere then.
    Detach {
        /// The link.
        link: Slot,
        /// Where it is pinned.
        pin: PinPath,
        /// The program it runs.
        program: ProgramRef,
        /// Where it is attached.
        attachment: Attachment,
        /// What that names beside the program, to attach it again.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        others: BTreeMap<String, Slot>,
    },
    /// Removes the pin of a live link and the link with it, because it cannot be updated and its place
    /// has room for one.
    Release {
        /// The link.
        link: Slot,
        /// Where it is pinned.
        pin: PinPath,
        /// What it runs.
        program: ProgramRef,
        /// Where it is attached.
        attachment: Attachment,
    },
    /// Attaches a classifier over netlink.
    AttachFilter {
        /// Whether a `clsact` qdisc that is there already was added for another deployment, or by a run
        /// of this one that was cut short, so that this one may be the last to use it.
        shares_clsact: bool,
        /// The link's address.
        address: Address,
        /// The program.
        program: ProgramRef,
        /// Where to.
        attachment: Attachment,
    },
    /// Replaces the program of a filter in place.
    ReplaceFilter {
        /// The filter.
        key: FilterKey,
        /// The program it shall run.
        program: Slot,
        /// The program it runs now; `None` if nothing else holds it, so that it cannot be brought
        /// back.
        previous: Option<Slot>,
    },
    /// Removes a filter.
    RemoveFilter {
        /// The filter.
        key: FilterKey,
        /// The program it runs now; `None` if nothing else holds it.
        program: Option<Slot>,
        /// Whether the qdisc goes too, if nothing else uses it.
        with_clsact: bool,
    },
    /// Has a map of sockets keep another program at one of its hooks.
    Sockets(Sockets),
    /// Changes what a dispatcher of libxdp calls on an interface.
    Dispatch(Dispatch),
    /// Takes a pin out of its place, into the stage.
    Retire {
        /// The pin.
        pin: PinPath,
        /// Where it waits for the end of the run.
        stage: PinPath,
        /// Its object; if another lies there by now, the step fails.
        identity: Identity,
    },
    /// Removes a pin from the stage for good. An object that nothing else holds goes with it.
    DropStaged(PinPath),
    /// Removes a directory below the root, if it is empty by now.
    RemoveDirectory(PinPath),
    /// Removes the root and the directories above it that we made, as far as they are empty by now.
    RemoveRoot,
}

/// What a dispatcher of libxdp calls from now on, beside what others have it call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatch {
    /// Interface name, for messages.
    pub interface: String,
    /// Interface index.
    pub index: u32,
    /// How the dispatcher runs, if none is there.
    pub mode: XdpMode,
    /// What is called as well, or in another way.
    pub add: Vec<Member>,
    /// What is not called any more, as it was called.
    pub remove: Vec<Member>,
    /// Dispatchers, by kernel id, whose pins a run which was cut short left.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub sweep: BTreeSet<u32>,
}

/// A program that a dispatcher calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The program.
    pub program: Slot,
    /// When and how.
    pub run: Run,
    /// Whether it takes packets in several buffers.
    pub frags: bool,
}

impl Dispatch {
    /// What takes it back.
    #[must_use]
    pub fn inverse(&self) -> Self {
        Self {
            add: self.remove.clone(),
            remove: self.add.clone(),
            sweep: BTreeSet::new(),
            ..self.clone()
        }
    }
}

/// What a map of sockets keeps at one of its hooks from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sockets {
    /// The map.
    pub map: Slot,
    /// The hook.
    pub attach_type: AttachType,
    /// The program that is there now. One that shall only go, and is not there, is no error.
    pub from: Option<Slot>,
    /// The program that comes.
    pub to: Option<Slot>,
}

impl Sockets {
    /// What takes it back.
    #[must_use]
    pub fn inverse(&self) -> Self {
        Self { from: self.to.clone(), to: self.from.clone(), ..self.clone() }
    }
}

/// A map of struct ops, and what goes into it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operations {
    /// The object.
    pub object: Name,
    /// The map's name there.
    pub map: String,
    /// The map.
    pub slot: Slot,
    /// Its programs, by name.
    pub programs: BTreeMap<String, Slot>,
}

/// An object whose programs are loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectLoad {
    /// The object.
    pub object: Name,
    /// Where each of its maps is, by name.
    pub maps: BTreeMap<String, Slot>,
}

/// A program to attach, or the map of a struct of operations: its handle, and which declaration says
/// how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramRef {
    /// The program.
    pub slot: Slot,
    /// Its object.
    pub object: Name,
    /// Its name there.
    pub program: String,
}

impl Step {
    /// Whether nobody but the run sees its effect, so that it goes with the run.
    #[must_use]
    pub fn prepares(&self) -> bool {
        matches!(
            self,
            Self::Open { .. }
                | Self::TakeLink { .. }
                | Self::OpenForeign { .. }
                | Self::OpenPinned { .. }
                | Self::OpenMap { .. }
                | Self::CreateMap { .. }
                | Self::LoadPrograms(_)
                | Self::LoadDispatcher
                | Self::LoadReplacement { .. }
                | Self::FillSlots { .. }
                | Self::FillOperations(_)
                | Self::CopyEntries { .. }
        )
    }

    /// Whether others see its effect, and it can be taken back.
    #[must_use]
    pub fn commits(&self) -> bool {
        !self.prepares() && !self.clears()
    }

    /// Where it adds a netlink filter, if it does.
    #[must_use]
    pub fn filter(&self) -> Option<&Attachment> {
        match self {
            Self::AttachFilter { attachment, .. } => Some(attachment),
            _ => None,
        }
    }

    /// Whether the step only clears away what earlier ones put aside. Such steps come last, after the
    /// new state is on record.
    #[must_use]
    pub fn clears(&self) -> bool {
        matches!(self, Self::DropStaged(_) | Self::RemoveDirectory(_) | Self::RemoveRoot)
    }
}
