//! A plan in the making: collects changes and steps and puts the steps in order.

use std::collections::BTreeSet;

use crate::model::address::Address;
use crate::model::inventory::Inventory;
use crate::model::live::{LiveObject, LiveState, RootState};
use crate::model::name::Name;
use crate::model::pin::{PinPath, PinRoot};

use super::{Action, Change, Plan, Slot, Step, fingerprint};

/// When a step runs. Earlier phases are done for every object before a later one begins, so that a
/// program the verifier refuses is found before anything is attached or pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Open,
    CreateMaps,
    LoadPrograms,
    Directories,
    PinMaps,
    PinPrograms,
    Links,
    RetireLinks,
    RetirePrograms,
    RetireMaps,
    DropStaged,
    RetireDirectories,
}

/// A plan in the making.
pub(super) struct Draft<'a> {
    pub(super) live: &'a LiveState,
    pub(super) inventory: &'a Inventory,
    /// The inventory once the plan is done.
    pub(super) after: Inventory,
    changes: Vec<Change>,
    steps: Vec<(Phase, Step)>,
    opened: BTreeSet<PinPath>,
    retired: BTreeSet<PinPath>,
    directories: BTreeSet<PinPath>,
    staged: usize,
}

impl<'a> Draft<'a> {
    pub(super) fn new(live: &'a LiveState, inventory: &'a Inventory, pin_root: PinRoot) -> Self {
        let mut after = inventory.clone();
        after.pin_root = pin_root;
        after.objects.clear();
        after.resources.clear();
        Self {
            live,
            inventory,
            after,
            changes: Vec::new(),
            steps: Vec::new(),
            opened: BTreeSet::new(),
            retired: BTreeSet::new(),
            directories: BTreeSet::new(),
            staged: 0,
        }
    }

    pub(super) fn name(&self) -> Name {
        self.after.name.clone()
    }

    pub(super) fn change(&mut self, change: Change) {
        self.changes.push(change);
    }

    pub(super) fn refuse(&mut self, address: Address, reason: impl Into<String>) {
        self.change(Change::new(address, Action::Refuse, reason));
    }

    pub(super) fn step(&mut self, phase: Phase, step: Step) {
        self.steps.push((phase, step));
    }

    /// Whether what lies at `pin` is ours to replace or unlink: on record with that id, or, where
    /// the record was lost, below a directory that only this deployment uses.
    pub(super) fn owns(&self, pin: &PinPath, id: u32) -> bool {
        let recorded = self.inventory.pins().any(|(path, _)| path == pin);
        if recorded {
            self.inventory.owns(pin, id)
        } else {
            pin.is_private_to(&self.inventory.name)
        }
    }

    /// Holds what lies at `pin` until the run is over.
    pub(super) fn open(&mut self, pin: &PinPath, id: u32) -> Slot {
        if self.opened.insert(pin.clone()) {
            self.step(Phase::Open, Step::Open { pin: pin.clone(), id });
        }
        Slot::Live(pin.clone())
    }

    /// Puts a new object at `pin`: pins it there, or takes the place of what of ours is there.
    ///
    /// # Errors
    /// Why not, in words, if something that is not ours lies there.
    pub(super) fn place(&mut self, phase: Phase, slot: Slot, pin: &PinPath) -> Result<(), String> {
        match self.live.pins.get(pin) {
            None => {
                self.make_directories(pin);
                self.step(phase, Step::Pin { slot, pin: pin.clone() });
                Ok(())
            }
            Some(found) => {
                let ours = found.id().is_some_and(|id| self.owns(pin, id));
                if !ours {
                    return Err(foreign(&self.after.pin_root, pin, found));
                }
                let stage = self.free_stage();
                self.make_directories(&stage);
                self.step(phase, Step::Swap { slot, pin: pin.clone(), stage: stage.clone() });
                self.step(Phase::DropStaged, Step::DropStaged(stage));
                Ok(())
            }
        }
    }

    /// A place in the stage that nothing uses, not even what a killed run left there.
    fn free_stage(&mut self) -> PinPath {
        loop {
            let stage = PinPath::stage(&self.after.name, self.staged);
            self.staged += 1;
            if !self.live.pins.contains_key(&stage) {
                return stage;
            }
        }
    }

    /// Renames one of our pins to a free path.
    pub(super) fn rename(&mut self, phase: Phase, from: &PinPath, to: &PinPath) {
        self.make_directories(to);
        self.step(phase, Step::Rename { from: from.clone(), to: to.clone() });
    }

    /// Removes a pin of ours, holding its object until the run is over.
    pub(super) fn unpin(&mut self, phase: Phase, pin: &PinPath, id: u32) {
        self.open(pin, id);
        self.retired.insert(pin.clone());
        self.step(phase, Step::Unpin(pin.clone()));
    }

    /// Whether the plan removes that pin already.
    pub(super) fn is_retired(&self, pin: &PinPath) -> bool {
        self.retired.contains(pin)
    }

    fn make_directories(&mut self, pin: &PinPath) {
        for directory in pin.ancestors() {
            if self.directories.insert(directory.clone()) {
                self.step(Phase::Directories, Step::MakeDirectory(directory));
            }
        }
    }

    /// Removes the directories we made that the wanted pins no longer need.
    fn retire_directories(&mut self) {
        let mut needed: BTreeSet<PinPath> = BTreeSet::new();
        for (pin, _) in self.after.pins() {
            needed.extend(pin.ancestors());
        }
        let made = self.inventory.directories.iter().chain(&self.directories);
        let idle: BTreeSet<PinPath> =
            made.filter(|path| !needed.contains(*path)).cloned().collect();
        for directory in idle.into_iter().rev() {
            self.step(Phase::RetireDirectories, Step::RemoveDirectory(directory));
        }
        let pins_left = self.after.pins().next().is_some();
        if !pins_left && !self.inventory.root_directories.is_empty() {
            self.step(Phase::RetireDirectories, Step::RemoveRoot);
        }
    }

    pub(super) fn finish(mut self) -> Plan {
        let refused = self.changes.iter().any(|change| change.action == Action::Refuse);
        if refused {
            self.steps.clear();
        } else if !self.steps.is_empty() || self.after.pins().next().is_none() {
            self.retire_directories();
        }
        self.steps.sort_by_key(|(phase, _)| *phase);
        let mut steps: Vec<Step> = self.steps.into_iter().map(|(_, step)| step).collect();
        let pins =
            steps.iter().any(|step| matches!(step, Step::Pin { .. } | Step::MakeDirectory(_)));
        if pins && self.live.root == RootState::Absent {
            steps.insert(0, Step::MakeRoot);
        }
        Plan {
            changes: self.changes,
            steps,
            after: self.after,
            base: fingerprint(self.live, self.inventory),
        }
    }
}

/// Why something at a path is in the way.
pub(super) fn foreign(root: &PinRoot, pin: &PinPath, found: &LiveObject) -> String {
    let id = found.id().map(|id| format!(" (id {id})")).unwrap_or_default();
    format!(
        "{} holds {}{id} that is not on record as this deployment's: remove it by hand, or choose \
         another subpath",
        root.join(pin).display(),
        found.kind()
    )
}
