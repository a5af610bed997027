//! A kernel in memory, for tests of what stands above: no privilege, no host, and faults on demand.
//!
//! It knows an invariant of the real kernel only if the contract suite (`tests/support/contract`)
//! proves it on both. What it does not know it refuses, rather than guess. Each clone of a [`Fake`]
//! is another process on the same host.

mod bpffs;
mod contents;
mod dispatchers;
mod fault;
mod handle;
mod hooks;
mod host;
mod links;
mod objects;
mod operations;
mod probes;
mod programs;
mod released;
mod snapshot;
mod sockets;
mod state;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

pub use fault::{Call, CallKind, Killed};
pub use handle::{Handle, Held};
pub use snapshot::Snapshot;

use super::entries::{self, Carried, Copied, Pass};
use super::{
    AttachedFilter, Dispatching, Found, Kernel, KernelError, LoadRequest, Removal, Replaced,
    Result, Settled,
};
use crate::model::attach::{Attachment, Direction};
use crate::model::dispatch::LiveDispatcher;
use crate::model::entries::Transfer;
use crate::model::host::{HostFacts, HostIdentity};
use crate::model::identity::{Identity, ObjectKind};
use crate::model::kinds::AttachType;
use crate::model::live::{
    Descriptor, FilterKey, LiveFilter, LiveHeld, LiveObject, Occupant, OperationsState, RootState,
    TargetState,
};
use crate::model::map::MapSpec;
use crate::model::pattern::Interface;
use crate::model::pin::{PinPath, PinRoot};
use crate::model::program::ProgramSpec;
use crate::model::socket_hook::Kept;
use crate::model::usage::Usage;
use crate::object::Image;
use contents::Contents;
use fault::Interlude;
use sockets::Sockets;
use state::State;

/// A process on a host that exists in memory. Clones share the host.
#[derive(Clone, Debug, Default)]
pub struct Fake {
    state: Arc<Mutex<State>>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fake {
    /// A host with bpffs on `/sys/fs/bpf`, and nothing on it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything that can be seen from outside, to compare before and after.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.lock().snapshot()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Begins a changing call: notes it, and fails if a fault is due.
    fn act(&self, kind: CallKind, detail: impl Into<String>) -> Result<MutexGuard<'_, State>> {
        let interlude = self.lock().faults.interludes.remove(&kind);
        if let Some(Interlude(act)) = interlude {
            act(self);
        }
        let mut state = self.lock();
        state.faults.call(Call { kind, detail: detail.into() })?;
        Ok(state)
    }

    fn open_by_id(&self, object: Identity) -> Result<Handle> {
        let mut state = self.lock();
        if !state.objects.contains_key(&object) {
            return Err(KernelError::errno(format!("open {object}"), Errno::NOENT));
        }
        state.hold_for_user(object);
        drop(state);
        Ok(self.handle(object))
    }

    fn contents(&self, maps: [&Handle; 2], transfer: Transfer) -> Result<[Contents<'_>; 2]> {
        let [one, other] = maps.map(|map| Contents::open(&self.state, map.object, transfer));
        Ok([one?, other?])
    }

    /// A handle to an object that was just made with one reference.
    fn handle(&self, object: Identity) -> Handle {
        Handle { state: Arc::clone(&self.state), object }
    }
}

impl Kernel for Fake {
    type Handle = Handle;
    type Held = Held;

    fn identity_of(&self, handle: &Handle) -> Identity {
        handle.object
    }

    fn usage(&self, _handle: &Handle) -> Result<Usage> {
        Ok(Usage::default())
    }

    fn facts(&self) -> Result<HostFacts> {
        Ok(state::FACTS)
    }

    fn identity(&self, root: &PinRoot) -> Result<HostIdentity> {
        let state = self.lock();
        let bpffs = state.tree.device_of(root.as_path());
        Ok(HostIdentity { boot_id: state.boot_id(), bpffs, netns: state::NETNS })
    }

    fn root_state(&self, root: &PinRoot) -> Result<RootState> {
        Ok(self.lock().tree.root_state(root.as_path()))
    }

    fn open(&self, root: &PinRoot, path: &PinPath) -> Result<Option<Found<Handle>>> {
        let mut state = self.lock();
        let Some(node) = state.tree.find(&root.join(path)) else { return Ok(None) };
        let bpffs::Node::Pin(object) = node else {
            return Ok(Some(Found { object: LiveObject::Directory, handle: None }));
        };
        let described = state.describe(object);
        state.hold_for_user(object);
        drop(state);
        Ok(Some(Found { object: described, handle: Some(self.handle(object)) }))
    }

    fn open_map(&self, id: u32) -> Result<Option<Found<Handle>>> {
        let mut state = self.lock();
        let map = Identity { kind: ObjectKind::Map, id };
        if !state.objects.contains_key(&map) {
            return Ok(None);
        }
        let object = state.describe(map);
        state.hold_for_user(map);
        drop(state);
        Ok(Some(Found { object, handle: Some(self.handle(map)) }))
    }

    fn list(&self, root: &PinRoot, directory: &PinPath) -> Result<Vec<PinPath>> {
        let names = self.lock().tree.pins_in(&root.join(directory))?;
        Ok(names.iter().filter_map(|name| directory.child(name)).collect())
    }

    fn target(&self, attachment: &Attachment) -> Result<TargetState> {
        let state = self.lock();
        Ok(match attachment {
            Attachment::FreplacePinned { pin, .. } => match state.pinned_program(pin) {
                Ok(program) => TargetState::Present(u64::from(program.id)),
                Err(error) => TargetState::Missing { reason: error.to_string() },
            },
            _ => state.hooks.target(attachment),
        })
    }

    fn interfaces(&self) -> Result<Vec<Interface>> {
        Ok(self.lock().hooks.interfaces())
    }

    fn has_tcx(&self) -> Result<bool> {
        Ok(!self.lock().hooks.lacks_tcx)
    }

    fn has_event_links(&self) -> Result<bool> {
        Ok(!self.lock().hooks.lacks_event_links)
    }

    fn has_socket_links(&self) -> Result<bool> {
        Ok(self.lock().hooks.sockets == Sockets::Linked)
    }

    fn kept(&self, map: &Handle, attach_type: AttachType) -> Result<Kept> {
        self.lock().kept(map.object, attach_type)
    }

    fn held(&self, descriptor: &Descriptor) -> Result<Option<LiveHeld>> {
        Ok(self.lock().held(descriptor))
    }

    fn occupants(&self, attachment: &Attachment) -> Result<Vec<Occupant>> {
        Ok(self.lock().occupants(attachment))
    }

    fn open_link(&self, id: u32) -> Result<Handle> {
        self.open_by_id(Identity { kind: ObjectKind::Link, id })
    }

    fn open_program(&self, id: u32) -> Result<Handle> {
        self.open_by_id(Identity { kind: ObjectKind::Program, id })
    }

    fn open_pinned(&self, pin: &Path) -> Result<Handle> {
        let program = self.lock().pinned_program(pin)?;
        self.open_by_id(program)
    }

    fn filter(&self, key: &FilterKey) -> Result<Option<LiveFilter>> {
        Ok(self.lock().hooks.filter(key))
    }

    fn filters(
        &self,
        interface: &str,
        direction: Direction,
    ) -> Result<BTreeMap<FilterKey, LiveFilter>> {
        Ok(self.lock().hooks.filters_at(interface, direction))
    }

    fn has_clsact(&self, interface: &str) -> Result<bool> {
        Ok(self.lock().hooks.has_clsact(interface))
    }

    fn make_root(&self, root: &PinRoot) -> Result<Vec<PathBuf>> {
        self.act(CallKind::MakeRoot, root.to_string())?.tree.make_root(root.as_path())
    }

    fn remove_root_directory(&self, directory: &Path) -> Result<Removal> {
        let call = CallKind::RemoveRootDirectory;
        self.act(call, directory.display().to_string())?.tree.remove_directory(directory)
    }

    fn make_directory(&self, root: &PinRoot, path: &PinPath) -> Result<bool> {
        self.act(CallKind::MakeDirectory, path.as_str())?.tree.make_directory(&root.join(path))
    }

    fn remove_directory(&self, root: &PinRoot, path: &PinPath) -> Result<Removal> {
        self.act(CallKind::RemoveDirectory, path.as_str())?.tree.remove_directory(&root.join(path))
    }

    fn load_btf(&self, image: &Image) -> Result<Option<Handle>> {
        let mut state = self.act(CallKind::LoadBtf, image.path.display().to_string())?;
        if !image.spec.has_btf {
            return Ok(None);
        }
        let btf = state.add_btf();
        drop(state);
        Ok(Some(self.handle(btf)))
    }

    fn create_map(&self, image: &Image, spec: &MapSpec, btf: Option<&Handle>) -> Result<Handle> {
        let mut state = self.act(CallKind::CreateMap, spec.name.as_str())?;
        let map = state.add_map(image, spec, btf.map(|btf| btf.object))?;
        drop(state);
        Ok(self.handle(map))
    }

    fn fill_slots(&self, map: &Handle, slots: &BTreeMap<u32, &Handle>) -> Result<()> {
        let mut state = self.act(CallKind::FillSlots, map.object.to_string())?;
        slots
            .iter()
            .try_for_each(|(index, content)| state.fill_slot(map.object, *index, content.object))
    }

    fn fill_operations(
        &self,
        map: &Handle,
        _image: &Image,
        spec: &MapSpec,
        programs: &BTreeMap<&str, &Handle>,
    ) -> Result<()> {
        let mut state = self.act(CallKind::FillOperations, map.object.to_string())?;
        let mut members = BTreeMap::new();
        for (member, name) in &spec.slots {
            let missing = || KernelError::reason("fill struct ops", "a program is missing");
            members.insert(*member, programs.get(name.as_str()).ok_or_else(missing)?.object);
        }
        state.fill_operations(map.object, spec, &members)
    }

    fn operations_state(&self, map: &Handle) -> Result<OperationsState> {
        self.lock().operations_state(map.object)
    }

    fn unregister_operations(&self, map: &Handle) -> Result<()> {
        self.act(CallKind::UnregisterOperations, map.object.to_string())?
            .unregister_operations(map.object)
    }

    fn attach_operations(&self, map: &Handle, attachment: &Attachment) -> Result<Handle> {
        let mut state = self.act(CallKind::Attach, attachment.to_string())?;
        let link = state.attach_operations(map.object, attachment)?;
        drop(state);
        Ok(self.handle(link))
    }

    fn copy_entries(
        &self,
        from: &Handle,
        to: &Handle,
        transfer: Transfer,
        progress: &mut dyn FnMut(Pass),
    ) -> Result<Copied> {
        drop(self.act(CallKind::CopyEntries, format!("{} {}", from.object, to.object))?);
        let [from, to] = self.contents([from, to], transfer)?;
        entries::copy(&from, &to, transfer.kept, progress)
    }

    fn carry_entries(
        &self,
        from: &Handle,
        to: &Handle,
        transfer: Transfer,
        copied: &mut Copied,
        progress: &mut dyn FnMut(Pass),
    ) -> Result<Carried> {
        drop(self.act(CallKind::CarryEntries, format!("{} {}", from.object, to.object))?);
        let [from, to] = self.contents([from, to], transfer)?;
        entries::carry(&from, &to, transfer.kept, copied, progress)
    }

    fn load_programs_with(
        &self,
        requests: &[LoadRequest<'_, Handle>],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<BTreeMap<String, Handle>>> {
        self.load(requests, progress)
    }

    fn load_replacement(
        &self,
        request: &LoadRequest<'_, Handle>,
        replaced: &Replaced<'_, Handle>,
    ) -> Result<Handle> {
        self.load_for(request, replaced.program.object)
    }

    fn load_dispatcher(&self) -> Result<Handle> {
        self.make_dispatcher()
    }

    fn dispatcher(&self, interface: u32) -> Result<Option<LiveDispatcher>> {
        Ok(self.lock().dispatcher(interface))
    }

    fn dispatched(&self) -> Result<Vec<u32>> {
        Ok(self.lock().hooks.dispatchers.keys().copied().collect())
    }

    fn dispatch(&self, change: &Dispatching<'_, Handle>) -> Result<()> {
        self.act(CallKind::Dispatch, change.interface)?.dispatch(change)
    }

    fn attach(
        &self,
        program: &Handle,
        spec: &ProgramSpec,
        attachment: &Attachment,
    ) -> Result<Handle> {
        self.attach_with(program, spec, attachment, &BTreeMap::new())
    }

    fn attach_with(
        &self,
        program: &Handle,
        spec: &ProgramSpec,
        attachment: &Attachment,
        others: &BTreeMap<&str, &Handle>,
    ) -> Result<Handle> {
        self.make_link((program, spec), attachment, others)
    }

    fn hold(
        &self,
        program: &Handle,
        spec: &ProgramSpec,
        attachment: &Attachment,
        _maps: &BTreeMap<&str, &Handle>,
    ) -> Result<Held> {
        self.make_held((program, spec), attachment)
    }

    fn descriptor(&self, held: &Held) -> Result<Descriptor> {
        Ok(probes::descriptor(held.0.object))
    }

    fn keep(
        &self,
        map: &Handle,
        attach_type: AttachType,
        new: &Handle,
        old: Option<&Handle>,
    ) -> Result<()> {
        let mut state = self.act(CallKind::Keep, map.object.to_string())?;
        state.keep(map.object, attach_type, new.object, old.map(|old| old.object))
    }

    fn let_go(&self, map: &Handle, attach_type: AttachType, program: &Handle) -> Result<bool> {
        let mut state = self.act(CallKind::LetGo, map.object.to_string())?;
        state.let_go(map.object, attach_type, program.object)
    }

    fn settle(&self, spec: &ProgramSpec, wanted: &[Attachment]) -> Result<Option<Settled>> {
        Ok(probes::settle(spec, wanted))
    }

    fn update_link(&self, link: &Handle, new: &Handle, old: Option<&Handle>) -> Result<()> {
        self.act(CallKind::UpdateLink, link.object.to_string())?.update_link(
            link.object,
            new.object,
            old.map(|old| old.object),
        )
    }

    fn detach(&self, link: &Handle) -> Result<()> {
        self.act(CallKind::Detach, link.object.to_string())?.detach(link.object)
    }

    fn release_link(&self, link: Handle, root: &PinRoot, pin: &PinPath) -> Result<()> {
        self.release(link, &root.join(pin), pin.as_str())
    }

    fn attach_filter(
        &self,
        program: &Handle,
        _spec: &ProgramSpec,
        attachment: &Attachment,
    ) -> Result<AttachedFilter> {
        self.act(CallKind::AttachFilter, attachment.to_string())?
            .attach_filter(program.object, attachment)
    }

    fn replace_filter(&self, program: &Handle, key: &FilterKey) -> Result<()> {
        self.act(CallKind::ReplaceFilter, key.interface.as_str())?
            .replace_filter(program.object, key)
    }

    fn remove_filter(&self, key: &FilterKey, with_clsact: bool) -> Result<()> {
        self.act(CallKind::RemoveFilter, key.interface.as_str())?.remove_filter(key, with_clsact);
        Ok(())
    }

    fn pin(&self, handle: &Handle, root: &PinRoot, path: &PinPath) -> Result<()> {
        let mut state = self.act(CallKind::Pin, path.as_str())?;
        if handle.object.kind == ObjectKind::Btf {
            return Err(KernelError::errno("pin", Errno::INVAL).at(root.join(path)));
        }
        state.tree.pin(&root.join(path), handle.object)?;
        state.hold_for_user(handle.object);
        Ok(())
    }

    fn unpin(&self, root: &PinRoot, path: &PinPath) -> Result<()> {
        let mut state = self.act(CallKind::Unpin, path.as_str())?;
        let object = state.tree.unpin(&root.join(path))?;
        state.release_by_user(object);
        Ok(())
    }

    fn rename(&self, root: &PinRoot, from: &PinPath, to: &PinPath) -> Result<()> {
        self.act(CallKind::Rename, format!("{from} {to}"))?
            .tree
            .rename(&root.join(from), &root.join(to))
    }

    fn exchange(&self, root: &PinRoot, one: &PinPath, other: &PinPath) -> Result<()> {
        self.act(CallKind::Exchange, format!("{one} {other}"))?
            .tree
            .exchange(&root.join(one), &root.join(other))
    }
}
