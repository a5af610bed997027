//! The disposable record of what a deployment owns.
//!
//! The kernel and bpffs are the truth; this says only what is *ours*. A record proves ownership
//! when its path is the one in question **and** the object found there is the recorded one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::attach::Attachment;
use super::digest::Digest;
use super::host::HostIdentity;
use super::identity::Identity;
use super::kinds::AttachType;
use super::live::{Descriptor, FilterKey, LiveObject};
use super::map::MapShape;
use super::name::Name;
use super::pin::{PinPath, PinPolicy, PinRoot};
use super::socket_hook::SocketHook;

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
    /// Persisting pins of ours that nothing in the manifest names any more, with what they hold: kept, adopted by the next apply that wants them, and removed by a purge only.
    pub forgotten: BTreeMap<PinPath, Identity>,
    /// Directories below the pin root that we made, outermost first.
    pub directories: Vec<PinPath>,
    /// Directories that we made on the way to the pin root, outermost first, the root last.
    pub root_directories: Vec<PathBuf>,
    /// The run that is under way, or that was cut short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Box<Pending>>,
}

/// What a run is about to make of a deployment: the journal, written before the run changes anything
/// that others see, and gone with its end.
///
/// Of each resource, the host has either what the record said before or what is pending; which of
/// them, the kernel ids tell. Nobody but this deployment can have made either.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The record as it will be. Links that are made have the id 0, and filters that are added are
    /// missing: where they are is known without.
    pub after: Inventory,
    /// Pins of ours that an earlier run, cut short as well, left where no resource is.
    pub strays: BTreeMap<PinPath, Identity>,
    /// Where filters are added.
    pub filters: BTreeSet<Attachment>,
    /// Interfaces, by index, whose `clsact` qdisc is ours once it is there.
    pub clsact: BTreeSet<u32>,
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
    /// Where it belongs, if its pin is in the stage, where a run that was killed has put it aside. Only
    /// in a record with something pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<PinPath>,
    /// What becomes of the pin.
    pub policy: PinPolicy,
    /// Whether the pin is ours to replace and unlink.
    pub owned: bool,
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

/// A public pin of a program, or of a link.
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
    /// Kernel id of the link; 0 for a netlink filter, a registration, what a process or a map holds, which
    /// have none, or what a dispatcher calls, whose links change with it.
    pub id: u32,
    /// The program it runs, or the map with the struct of operations.
    pub program: Address,
    /// As the manifest wanted it; `None` where the record was lost and rebuilt from the pin, whose
    /// name tells the place but not the options.
    pub attachment: Option<Attachment>,
    /// What holds it in place.
    pub anchor: Anchor,
    /// The public pin of an iterator, if its program's policy asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<PublicPin>,
}

/// What holds an attachment in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Anchor {
    /// A pinned link under `~links`.
    Pin(PinPath),
    /// The registration of a struct of operations, which the kernel keeps by itself. The map is
    /// pinned under `~maps`.
    Registration {
        /// Kernel id of the map; 0 until it is made.
        map: u32,
    },
    /// A `clsact` filter, which netlink keeps by itself.
    Filter {
        /// The filter.
        key: FilterKey,
        /// Whether the interface's `clsact` qdisc was added for it, or for a filter of another
        /// deployment that it has met there, so that it goes when nobody uses it any more.
        made_clsact: bool,
    },
    /// A descriptor of the process that holds the deployment: the attachment ends with it.
    Held(Descriptor),
    /// A map of sockets, which keeps the program by itself.
    Map {
        /// The map.
        map: Address,
        /// At which of its hooks.
        attach_type: AttachType,
    },
    /// A dispatcher of libxdp, which calls the program. It keeps its own pins, which others read.
    Dispatcher {
        /// Name of the interface, for messages.
        interface: String,
        /// Its index.
        index: u32,
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
            forgotten: BTreeMap::new(),
            directories: Vec::new(),
            root_directories: Vec::new(),
            pending: None,
        }
    }

    /// Whether the record's ids mean anything on `host`: the same boot and the same bpffs.
    #[must_use]
    pub fn is_of(&self, host: &HostIdentity) -> bool {
        self.host.boot_id == host.boot_id && self.host.bpffs == host.bpffs
    }

    /// What is left of a record that is not of `host`: after another boot nothing; on another bpffs
    /// the netlink filters, which need no pin, with the programs they run.
    #[must_use]
    pub fn survivors(self, host: HostIdentity, pin_root: &PinRoot) -> Self {
        let same_boot = self.host.boot_id == host.boot_id;
        let empty = Self::empty(self.name, pin_root.clone(), self.manifest, host);
        let filter = |resource: &Resource| match resource {
            Resource::Link(LinkRecord { anchor: Anchor::Filter { .. }, program, .. }) => {
                Some(program.clone())
            }
            _ => None,
        };
        let programs: Vec<Address> = self.resources.values().filter_map(filter).collect();
        let mut resources = self.resources;
        resources.retain(|address, resource| {
            same_boot && (filter(resource).is_some() || programs.contains(address))
        });
        Self { generation: self.generation, resources, ..empty }
    }

    /// Interfaces, by index, to which a `clsact` qdisc was added for one of its filters.
    pub fn clsact(&self) -> impl Iterator<Item = u32> {
        let recorded = self.resources.values().filter_map(|resource| match resource {
            Resource::Link(LinkRecord {
                anchor: Anchor::Filter { key, made_clsact: true },
                ..
            }) => Some(key.index),
            _ => None,
        });
        recorded.chain(self.pending.iter().flat_map(|pending| pending.clsact.iter().copied()))
    }

    /// Interfaces, by index, whose dispatcher calls one of its programs, or shall.
    pub fn dispatchers(&self) -> impl Iterator<Item = u32> {
        let pending = self.pending.iter().flat_map(|pending| pending.after.resources.values());
        self.resources.values().chain(pending).filter_map(|resource| match resource {
            Resource::Link(LinkRecord { anchor: Anchor::Dispatcher { index, .. }, .. }) => {
                Some(*index)
            }
            _ => None,
        })
    }

    /// The hook of a map of sockets where a link on record is attached without one.
    #[must_use]
    pub fn socket_hook(&self, link: &LinkRecord) -> Option<SocketHook> {
        let Anchor::Map { map, attach_type } = &link.anchor else { return None };
        Some(SocketHook { map: self.map(map)?.id, attach_type: *attach_type })
    }

    /// Whether a map of sockets keeps one of its programs, or shall.
    #[must_use]
    pub fn has_kept(&self) -> bool {
        let kept = |resource: &Resource| {
            matches!(resource, Resource::Link(LinkRecord { anchor: Anchor::Map { .. }, .. }))
        };
        let pending = self.pending.as_ref();
        self.resources.values().any(kept) || pending.is_some_and(|run| run.after.has_kept())
    }

    /// Kernel ids of its links.
    pub fn links(&self) -> impl Iterator<Item = u32> {
        self.resources.values().filter_map(|resource| match resource {
            Resource::Link(LinkRecord { anchor: Anchor::Pin(_), id, .. }) => Some(*id),
            _ => None,
        })
    }

    /// Whether anything of it hangs on a network interface.
    #[must_use]
    pub fn has_interfaces(&self) -> bool {
        let pending = self.pending.as_ref();
        self.resources.values().any(|resource| match resource {
            Resource::Link(LinkRecord {
                anchor: Anchor::Filter { .. } | Anchor::Dispatcher { .. },
                ..
            }) => true,
            Resource::Link(link) => {
                link.attachment.as_ref().is_some_and(Attachment::is_of_own_netns)
            }
            _ => false,
        }) || pending
            .is_some_and(|pending| !pending.filters.is_empty() || pending.after.has_interfaces())
    }

    /// Every pin on record with what it holds, ours or only used by us.
    pub fn pins(&self) -> impl Iterator<Item = (&PinPath, Identity)> {
        self.settled_pins().chain(self.pending.iter().flat_map(|pending| {
            let strays = pending.strays.iter().map(|(pin, of)| (pin, *of));
            pending.after.settled_pins().chain(strays)
        }))
    }

    /// [`pins`](Self::pins) without what is pending.
    fn settled_pins(&self) -> impl Iterator<Item = (&PinPath, Identity)> {
        let forgotten = self.forgotten.iter().map(|(pin, of)| (pin, *of));
        self.resources.values().flat_map(Resource::pins).chain(forgotten)
    }

    /// Where maps belong that a run which was killed has put aside.
    pub fn homes(&self) -> impl Iterator<Item = &PinPath> {
        self.resources.values().filter_map(|resource| match resource {
            Resource::Map(map) => map.home.as_ref(),
            Resource::Program(_) | Resource::Link(_) => None,
        })
    }

    /// Every pin on record that is ours to replace or unlink, with what it holds.
    pub fn owned_pins(&self) -> impl Iterator<Item = (&PinPath, Identity)> {
        self.settled_owned_pins().chain(self.pending.iter().flat_map(|pending| {
            let strays = pending.strays.iter().map(|(pin, of)| (pin, *of));
            pending.after.settled_owned_pins().chain(strays)
        }))
    }

    fn settled_owned_pins(&self) -> impl Iterator<Item = (&PinPath, Identity)> {
        let owned = self.resources.values().filter(|resource| resource.is_owned());
        let forgotten = self.forgotten.iter().map(|(pin, of)| (pin, *of));
        owned.flat_map(Resource::pins).chain(forgotten)
    }

    /// Whether what was `found` at that path is ours to replace or unlink.
    #[must_use]
    pub fn owns(&self, path: &PinPath, found: &LiveObject) -> bool {
        let Some(identity) = found.identity() else { return false };
        self.owned_pins().any(|(pin, of)| pin == path && of == identity)
    }

    /// Whether nothing is left to keep a record of.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.resources.is_empty()
            && self.forgotten.is_empty()
            && self.objects.is_empty()
            && self.pending.is_none()
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
    /// Whether `found` is what this records.
    #[must_use]
    pub fn is(&self, found: &LiveObject) -> bool {
        found.identity() == Some(self.identity())
    }

    /// Its pins with what must be found there.
    pub fn pins(&self) -> impl Iterator<Item = (&PinPath, Identity)> {
        let (first, second) = match self {
            Self::Map(map) => (map.pin.as_ref(), None),
            Self::Program(program) => {
                (Some(&program.pin), program.public.as_ref().map(|public| &public.pin))
            }
            Self::Link(link) => match &link.anchor {
                Anchor::Pin(pin) => (Some(pin), link.public.as_ref().map(|public| &public.pin)),
                Anchor::Filter { .. }
                | Anchor::Registration { .. }
                | Anchor::Held(_)
                | Anchor::Map { .. }
                | Anchor::Dispatcher { .. } => (None, None),
            },
        };
        let identity = self.identity();
        first.into_iter().chain(second).map(move |pin| (pin, identity))
    }

    /// Whether its pins are ours to replace and unlink.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        !matches!(self, Self::Map(map) if !map.owned)
    }

    /// Which object of the kernel it is. The id is 0 for attachments without a link, and for what a run
    /// has not made yet.
    #[must_use]
    pub fn identity(&self) -> Identity {
        match self {
            Self::Map(map) => Identity::map(map.id),
            Self::Program(program) => Identity::program(program.id),
            Self::Link(link) => Identity::link(link.id),
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
