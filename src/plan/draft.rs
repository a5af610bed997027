//! A plan in the making: what each pin path shall hold, the changes to tell, the steps to take.
//!
//! Maps, programs and links decide what they want and *claim* pin paths for it. How the pins get
//! there, and what becomes of ours that nobody claims, is decided once, in [`super::pins`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::model::address::Address;
use crate::model::identity::Identity;
use crate::model::inventory::{Inventory, Pending};
use crate::model::live::{LiveObject, LiveState, RootState};
use crate::model::name::Name;
use crate::model::pin::{PinPath, PinRoot};
use crate::model::socket_hook::SocketHook;

use super::dispatchers::Called;
use super::prune::Mode;
use super::recover::Known;
use super::{
    Action, Adoption, Change, ObjectLoad, Plan, Slot, Step, dispatchers, operations, pins, prune,
    sockets,
};

/// When a step runs. Earlier phases are done for every object before a later one begins, so that a
/// program the verifier refuses is found before anything is attached or pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Open,
    CreateMaps,
    LoadPrograms,
    LoadReplacements,
    FillSlots,
    /// As late as possible: the less is written into the old maps after it.
    CopyEntries,
    Root,
    Directories,
    PinMaps,
    PinPrograms,
    /// Links of programs that replace functions: before others run with the functions replaced.
    Replacements,
    /// What is registered without a link goes before the next of its name can come, and so does what is
    /// attached to a map of sockets that others are attached to.
    Unregister,
    Links,
    /// And what maps of sockets keep that nothing else is attached to.
    RemoveFilters,
    /// Programs write into the new maps by now.
    CarryEntries,
    Retire,
    DropStaged,
    RemoveDirectories,
}

/// What a pin path shall hold.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// For whom, to say who is refused.
    pub(super) address: Address,
    /// The object.
    pub(super) source: Source,
    /// When it gets there.
    pub(super) phase: Phase,
    /// Whether a persisting object of ours may lose its place for it.
    pub(super) replaces: bool,
}

/// Where the object for a pin path comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// This run makes it.
    New(Address),
    /// It is pinned at `pin` when the run begins.
    Live {
        /// Where.
        pin: PinPath,
        /// Which object it is.
        identity: Identity,
    },
    /// A map that lost its pin; programs hold it.
    Unpinned {
        /// The map's kernel id.
        id: u32,
    },
}

impl Source {
    /// Which object it is, if it is there already.
    pub(super) fn identity(&self) -> Option<Identity> {
        match self {
            Self::New(_) => None,
            Self::Live { identity, .. } => Some(*identity),
            Self::Unpinned { id } => Some(Identity::map(*id)),
        }
    }

    /// The kernel id to be recorded for it: 0 for what this run makes, until it is made.
    pub(super) fn recorded_id(&self) -> u32 {
        self.identity().map_or(0, |identity| identity.id)
    }
}

/// A plan in the making.
#[derive(Clone)]
pub(super) struct Draft<'a> {
    pub(super) live: &'a LiveState,
    /// What is ours now.
    pub(super) known: &'a Known,
    /// Whether what is someone else's may become ours.
    pub(super) adoption: Adoption,
    /// The inventory once the plan is done.
    pub(super) after: Inventory,
    /// What each pin path shall hold.
    pub(super) claims: BTreeMap<PinPath, Claim>,
    /// Links of someone else's that are taken over.
    pub(super) adopted: BTreeSet<u32>,
    /// Pins of ours that go, whatever their policy: what they hold is elsewhere now, or replaced.
    pub(super) superseded: BTreeSet<PinPath>,
    /// Pins of links that the run removes before it makes what takes their places.
    pub(super) released: BTreeSet<PinPath>,
    /// Maps of struct ops, by id, that stay registered.
    pub(super) kept_operations: BTreeSet<u32>,
    /// Hooks of maps of sockets that keep a wanted program.
    pub(super) kept_hooks: BTreeSet<SocketHook>,
    /// What is called on each interface, by index, that programs share.
    pub(super) called: BTreeMap<u32, Called>,
    /// Links on record that another address has taken over.
    pub(super) taken: BTreeMap<Address, Address>,
    changes: Vec<Change>,
    steps: Vec<(Phase, Step)>,
    loads: Vec<ObjectLoad>,
    opened: BTreeSet<PinPath>,
    unpinned: BTreeSet<u32>,
    foreign: BTreeSet<u32>,
    has_dispatcher: bool,
    directories: BTreeSet<PinPath>,
    /// Interfaces, by index, whose `clsact` qdisc is ours once it is there.
    pub(super) clsact: BTreeSet<u32>,
    staged: usize,
}

impl<'a> Draft<'a> {
    pub(super) fn new(live: &'a LiveState, known: &'a Known, pin_root: PinRoot) -> Self {
        let mut after = known.inventory.clone();
        after.pin_root = pin_root;
        after.objects.clear();
        after.resources.clear();
        after.forgotten.clear();
        let others = &live.others;
        let shared: Vec<PinPath> = missing(&others.directories, &after.directories);
        after.directories.extend(shared);
        let shared: Vec<PathBuf> = missing(&others.root_directories, &after.root_directories);
        after.root_directories.extend(shared);
        Self {
            live,
            known,
            adoption: Adoption::Never,
            after,
            claims: BTreeMap::new(),
            adopted: BTreeSet::new(),
            superseded: BTreeSet::new(),
            released: BTreeSet::new(),
            kept_operations: BTreeSet::new(),
            kept_hooks: BTreeSet::new(),
            called: BTreeMap::new(),
            taken: BTreeMap::new(),
            changes: Vec::new(),
            steps: Vec::new(),
            loads: Vec::new(),
            opened: BTreeSet::new(),
            unpinned: BTreeSet::new(),
            foreign: BTreeSet::new(),
            has_dispatcher: false,
            directories: BTreeSet::new(),
            clsact: known.clsact.clone(),
            staged: 0,
        }
    }

    pub(super) fn inventory(&self) -> &'a Inventory {
        &self.known.inventory
    }

    pub(super) fn name(&self) -> Name {
        self.after.name.clone()
    }

    /// Adds a verdict. A refusal takes the place of whatever was said of the resource before.
    pub(super) fn change(&mut self, change: Change) {
        match self.changes.iter_mut().find(|said| said.address == change.address) {
            None => self.changes.push(change),
            Some(said) if change.action == Action::Refuse && said.action != Action::Refuse => {
                *said = change;
            }
            Some(_) => {}
        }
    }

    pub(super) fn refuse(&mut self, address: Address, reason: impl Into<String>) {
        self.change(Change::new(address, Action::Refuse, reason));
    }

    pub(super) fn is_refused(&self) -> bool {
        self.changes.iter().any(|change| change.action == Action::Refuse)
    }

    pub(super) fn step(&mut self, phase: Phase, step: Step) {
        self.steps.push((phase, step));
    }

    /// Loads an object's programs, together with those of all others.
    pub(super) fn load(&mut self, load: ObjectLoad) {
        self.loads.push(load);
    }

    /// Says what a pin path shall hold. Whoever claims a path that is claimed already shares it.
    pub(super) fn claim(&mut self, pin: PinPath, address: &Address, source: Source, phase: Phase) {
        let claim = Claim { address: address.clone(), source, phase, replaces: false };
        self.claims.entry(pin).or_insert(claim);
    }

    /// Whether what lies at `pin` is ours to replace and unlink.
    pub(super) fn owns(&self, pin: &PinPath, found: &LiveObject) -> bool {
        pin.is_private_to(&self.after.name) || self.inventory().owns(pin, found)
    }

    /// Which object lies at a pin path.
    pub(super) fn identity_at(&self, pin: &PinPath) -> Option<Identity> {
        self.live.pins.get(pin).and_then(LiveObject::identity)
    }

    /// Whether the program with that id lies at a pin path.
    pub(super) fn holds_program(&self, pin: &PinPath, id: u32) -> bool {
        self.identity_at(pin) == Some(Identity::program(id))
    }

    /// The slot of a source, which is opened if it is there already.
    pub(super) fn slot(&mut self, source: &Source) -> Slot {
        match source {
            Source::New(address) => Slot::New(address.clone()),
            Source::Live { pin, identity } => self.open(pin, *identity),
            Source::Unpinned { id } => {
                if self.unpinned.insert(*id) {
                    self.step(Phase::Open, Step::OpenMap { id: *id });
                }
                Slot::Unpinned(*id)
            }
        }
    }

    /// Holds what lies at `pin` until the run is over.
    pub(super) fn open(&mut self, pin: &PinPath, identity: Identity) -> Slot {
        if self.opened.insert(pin.clone()) {
            self.step(Phase::Open, Step::Open { pin: pin.clone(), identity });
        }
        Slot::Live(pin.clone())
    }

    /// Holds the program of ours with that id, if a pin of it is left to open.
    pub(super) fn open_program(&mut self, id: u32) -> Option<Slot> {
        let pin = self.known.program_pin(id)?.clone();
        Some(self.open(&pin, Identity::program(id)))
    }

    /// Holds a program of someone else's.
    pub(super) fn open_foreign(&mut self, program: u32) -> Slot {
        if self.foreign.insert(program) {
            self.step(Phase::Open, Step::OpenForeign { program });
        }
        Slot::Foreign(program)
    }

    /// Holds the program that someone else keeps pinned at a path outside of the pin root.
    pub(super) fn open_pinned(&mut self, pin: &Path, program: u32) -> Slot {
        self.step(Phase::Open, Step::OpenPinned { pin: pin.to_owned(), program });
        Slot::Foreign(program)
    }

    /// A dispatcher for programs to be loaded for.
    pub(super) fn dispatcher(&mut self) -> Slot {
        if !std::mem::replace(&mut self.has_dispatcher, true) {
            self.step(Phase::LoadPrograms, Step::LoadDispatcher);
        }
        Slot::Dispatcher
    }

    /// A place in the stage that nothing uses, not even what a killed run left there.
    pub(super) fn stage(&mut self) -> PinPath {
        loop {
            let stage = PinPath::stage(&self.after.name, self.staged);
            self.staged += 1;
            if !self.live.pins.contains_key(&stage) {
                self.make_directories(&stage);
                self.step(Phase::DropStaged, Step::DropStaged(stage.clone()));
                return stage;
            }
        }
    }

    /// Lets the last step that removes a filter of an interface remove its qdisc too.
    pub(super) fn remove_clsact_of(&mut self, index: u32) {
        if let Some(with_clsact) = prune::last_removals(&mut self.steps).remove(&index) {
            *with_clsact = true;
        }
    }

    /// Makes the directories above a pin path that are missing. Private ones are ours whoever made
    /// them, so they are not looked for.
    pub(super) fn make_directories(&mut self, pin: &PinPath) {
        for directory in pin.ancestors() {
            if self.live.pins.get(&directory) == Some(&LiveObject::Directory)
                || !self.directories.insert(directory.clone())
            {
                continue;
            }
            if !directory.is_private() && !self.after.directories.contains(&directory) {
                self.after.directories.push(directory.clone());
            }
            self.step(Phase::Directories, Step::MakeDirectory(directory));
        }
    }

    /// Removes the directories that the wanted pins no longer need: those we made, and our own.
    fn remove_directories(&mut self) {
        let mut needed: BTreeSet<PinPath> = BTreeSet::new();
        for (pin, _) in self.after.pins() {
            needed.extend(pin.ancestors());
        }
        let mut idle: BTreeSet<PinPath> = self.directories.clone();
        idle.extend(self.after.directories.iter().cloned());
        let left = self.inventory().pins().map(|(pin, _)| pin);
        let left = left.chain(self.known.litter.iter().map(|(pin, _)| pin));
        idle.extend(left.flat_map(PinPath::ancestors).filter(PinPath::is_private));
        if self.known.interrupted {
            // They may be all that is left.
            for directory in PinPath::private_directories(&self.after.name) {
                idle.extend(directory.ancestors());
                idle.insert(directory);
            }
        }
        for directory in idle.into_iter().rev().filter(|path| !needed.contains(path)) {
            self.step(Phase::RemoveDirectories, Step::RemoveDirectory(directory));
        }
        if needed.is_empty() && self.after.pins().next().is_none() {
            self.step(Phase::RemoveDirectories, Step::RemoveRoot);
        }
    }

    /// Decides what becomes of everything that is not claimed, and puts the steps in order.
    pub(super) fn finish(mut self, mode: Mode) -> Plan {
        if !self.loads.is_empty() {
            let loads = std::mem::take(&mut self.loads);
            self.step(Phase::LoadPrograms, Step::LoadPrograms(loads));
        }
        operations::unregister(&mut self);
        dispatchers::settle(&mut self);
        sockets::settle(&mut self);
        if !self.is_refused() {
            pins::settle(mode, &mut self);
        }
        if !self.is_refused() {
            prune::prune(mode, &mut self);
        }
        if self.is_refused() {
            self.steps.clear();
        } else if !self.steps.is_empty() || self.after.is_spent() || self.known.interrupted {
            self.remove_directories();
        }
        self.make_root();
        self.steps.sort_by_key(|(phase, _)| *phase);
        let steps: Vec<Step> = self.steps.into_iter().map(|(_, step)| step).collect();
        let pending = Pending {
            after: self.after.clone(),
            strays: self.known.litter.iter().cloned().collect(),
            filters: steps.iter().filter_map(Step::filter).cloned().collect(),
            clsact: self.clsact,
        };
        let underway =
            Inventory { pending: Some(Box::new(pending)), ..self.known.inventory.clone() };
        Plan { changes: self.changes, steps, underway, after: self.after }
    }

    /// Makes the root, if something is pinned below it and it is missing.
    fn make_root(&mut self) {
        let RootState::Absent { missing } = &self.live.root else { return };
        let below =
            |(_, step): &(Phase, Step)| matches!(step, Step::Pin { .. } | Step::MakeDirectory(_));
        if self.steps.iter().any(below) {
            let known = &mut self.after.root_directories;
            known.retain(|directory| !missing.contains(directory));
            known.extend(missing.iter().cloned());
            self.step(Phase::Root, Step::MakeRoot);
        }
    }
}

/// Those of `all` that are not in `known` yet.
fn missing<T: Clone + PartialEq>(all: &BTreeSet<T>, known: &[T]) -> Vec<T> {
    all.iter().filter(|one| !known.contains(one)).cloned().collect()
}

/// Why something at a path is in the way.
pub(super) fn foreign(root: &PinRoot, pin: &PinPath, found: &LiveObject) -> String {
    let at = root.join(pin);
    match found {
        LiveObject::Unreadable { reason } => format!("{} cannot be opened: {reason}", at.display()),
        found => {
            let id =
                found.identity().map(|found| format!(" (id {})", found.id)).unwrap_or_default();
            format!(
                "{} holds {}{id} that is not on record as this deployment's: remove it by hand, or \
                 choose another subpath",
                at.display(),
                found.kind()
            )
        }
    }
}
