//! The interpreter of steps: one match, an inverse for every effect, every handle held to the end.

mod attach;
mod prepare;

use std::collections::BTreeMap;
use std::path::Path;

use crate::kernel::{Copied, Kernel, KernelError, Removal};
use crate::model::address::Address;
use crate::model::entries::Transfer;
use crate::model::identity::Identity;
use crate::model::inventory::Inventory;
use crate::model::live::{Descriptor, FilterKey};
use crate::model::map::MapSpec;
use crate::model::name::Name;
use crate::model::pin::{PinPath, PinRoot};
use crate::model::program::ProgramSpec;
use crate::plan::{ProgramRef, Slot, Step};
use crate::validate::{Desired, DesiredObject};

use super::error::Failure;
use super::fault;
use super::migrate;
use super::progress::{Observer, Progress};
use super::undo::Undo;

type Result<T> = std::result::Result<T, KernelError>;

/// Why a program does not come back.
const GONE: &str = "nothing else held its program, so it is gone";

/// Executes the steps of one plan.
pub(super) struct Executor<'a, K: Kernel> {
    kernel: &'a K,
    desired: Option<&'a Desired>,
    root: PinRoot,
    held: BTreeMap<Slot, K::Handle>,
    btf: BTreeMap<Name, Option<K::Handle>>,
    /// What the maps of this run were filled with.
    copied: BTreeMap<Slot, Copied>,
    /// Links that are attached until the run is over.
    bridges: Vec<K::Handle>,
    /// Attachments that end with this process unless somebody takes them over.
    made: BTreeMap<Descriptor, K::Held>,
    undo: Vec<Undo>,
    observer: &'a dyn Observer,
    /// The inventory as the steps done so far make it.
    pub(super) after: Inventory,
}

impl<'a, K: Kernel> Executor<'a, K> {
    pub(super) fn new(
        kernel: &'a K,
        desired: Option<&'a Desired>,
        after: Inventory,
        observer: &'a dyn Observer,
    ) -> Self {
        Self {
            kernel,
            desired,
            root: after.pin_root.clone(),
            held: BTreeMap::new(),
            btf: BTreeMap::new(),
            copied: BTreeMap::new(),
            bridges: Vec::new(),
            made: BTreeMap::new(),
            undo: Vec::new(),
            observer,
            after,
        }
    }

    /// Runs steps, or stops at the first that fails.
    pub(super) fn run<'s>(
        &mut self,
        steps: impl Iterator<Item = &'s Step>,
    ) -> std::result::Result<(), Box<Failure>> {
        for step in steps {
            fault::point();
            tracing::debug!("{step}");
            if let Err(error) = self.step(step) {
                return Err(Box::new(Failure { step: step.clone(), error }));
            }
            self.observer.tell(Progress::Done);
        }
        self.settle_ids();
        Ok(())
    }

    /// Takes every effect back, the last first, and returns what could not be.
    pub(super) fn roll_back(mut self) -> Vec<KernelError> {
        let mut stuck = Vec::new();
        while let Some(undo) = self.undo.pop() {
            tracing::debug!(?undo, "undo");
            if let Err(error) = self.take_back(undo) {
                stuck.push(error);
            }
        }
        stuck
    }

    /// Lets go of every handle, which detaches unpinned links, and returns the final record with what
    /// somebody has to keep.
    pub(super) fn finish(self) -> (Inventory, BTreeMap<Descriptor, K::Held>) {
        (self.after, self.made)
    }

    /// Once nothing is ours any more, directories that others use are no reason for a record.
    pub(super) fn forget_directories(&mut self) {
        if self.after.is_spent() {
            self.after.directories.clear();
            self.after.root_directories.clear();
        }
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::MakeRoot => self.make_root(),
            Step::MakeDirectory(path) => self.make_directory(path),
            Step::Open { pin, identity } => self.open(pin, *identity),
            Step::OpenMap { id } => self.open_map(*id),
            Step::OpenPinned { pin, program } => self.open_pinned(pin, *program),
            Step::CreateMap { address, object, map } => self.create_map(address, object, map),
            Step::LoadPrograms(loads) => self.load_programs(loads),
            Step::LoadReplacement { object, program, maps, replaced } => {
                self.load_replacement(object, program, maps, replaced)
            }
            Step::LoadDispatcher => self.load_dispatcher(),
            Step::FillSlots { map, slots } => self.fill_slots(map, slots),
            Step::FillOperations(ops) => self.fill_operations(ops),
            Step::Register(ops) => self.register(ops),
            Step::Unregister { map } => {
                self.kernel.unregister_operations(self.handle(map)?)?;
                let why = "the kernel registers a struct of operations once for each map";
                self.undo.push(Undo::Impossible(format!("register {map} again"), why));
                Ok(())
            }
            Step::CopyEntries { from, to, transfer } => self.copy_entries(from, to, *transfer),
            Step::CarryEntries { from, to, transfer } => self.carry_entries(from, to, *transfer),
            Step::Pin { slot, pin } => self.pin(slot, pin),
            Step::Swap { slot, pin, stage, identity } => self.swap(slot, pin, stage, *identity),
            Step::Rename { from, to } => self.rename(from, to),
            Step::Attach { address, program, attachment, others } => {
                let link = self.attach(program, attachment, others)?;
                self.attached(address, link);
                Ok(())
            }
            Step::Hold { address, program, attachment, others } => {
                self.attach_held(address, program, attachment, others)
            }
            Step::Bridge { address, program, attachments } => {
                self.bridge(address, program, attachments)
            }
            Step::TakeLink { address, link } => {
                let link = self.kernel.open_link(*link)?;
                self.held.insert(Slot::New(address.clone()), link);
                Ok(())
            }
            Step::OpenForeign { program } => {
                let handle = self.kernel.open_program(*program)?;
                self.held.insert(Slot::Foreign(*program), handle);
                Ok(())
            }
            Step::UpdateLink { link, program, expected } => {
                self.update_link(link, program, expected.as_ref())
            }
            Step::Detach { link, pin, program, attachment, others } => {
                self.kernel.detach(self.handle(link)?)?;
                let (pin, program, attachment) = (pin.clone(), program.clone(), attachment.clone());
                let others = others.clone();
                self.undo.push(Undo::Reattach { pin, program, attachment, others });
                Ok(())
            }
            Step::Release { link, pin, program, attachment } => {
                self.release(link, pin, program, attachment)
            }
            Step::AttachFilter { shares_clsact, address, program, attachment } => {
                self.attach_filter(address, program, attachment, *shares_clsact)
            }
            Step::ReplaceFilter { key, program, previous } => {
                self.kernel.replace_filter(self.handle(program)?, key)?;
                self.push_filter_undo(key, previous.as_ref());
                Ok(())
            }
            Step::RemoveFilter { key, program, with_clsact } => {
                self.kernel.remove_filter(key, *with_clsact)?;
                self.push_filter_undo(key, program.as_ref());
                Ok(())
            }
            Step::Dispatch(change) => self.change_dispatcher(change),
            Step::Sockets(change) => self.change_sockets(change),
            Step::Retire { pin, stage, identity } => self.retire(pin, stage, *identity),
            Step::DropStaged(stage) => {
                self.hold(stage)?;
                self.unpin(stage)?;
                self.undo.push(Undo::Pin(Slot::Live(stage.clone()), stage.clone()));
                Ok(())
            }
            Step::RemoveDirectory(path) => self.remove_directory(path),
            Step::RemoveRoot => self.remove_root(),
        }
    }

    fn take_back(&mut self, undo: Undo) -> Result<()> {
        match undo {
            Undo::RemoveRoot(made) => {
                for directory in made.iter().rev() {
                    self.kernel.remove_root_directory(directory)?;
                }
                Ok(())
            }
            Undo::MakeRoot => self.kernel.make_root(&self.root).map(drop),
            Undo::RemoveDirectory(path) => {
                self.kernel.remove_directory(&self.root, &path).map(drop)
            }
            Undo::MakeDirectory(path) => self.kernel.make_directory(&self.root, &path).map(drop),
            Undo::Unpin(pin) => self.unpin(&pin),
            Undo::Pin(slot, pin) => self.kernel.pin(self.handle(&slot)?, &self.root, &pin),
            Undo::SwapBack { pin, stage } => {
                self.kernel.exchange(&self.root, &pin, &stage)?;
                self.unpin(&stage)
            }
            Undo::Rename { from, to } => self.kernel.rename(&self.root, &from, &to),
            Undo::Detach(slot) => {
                self.held.remove(&slot);
                Ok(())
            }
            Undo::LetGo(descriptor) => {
                self.made.remove(&descriptor);
                Ok(())
            }
            Undo::UpdateLink { link, program, expected } => {
                let (new, old) = (self.handle(&program)?, self.handle(&expected)?);
                self.kernel.update_link(self.handle(&link)?, new, Some(old))
            }
            Undo::Reattach { pin, program, attachment, others } => {
                let link = self.attach(&program, &attachment, &others)?;
                self.unpin(&pin)?;
                self.kernel.pin(&link, &self.root, &pin)
            }
            Undo::Unregister(map) => self.kernel.unregister_operations(self.handle(&map)?),
            Undo::Attach { pin, program, attachment } => {
                let link = self.attach(&program, &attachment, &BTreeMap::new())?;
                self.kernel.pin(&link, &self.root, &pin)
            }
            Undo::PutFilter { key, program } => {
                self.kernel.replace_filter(self.handle(&program)?, &key)
            }
            Undo::Dispatch(change) => self.dispatch(&change),
            Undo::Sockets(change) => self.set_sockets(&change).map(drop),
            Undo::Impossible(what, why) => Err(KernelError::reason(what, why)),
            Undo::RemoveFilter { key, with_clsact } => self.kernel.remove_filter(&key, with_clsact),
        }
    }

    fn make_root(&mut self) -> Result<()> {
        let made = self.kernel.make_root(&self.root)?;
        self.undo.push(Undo::RemoveRoot(made));
        Ok(())
    }

    /// Removes the root if we made it, and what is above it that we made, or that is the place of all
    /// default roots; each only if it is empty.
    fn remove_root(&mut self) -> Result<()> {
        let mut directories = self.after.root_directories.clone();
        let default = Path::new(PinRoot::DEFAULT_PARENT);
        if self.root.as_path().parent() == Some(default) {
            directories.extend([default.to_owned(), self.root.as_path().to_owned()]);
        }
        directories.sort();
        directories.dedup();
        while let Some(directory) = directories.pop() {
            match self.kernel.remove_root_directory(&directory)? {
                Removal::NotEmpty => break,
                Removal::Removed => self.undo.push(Undo::MakeRoot),
                Removal::Absent => {}
            }
            self.after.root_directories.retain(|made| *made != directory);
        }
        Ok(())
    }

    fn make_directory(&mut self, path: &PinPath) -> Result<()> {
        if self.kernel.make_directory(&self.root, path)? {
            self.undo.push(Undo::RemoveDirectory(path.clone()));
        } else {
            // Someone else has made it since the plan was.
            self.after.directories.retain(|directory| directory != path);
        }
        Ok(())
    }

    fn remove_directory(&mut self, path: &PinPath) -> Result<()> {
        if !path.is_private() && !self.after.directories.contains(path) {
            return Ok(());
        }
        match self.kernel.remove_directory(&self.root, path)? {
            Removal::NotEmpty => return Ok(()),
            Removal::Removed => self.undo.push(Undo::MakeDirectory(path.clone())),
            Removal::Absent => {}
        }
        self.after.directories.retain(|directory| directory != path);
        Ok(())
    }

    fn open(&mut self, pin: &PinPath, identity: Identity) -> Result<()> {
        self.hold(pin)?;
        let found = self.kernel.identity_of(self.handle(&Slot::Live(pin.clone()))?);
        if found == identity {
            return Ok(());
        }
        let reason =
            format!("{found} is pinned there now, not {identity} as when the plan was made");
        Err(self.at(KernelError::reason("open pin", reason), pin))
    }

    fn open_map(&mut self, id: u32) -> Result<()> {
        let found = self.kernel.open_map(id)?.and_then(|found| found.handle);
        let gone = || KernelError::reason(format!("open the map with id {id}"), "it is gone");
        self.held.insert(Slot::Unpinned(id), found.ok_or_else(gone)?);
        Ok(())
    }

    fn open_pinned(&mut self, pin: &Path, program: u32) -> Result<()> {
        let handle = self.kernel.open_pinned(pin)?;
        let found = self.kernel.id(&handle);
        if found != program {
            let reason = format!(
                "program id {found} is pinned there now, not id {program} as when the plan was made"
            );
            return Err(KernelError::reason("open the program", reason).at(pin));
        }
        self.held.insert(Slot::Foreign(program), handle);
        Ok(())
    }

    fn hold(&mut self, pin: &PinPath) -> Result<()> {
        let found = self.kernel.open(&self.root, pin)?;
        let Some(handle) = found.and_then(|found| found.handle) else {
            let reason = "nothing that can be opened is pinned there any more";
            return Err(self.at(KernelError::reason("open pin", reason), pin));
        };
        self.held.insert(Slot::Live(pin.clone()), handle);
        Ok(())
    }

    /// Needs no inverse: only the new map is written.
    fn copy_entries(&mut self, from: &Slot, to: &Slot, transfer: Transfer) -> Result<()> {
        let maps = [self.handle(from)?, self.handle(to)?];
        let copied = migrate::copy(self.kernel, maps, to, transfer, self.observer)?;
        self.copied.insert(to.clone(), copied);
        Ok(())
    }

    /// Needs no inverse: only the new map is written, and the old one comes back as it is.
    fn carry_entries(&mut self, from: &Slot, to: &Slot, transfer: Transfer) -> Result<()> {
        let missing = || KernelError::reason(format!("carry over to {to}"), "nothing was copied");
        let mut copied = self.copied.remove(to).ok_or_else(missing)?;
        let maps = [self.handle(from)?, self.handle(to)?];
        migrate::carry(self.kernel, maps, to, transfer, &mut copied, self.observer)
    }

    fn pin(&mut self, slot: &Slot, pin: &PinPath) -> Result<()> {
        self.kernel.pin(self.handle(slot)?, &self.root, pin)?;
        self.undo.push(Undo::Unpin(pin.clone()));
        Ok(())
    }

    fn swap(
        &mut self,
        slot: &Slot,
        pin: &PinPath,
        stage: &PinPath,
        identity: Identity,
    ) -> Result<()> {
        self.kernel.pin(self.handle(slot)?, &self.root, stage)?;
        self.undo.push(Undo::Unpin(stage.clone()));
        self.kernel.exchange(&self.root, pin, stage)?;
        self.undo.pop();
        self.undo.push(Undo::SwapBack { pin: pin.clone(), stage: stage.clone() });
        self.check_staged(pin, stage, identity)
    }

    fn retire(&mut self, pin: &PinPath, stage: &PinPath, identity: Identity) -> Result<()> {
        self.rename(pin, stage)?;
        self.check_staged(pin, stage, identity)
    }

    /// Whatever came out of its place must be what the plan saw there. If it is not, the failure
    /// brings it back.
    fn check_staged(&self, pin: &PinPath, stage: &PinPath, identity: Identity) -> Result<()> {
        let found = self.kernel.open(&self.root, stage)?.and_then(|found| found.handle);
        match found.map(|handle| self.kernel.identity_of(&handle)) {
            Some(found) if found == identity => Ok(()),
            found => {
                let found = found.map_or_else(|| "nothing".to_owned(), |found| found.to_string());
                let reason =
                    format!("{found} was pinned there, not {identity} as when the plan was made");
                Err(self.at(KernelError::reason("replace pin", reason), pin))
            }
        }
    }

    fn attached(&mut self, address: &Address, link: K::Handle) {
        let slot = Slot::New(address.clone());
        self.held.insert(slot.clone(), link);
        self.undo.push(Undo::Detach(slot));
    }

    fn update_link(&mut self, link: &Slot, program: &Slot, expected: Option<&Slot>) -> Result<()> {
        let old = expected.map(|expected| self.handle(expected)).transpose()?;
        self.kernel.update_link(self.handle(link)?, self.handle(program)?, old)?;
        self.undo.push(match expected {
            Some(expected) => Undo::UpdateLink {
                link: link.clone(),
                program: expected.clone(),
                expected: program.clone(),
            },
            None => Undo::Impossible(format!("give {link} its old program back"), GONE),
        });
        Ok(())
    }

    fn push_filter_undo(&mut self, key: &FilterKey, program: Option<&Slot>) {
        self.undo.push(match program {
            Some(program) => Undo::PutFilter { key: key.clone(), program: program.clone() },
            None => Undo::Impossible(format!("put the filter of {} back", key.interface), GONE),
        });
    }

    fn rename(&mut self, from: &PinPath, to: &PinPath) -> Result<()> {
        self.kernel.rename(&self.root, from, to)?;
        self.undo.push(Undo::Rename { from: to.clone(), to: from.clone() });
        Ok(())
    }

    fn unpin(&self, pin: &PinPath) -> Result<()> {
        self.kernel.unpin(&self.root, pin)
    }

    /// Writes the ids of what this run made into the record. Objects that share a pin share its id.
    fn settle_ids(&mut self) {
        let mut by_pin = BTreeMap::new();
        for (address, resource) in &mut self.after.resources {
            if let Some(handle) = self.held.get(&Slot::New(address.clone())) {
                resource.set_id(self.kernel.identity_of(handle).id);
                by_pin.extend(resource.pins().map(|(pin, made)| (pin.clone(), made)));
            }
        }
        for resource in self.after.resources.values_mut() {
            let unmade = resource.identity();
            let shared = |pin: &PinPath| by_pin.get(pin).filter(|made| made.kind == unmade.kind);
            let made = resource.pins().find_map(|(pin, _)| shared(pin)).map(|made| made.id);
            if let (0, Some(id)) = (unmade.id, made) {
                resource.set_id(id);
            }
        }
    }

    fn handle(&self, slot: &Slot) -> Result<&K::Handle> {
        let missing = || KernelError::reason(format!("use {slot}"), "no earlier step obtained it");
        self.held.get(slot).ok_or_else(missing)
    }

    fn object(&self, name: &Name) -> Result<&'a DesiredObject> {
        let objects = self.desired.map_or(&[][..], |desired| &desired.objects);
        let missing =
            || KernelError::reason(format!("use object `{name}`"), "the plan has no such object");
        objects.iter().find(|object| object.name == *name).ok_or_else(missing)
    }

    fn map_spec(&self, object: &Name, map: &str) -> Result<&'a MapSpec> {
        let maps = &self.object(object)?.maps;
        let missing =
            || KernelError::reason(format!("create map `{map}`"), "the object has no such map");
        maps.iter().map(|wanted| &wanted.spec).find(|spec| spec.name == map).ok_or_else(missing)
    }

    fn program_spec(&self, program: &ProgramRef) -> Result<&'a ProgramSpec> {
        let name = &program.program;
        let programs = &self.object(&program.object)?.programs;
        let missing =
            || KernelError::reason(format!("attach `{name}`"), "the object has no such program");
        programs
            .iter()
            .map(|wanted| &wanted.spec)
            .find(|spec| spec.name == *name)
            .ok_or_else(missing)
    }

    fn at(&self, error: KernelError, pin: &PinPath) -> KernelError {
        error.at(self.root.join(pin))
    }
}
