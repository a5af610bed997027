//! The disposable record of what a deployment owns.
//!
//! The kernel and bpffs are the truth; this says only what is *ours*. A record proves ownership
//! when its path is the one in question **and** the kernel id found there is the recorded one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::attach::Attachment;
use super::digest::Digest;
use super::host::HostIdentity;
use super::live::FilterKey;
use super::map::MapShape;
use super::name::Name;
use super::pin::{PinPath, PinPolicy, PinRoot};

/// Version of the inventory's format.
pub const INVENTORY_VERSION: u32 = 1;

/// What one deployment owns on one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// [`INVENTORY_VERSION`].
    pub format_version: u32,
    /// The deployment.
    pub name: Name,
    /// How many applies succeeded; 0 for none yet.
    pub generation: u64,
    /// The manifest last applied, for messages.
    pub manifest: PathBuf,
    /// Directory of all pins.
    pub pin_root: PinRoot,
    /// The boot and bpffs that the ids below belong to.
    pub host: HostIdentity,
    /// What each object was loaded from.
    pub objects: BTreeMap<Name, ObjectRecord>,
    /// Maps, programs and links.
    pub resources: BTreeMap<Address, Resource>,
    /// Directories below the pin root that we made, outermost first.
    pub directories: Vec<PinPath>,
    /// Directories that we made on the way to the pin root, outermost first, the root last.
    pub root_directories: Vec<PathBuf>,
}

/// What an object was loaded from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// The file, for messages.
    pub path: PathBuf,
    /// Of the file.
    pub digest: Digest,
    /// Of everything that decides what is loaded.
    pub load_digest: Digest,
}

/// One thing a deployment owns or uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Resource {
    /// A map.
    Map(MapRecord),
    /// A program.
    Program(ProgramRecord),
    /// An attachment.
    Link(LinkRecord),
}

/// A map in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapRecord {
    /// Kernel id.
    pub id: u32,
    /// Its pin; `None` for a map that only programs hold.
    pub pin: Option<PinPath>,
    /// What becomes of the pin.
    pub policy: PinPolicy,
    /// Whether the pin is ours to replace and unlink.
    pub owned: bool,
    /// A persisting pin that the manifest no longer names: kept on record for `--purge` only.
    #[serde(default)]
    pub forgotten: bool,
    /// What it was created with, after normalisation.
    pub shape: MapShape,
    /// Digest of the layouts of key and value, where they are known.
    pub layout: Option<Digest>,
}

/// A loaded program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramRecord {
    /// Kernel id.
    pub id: u32,
    /// The pin under `~progs` that keeps it loaded.
    pub pin: PinPath,
    /// Its public pin, if its policy asks for one.
    pub public: Option<PublicPin>,
}

/// A program's public pin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicPin {
    /// Where.
    pub pin: PinPath,
    /// What becomes of it.
    pub policy: PinPolicy,
}

/// An attachment in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRecord {
    /// Kernel id of the link; 0 for a netlink filter, which has none.
    pub id: u32,
    /// The program it runs.
    pub program: Address,
    /// As the manifest wanted it.
    pub attachment: Attachment,
    /// What holds it in place.
    pub anchor: Anchor,
}

/// What holds an attachment in place once the process is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Anchor {
    /// A pinned link under `~links`.
    Pin(PinPath),
    /// A `clsact` filter, which netlink keeps by itself.
    Filter {
        /// The filter.
        key: FilterKey,
        /// Whether we also added the interface's `clsact` qdisc.
        made_clsact: bool,
    },
}

impl Inventory {
    /// The record of a deployment that owns nothing yet.
    #[must_use]
    pub fn empty(name: Name, pin_root: PinRoot, manifest: PathBuf, host: HostIdentity) -> Self {
        Self {
            format_version: INVENTORY_VERSION,
            name,
            generation: 0,
            manifest,
            pin_root,
            host,
            objects: BTreeMap::new(),
            resources: BTreeMap::new(),
            directories: Vec::new(),
            root_directories: Vec::new(),
        }
    }

    /// Whether the record's ids mean anything on `host`: the same boot, and the same bpffs as far as
    /// both are known.
    #[must_use]
    pub fn is_of(&self, host: &HostIdentity) -> bool {
        let same_bpffs = match (self.host.bpffs, host.bpffs) {
            (Some(recorded), Some(found)) => recorded == found,
            _ => true,
        };
        self.host.boot_id == host.boot_id && same_bpffs
    }

    /// Every pin on record with its kernel id, ours or only used by us.
    pub fn pins(&self) -> impl Iterator<Item = (&PinPath, u32)> {
        self.resources.values().flat_map(Resource::pins)
    }

    /// Whether the object with that id at that path is ours to replace or unlink.
    #[must_use]
    pub fn owns(&self, path: &PinPath, id: u32) -> bool {
        let owned = |resource: &&Resource| !matches!(resource, Resource::Map(map) if !map.owned);
        self.resources
            .values()
            .filter(owned)
            .flat_map(Resource::pins)
            .any(|(pin, recorded)| pin == path && recorded == id)
    }

    /// The record of a map.
    #[must_use]
    pub fn map(&self, address: &Address) -> Option<&MapRecord> {
        match self.resources.get(address) {
            Some(Resource::Map(map)) => Some(map),
            _ => None,
        }
    }

    /// The record of a program.
    #[must_use]
    pub fn program(&self, address: &Address) -> Option<&ProgramRecord> {
        match self.resources.get(address) {
            Some(Resource::Program(program)) => Some(program),
            _ => None,
        }
    }

    /// The record of a link.
    #[must_use]
    pub fn link(&self, address: &Address) -> Option<&LinkRecord> {
        match self.resources.get(address) {
            Some(Resource::Link(link)) => Some(link),
            _ => None,
        }
    }
}

impl Resource {
    /// Its pins with the kernel id that must be found there.
    pub fn pins(&self) -> impl Iterator<Item = (&PinPath, u32)> {
        let (first, second, id) = match self {
            Self::Map(map) => (map.pin.as_ref(), None, map.id),
            Self::Program(program) => {
                (Some(&program.pin), program.public.as_ref().map(|public| &public.pin), program.id)
            }
            Self::Link(link) => match &link.anchor {
                Anchor::Pin(pin) => (Some(pin), None, link.id),
                Anchor::Filter { .. } => (None, None, link.id),
            },
        };
        first.into_iter().chain(second).map(move |pin| (pin, id))
    }

    /// The kernel id; 0 for a netlink filter.
    #[must_use]
    pub fn id(&self) -> u32 {
        match self {
            Self::Map(map) => map.id,
            Self::Program(program) => program.id,
            Self::Link(link) => link.id,
        }
    }

    /// Fills in the id of what a run has made.
    pub fn set_id(&mut self, id: u32) {
        match self {
            Self::Map(map) => map.id = id,
            Self::Program(program) => program.id = id,
            Self::Link(link) => link.id = id,
        }
    }
}
