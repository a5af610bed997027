//! What the kernel and bpffs show.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::attach::{Attachment, Direction};
use super::ctype::CType;
use super::dispatch::LiveDispatcher;
use super::host::HostFacts;
use super::identity::Identity;
use super::kinds::{AttachType, LinkType, ProgramType};
use super::map::MapShape;
use super::name::Name;
use super::pin::PinPath;
use super::socket_hook::{Kept, SocketHook};

/// The part of a host that concerns one deployment, read without changing anything.
///
/// Not atomic: each pin was read at its own moment. Whoever acts on it checks ids again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveState {
    /// The pin root.
    pub root: RootState,
    /// Everything found at a pin path that the deployment wants, records, or owns by its place, and the
    /// directories above the public ones.
    pub pins: BTreeMap<PinPath, LiveObject>,
    /// Maps on record whose pin is gone, as far as they can be opened: programs of ours hold them.
    pub unpinned: BTreeMap<u32, LiveMap>,
    /// Maps of struct ops among the pins, by id, that are registered without a link.
    pub registered: BTreeSet<u32>,
    /// Maps of struct ops among the pins, by id, that were registered without a link once.
    pub spent: BTreeSet<u32>,
    /// Whether the targets of the wanted attachments exist.
    pub targets: BTreeMap<Attachment, TargetState>,
    /// Who is attached at the places of the wanted attachments, ours or not; only looked for by a run
    /// that takes over what is someone else's.
    pub occupants: BTreeMap<Attachment, Vec<Occupant>>,
    /// `tc` filters: those on record, and all at the places where one is wanted.
    pub filters: BTreeMap<FilterKey, LiveFilter>,
    /// Interfaces, by index, that have a `clsact` qdisc, of those where a filter is wanted.
    pub clsact: BTreeSet<u32>,
    /// Attachments on record that a descriptor keeps in place, of those that are there.
    pub held: BTreeMap<Descriptor, LiveHeld>,
    /// What the maps of sockets among the pins run. `None` where the kernel has links for that, and where
    /// no such map concerns the deployment.
    pub sockets: Option<BTreeMap<SocketHook, Kept>>,
    /// Dispatchers of libxdp by the index of their interface: those on record, and those where one is
    /// wanted.
    pub dispatchers: BTreeMap<u32, LiveDispatcher>,
    /// What other deployments of this host have on record.
    pub others: Others,
    /// Facts that normalise map shapes.
    pub host: HostFacts,
}

/// A descriptor of a process that keeps an attachment in place, which ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Descriptor {
    /// The process.
    pub pid: u32,
    /// When it started, in clock ticks since the boot: a pid is used again.
    pub started: u64,
    /// The descriptor's number there.
    pub number: u32,
}

/// An attachment that a descriptor keeps in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveHeld {
    /// Kernel id of its program; `None` where the kernel does not tell: of counters, and to those
    /// without `CAP_SYS_ADMIN`.
    pub program_id: Option<u32>,
}

/// What other deployments have on record and this one meets. What one made, the last to use it
/// removes; so whoever shares it records it too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// Their pins below the same root, each with its deployment.
    pub pins: BTreeMap<PinPath, Name>,
    /// Their links by kernel id, below whatever root, each with its deployment.
    pub links: BTreeMap<u32, Name>,
    /// Directories they made below the same root.
    pub directories: BTreeSet<PinPath>,
    /// Directories they made on the way to the same root.
    pub root_directories: BTreeSet<PathBuf>,
    /// Interfaces of this network namespace, by index, to which they added a `clsact` qdisc.
    pub clsact: BTreeSet<u32>,
}

/// State of a pin root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootState {
    /// A directory on bpffs.
    Present {
        /// `st_dev` of the mount.
        device: u64,
    },
    /// It does not exist, but its nearest existing ancestor is on bpffs, so it can be made.
    Absent {
        /// The directories that are missing, outermost first, the root last.
        missing: Vec<PathBuf>,
    },
    /// It is on bpffs or would be, and others than root and the effective user can change it or the
    /// way to it: what is pinned there would not stay ours.
    Exposed {
        /// Who can, in words.
        reason: String,
        /// The command that mends it.
        mend: String,
    },
    /// It, or its nearest existing ancestor, is on another file system.
    NotBpffs {
        /// The directory that was asked.
        directory: PathBuf,
        /// `f_type` of its file system (statfs(2)).
        magic: u64,
    },
}

/// What lies at a pin path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveObject {
    /// A map.
    Map(LiveMap),
    /// A program.
    Program(LiveProgram),
    /// A link.
    Link(LiveLink),
    /// A directory.
    Directory,
    /// There is something, and it cannot be opened.
    Unreadable {
        /// Why, in words.
        reason: String,
    },
}

impl LiveObject {
    /// Which object of the kernel it is, if it is one.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        match self {
            Self::Map(map) => Some(Identity::map(map.id)),
            Self::Program(program) => Some(Identity::program(program.id)),
            Self::Link(link) => Some(Identity::link(link.id)),
            Self::Directory | Self::Unreadable { .. } => None,
        }
    }

    /// What it is, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Map(_) => "a map",
            Self::Program(_) => "a program",
            Self::Link(_) => "a link",
            Self::Directory => "a directory",
            Self::Unreadable { .. } => "something unreadable",
        }
    }
}

/// A map of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveMap {
    /// Kernel id.
    pub id: u32,
    /// Name, cut to 15 bytes by the kernel.
    pub name: String,
    /// What the kernel says it was created with.
    pub shape: MapShape,
    /// Type of the key, where the map has BTF that may be read.
    pub key: Option<CType>,
    /// Type of the value, where the map has BTF that may be read.
    pub value: Option<CType>,
}

/// A program of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveProgram {
    /// Kernel id.
    pub id: u32,
    /// Name, cut to 15 bytes by the kernel.
    pub name: String,
    /// Program type.
    pub program_type: ProgramType,
    /// Digest of its instructions; not an identity (constant data does not count).
    pub tag: [u8; 8],
    /// Ids of the maps it uses.
    pub map_ids: Vec<u32>,
}

/// A link of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveLink {
    /// Kernel id.
    pub id: u32,
    /// Link type.
    pub link_type: LinkType,
    /// The program it runs; 0 for a struct of operations.
    pub program_id: u32,
    /// What it is attached to, as far as the kernel says.
    pub target: LinkTarget,
}

/// What a link is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkTarget {
    /// A network interface; index 0 once the interface is gone.
    Interface {
        /// Interface index.
        index: u32,
        /// tcx: which side.
        attach_type: Option<AttachType>,
    },
    /// A cgroup; id 0 once the cgroup is gone.
    Cgroup {
        /// cgroup id, the inode of its directory.
        id: u64,
        /// Which hook.
        attach_type: AttachType,
    },
    /// A network namespace; inode 0 once it is gone.
    Netns {
        /// Inode of the namespace.
        inode: u64,
        /// Which hook.
        attach_type: AttachType,
    },
    /// A sockmap or sockhash.
    Map {
        /// Kernel id of the map; 0 once it is detached.
        id: u32,
        /// For which calls.
        attach_type: AttachType,
    },
    /// A netfilter hook. The kernel says the same of a link that was detached.
    Netfilter {
        /// `NFPROTO_*`.
        family: u32,
        /// `enum nf_inet_hooks`.
        hook: u32,
        /// Place in the hook's order.
        priority: i32,
    },
    /// A named tracepoint.
    Tracepoint {
        /// Its name, where the kernel tells it (perf event links since 6.6).
        name: Option<String>,
    },
    /// A function of another program, which is replaced.
    Program {
        /// Kernel id of that program.
        id: u32,
    },
    /// A struct of operations, which is registered as long as the link is there.
    StructOps {
        /// Kernel id of its map; 0 once the link is detached.
        map: u32,
    },
    /// Another kind.
    Other,
}

impl LiveLink {
    /// Whether what it was attached to has gone: such a link is never called again.
    #[must_use]
    pub fn is_severed(&self) -> bool {
        match self.target {
            LinkTarget::Interface { index, .. } => index == 0,
            LinkTarget::Cgroup { id, .. } => id == 0,
            LinkTarget::Netns { inode, .. } => inode == 0,
            LinkTarget::Map { id, .. } => id == 0,
            LinkTarget::StructOps { map } => map == 0,
            LinkTarget::Netfilter { .. }
            | LinkTarget::Tracepoint { .. }
            | LinkTarget::Program { .. }
            | LinkTarget::Other => false,
        }
    }
}

/// What became of a map of struct ops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationsState {
    /// It can be registered.
    Unregistered,
    /// It is registered without a link.
    Registered,
    /// It was unregistered, and cannot be registered again.
    Spent,
}

/// A program that is attached somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Occupant {
    /// By a link.
    Linked {
        /// The link.
        link: LiveLink,
        /// Name of its program, cut to 15 bytes by the kernel.
        program: String,
    },
    /// By one of these links, and the kernel does not tell which: a link says the index of its
    /// interface and not the network namespace that counts it.
    Unproven {
        /// Kernel id of the program.
        program_id: u32,
        /// Its name.
        program: String,
        /// Kernel ids of the links that run it at an interface of this index, here or elsewhere.
        links: Vec<u32>,
    },
    /// Without a link, which leaves nothing that could be taken over.
    Bare {
        /// Kernel id of the program.
        program_id: u32,
        /// Its name.
        program: String,
        /// The command that detaches it and nothing else, where there is one.
        free: Option<String>,
    },
}

/// Whether something a program shall be attached to exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetState {
    /// It does; the number is its interface index, cgroup id or namespace inode, 0 where it has none.
    Present(u64),
    /// It does not.
    Missing {
        /// What is missing and what to do, in words.
        reason: String,
    },
}

/// What identifies a classifier attached over netlink.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
pub struct FilterKey {
    /// Interface name, for messages.
    pub interface: String,
    /// Interface index.
    pub index: u32,
    /// Which hook of `clsact`.
    pub direction: Direction,
    /// Preference.
    pub priority: u16,
    /// Handle.
    pub handle: u32,
}

/// A classifier found over netlink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveFilter {
    /// The program it runs.
    pub program_id: u32,
}
