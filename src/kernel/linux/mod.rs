//! The real kernel, through bpf(2), bpffs and rtnetlink.
//!
//! Probes nothing in advance and reads nothing it does not need: the kernel's answer to the call
//! itself says what it can do.

mod attach;
mod bpffs;
mod btf;
mod btf_file;
mod capability;
mod cause;
mod contents;
mod dispatcher;
mod externs;
mod handle;
mod held;
mod host;
mod interface;
mod interfaces;
mod jump_tables;
mod maps;
mod modules;
mod mprog;
mod netfilter;
mod netlink;
mod netns;
mod observe;
mod occupant;
mod parallel;
mod probe;
mod programs;
mod refusal;
mod released;
mod replaced;
mod since;
mod slots;
mod sockets;
mod struct_ops;
mod sys;
mod target;
mod tc;
mod tracefs;
mod unit;
mod usage;
mod verifier;
mod xdp;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub use capability::keep_only;
pub use handle::Handle;
pub use held::Held;
pub use interfaces::{Interfaces, Noticed};
use rustix::io::Errno;
pub use since::running;
pub use target::places;

use super::entries::{Carried, Copied, Pass};
use super::{
    AttachedFilter, Dispatching, Found, Kernel, KernelError, LoadRequest, Removal, Replaced,
    Result, Settled,
};
use crate::btf::Btf;
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

/// The kernel this process runs on.
#[derive(Debug, Default)]
pub struct Linux {
    facts: OnceLock<HostFacts>,
    boot_id: OnceLock<String>,
    kernel_btf: OnceLock<host::KernelBtf>,
    roots: bpffs::Roots,
    core_btf: Option<Vec<u8>>,
    /// Whether entries are read and written one by one though the kernel has batches.
    one_by_one: bool,
    /// Whether maps of sockets keep programs by themselves though the kernel has links for that.
    no_socket_links: bool,
}

impl Linux {
    /// Asks the kernel for nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adjusts programs to the types of a file instead of the kernel's own (CO-RE): raw BTF, or an ELF
    /// file with a section `.BTF`; fails if `bytes`, what is in the file at `path`, are neither. What the
    /// kernel itself looks up by id still comes from the kernel.
    pub fn with_btf(path: &Path, bytes: Vec<u8>) -> Result<Self> {
        let refuse = |reason| KernelError::reason("read the kernel's BTF", reason).at(path);
        Ok(Self { core_btf: Some(btf_file::types(bytes).map_err(refuse)?), ..Self::default() })
    }

    /// Reads and writes the entries of maps one by one, as on kernels before 5.6, which cannot do it in
    /// batches.
    #[cfg(feature = "test-support")]
    #[must_use]
    pub fn without_batches(self) -> Self {
        Self { one_by_one: true, ..self }
    }

    /// Has maps of sockets keep programs by themselves, as before Linux 6.10, which has links for that.
    #[cfg(feature = "test-support")]
    #[must_use]
    pub fn without_socket_links(self) -> Self {
        Self { no_socket_links: true, ..self }
    }

    fn host_facts(&self) -> Result<HostFacts> {
        if let Some(facts) = self.facts.get() {
            return Ok(*facts);
        }
        let facts = host::facts()?;
        Ok(*self.facts.get_or_init(|| facts))
    }

    /// Which boot this is, read once.
    fn boot_id(&self) -> Result<String> {
        if let Some(boot_id) = self.boot_id.get() {
            return Ok(boot_id.clone());
        }
        let boot_id = host::boot_id()?;
        Ok(self.boot_id.get_or_init(|| boot_id).clone())
    }

    /// The kernel's own BTF, read at most once.
    fn kernel_btf(&self) -> Result<Btf<'_>> {
        let bytes = if let Some(bytes) = self.kernel_btf.get() {
            bytes
        } else {
            let bytes = host::kernel_btf()?;
            self.kernel_btf.get_or_init(|| bytes)
        };
        Btf::parse(bytes).map_err(|error| {
            KernelError::reason("read the kernel's BTF", error.to_string()).at(host::KERNEL_BTF)
        })
    }
}

impl Kernel for Linux {
    type Handle = Handle;
    type Held = Held;

    fn identity_of(&self, handle: &Handle) -> Identity {
        handle.identity()
    }

    fn facts(&self) -> Result<HostFacts> {
        self.host_facts()
    }

    fn identity(&self, root: &PinRoot) -> Result<HostIdentity> {
        let bpffs = bpffs::device(&self.roots, root)?;
        Ok(HostIdentity { boot_id: self.boot_id()?, bpffs, netns: host::network_namespace()? })
    }

    fn root_state(&self, root: &PinRoot) -> Result<RootState> {
        bpffs::root_state(&self.roots, root)
    }

    fn open(&self, root: &PinRoot, path: &PinPath) -> Result<Option<Found<Handle>>> {
        let Some(pin) = bpffs::open(&self.roots, root, path)? else { return Ok(None) };
        Ok(Some(match pin {
            bpffs::Pin::Object(handle) => Found {
                object: observe::object(&handle).map_err(|errno| {
                    KernelError::errno("describe the pin", errno).at(root.join(path))
                })?,
                handle: Some(handle),
            },
            bpffs::Pin::Directory => Found { object: LiveObject::Directory, handle: None },
            bpffs::Pin::Unreadable(reason) => {
                Found { object: LiveObject::Unreadable { reason }, handle: None }
            }
        }))
    }

    fn open_map(&self, id: u32) -> Result<Option<Found<Handle>>> {
        let failed = |errno| KernelError::errno(format!("open the map with id {id}"), errno);
        let fd = match sys::open_map(id) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::PERM) => return Ok(None),
            Err(errno) => return Err(failed(errno)),
        };
        let handle = Handle::of_kind(fd, ObjectKind::Map).map_err(failed)?;
        let object = observe::object(&handle).map_err(failed)?;
        Ok(Some(Found { object, handle: Some(handle) }))
    }

    fn usage(&self, handle: &Handle) -> Result<Usage> {
        usage::of(handle).map_err(|errno| {
            KernelError::errno(format!("read the figures of {}", handle.identity()), errno)
        })
    }

    fn list(&self, root: &PinRoot, directory: &PinPath) -> Result<Vec<PinPath>> {
        bpffs::list(&self.roots, root, directory)
    }

    fn target(&self, attachment: &Attachment) -> Result<TargetState> {
        target::state(attachment)
    }

    fn interfaces(&self) -> Result<Vec<Interface>> {
        interface::all().map_err(|errno| KernelError::errno("list the interfaces", errno))
    }

    fn has_tcx(&self) -> Result<bool> {
        mprog::has_tcx().map_err(|errno| KernelError::errno("look for tcx", errno))
    }

    fn has_event_links(&self) -> Result<bool> {
        Ok(probe::has_event_links())
    }

    fn has_socket_links(&self) -> Result<bool> {
        Ok(!self.no_socket_links && sockets::has_links())
    }

    fn kept(&self, map: &Handle, attach_type: AttachType) -> Result<Kept> {
        sockets::kept(map, attach_type)
    }

    fn held(&self, descriptor: &Descriptor) -> Result<Option<LiveHeld>> {
        held::look(descriptor)
    }

    fn occupants(&self, attachment: &Attachment) -> Result<Vec<Occupant>> {
        occupant::all(attachment)
    }

    fn open_link(&self, id: u32) -> Result<Handle> {
        occupant::open(id, ObjectKind::Link)
    }

    fn open_program(&self, id: u32) -> Result<Handle> {
        occupant::open(id, ObjectKind::Program)
    }

    fn open_pinned(&self, pin: &Path) -> Result<Handle> {
        bpffs::open_program(pin)
    }

    fn filter(&self, key: &FilterKey) -> Result<Option<LiveFilter>> {
        tc::get(key)
    }

    fn filters(
        &self,
        interface: &str,
        direction: Direction,
    ) -> Result<BTreeMap<FilterKey, LiveFilter>> {
        tc::list(interface, direction)
    }

    fn has_clsact(&self, interface: &str) -> Result<bool> {
        tc::has_clsact(interface)
    }

    fn make_root(&self, root: &PinRoot) -> Result<Vec<PathBuf>> {
        bpffs::make_root(root)
    }

    fn remove_root_directory(&self, directory: &Path) -> Result<Removal> {
        bpffs::remove_root_directory(directory)
    }

    fn make_directory(&self, root: &PinRoot, path: &PinPath) -> Result<bool> {
        bpffs::make_directory(&self.roots, root, path)
    }

    fn remove_directory(&self, root: &PinRoot, path: &PinPath) -> Result<Removal> {
        bpffs::remove_directory(&self.roots, root, path)
    }

    fn load_btf(&self, image: &Image) -> Result<Option<Handle>> {
        btf::load(image)
    }

    fn create_map(&self, image: &Image, spec: &MapSpec, btf: Option<&Handle>) -> Result<Handle> {
        maps::create(self, image, spec, btf)
    }

    fn fill_slots(&self, map: &Handle, slots: &BTreeMap<u32, &Handle>) -> Result<()> {
        slots::fill(map, slots)
    }

    fn fill_operations(
        &self,
        map: &Handle,
        image: &Image,
        spec: &MapSpec,
        programs: &BTreeMap<&str, &Handle>,
    ) -> Result<()> {
        struct_ops::fill(self, map, (image, spec), programs)
    }

    fn operations_state(&self, map: &Handle) -> Result<OperationsState> {
        struct_ops::state(map)
    }

    fn unregister_operations(&self, map: &Handle) -> Result<()> {
        struct_ops::unregister(map)
    }

    fn attach_operations(&self, map: &Handle, attachment: &Attachment) -> Result<Handle> {
        struct_ops::attach(map, attachment)
    }

    fn copy_entries(
        &self,
        from: &Handle,
        to: &Handle,
        transfer: Transfer,
        progress: &mut dyn FnMut(Pass),
    ) -> Result<Copied> {
        let maps = contents::open(self, [from, to], transfer)?;
        contents::copy(&maps, transfer, progress)
    }

    fn carry_entries(
        &self,
        from: &Handle,
        to: &Handle,
        transfer: Transfer,
        copied: &mut Copied,
        progress: &mut dyn FnMut(Pass),
    ) -> Result<Carried> {
        let maps = contents::open(self, [from, to], transfer)?;
        contents::carry(&maps, transfer, copied, progress)
    }

    fn load_programs_with(
        &self,
        requests: &[LoadRequest<'_, Handle>],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<BTreeMap<String, Handle>>> {
        programs::load(self, requests, progress)
    }

    fn load_replacement(
        &self,
        request: &LoadRequest<'_, Handle>,
        replaced: &Replaced<'_, Handle>,
    ) -> Result<Handle> {
        programs::load_replacement(self, request, replaced)
    }

    fn load_dispatcher(&self) -> Result<Handle> {
        dispatcher::load()
    }

    fn dispatcher(&self, interface: u32) -> Result<Option<LiveDispatcher>> {
        dispatcher::live(interface)
    }

    fn dispatched(&self) -> Result<Vec<u32>> {
        dispatcher::interfaces()
    }

    fn dispatch(&self, change: &Dispatching<'_, Handle>) -> Result<()> {
        dispatcher::change(change)
    }

    fn attach(
        &self,
        program: &Handle,
        spec: &ProgramSpec,
        attachment: &Attachment,
    ) -> Result<Handle> {
        attach::attach(program, spec, attachment, &BTreeMap::new())
    }

    fn attach_with(
        &self,
        program: &Handle,
        spec: &ProgramSpec,
        attachment: &Attachment,
        others: &BTreeMap<&str, &Handle>,
    ) -> Result<Handle> {
        attach::attach(program, spec, attachment, others)
    }

    fn hold(
        &self,
        program: &Handle,
        spec: &ProgramSpec,
        attachment: &Attachment,
        others: &BTreeMap<&str, &Handle>,
    ) -> Result<Held> {
        held::attach(program, spec, attachment, others)
    }

    fn descriptor(&self, held: &Held) -> Result<Descriptor> {
        held.descriptor()
    }

    fn keep(
        &self,
        map: &Handle,
        attach_type: AttachType,
        new: &Handle,
        old: Option<&Handle>,
    ) -> Result<()> {
        sockets::keep(map, attach_type, new, old)
    }

    fn let_go(&self, map: &Handle, attach_type: AttachType, program: &Handle) -> Result<bool> {
        sockets::let_go(map, attach_type, program)
    }

    fn settle(&self, spec: &ProgramSpec, wanted: &[Attachment]) -> Result<Option<Settled>> {
        Ok(probe::settle(spec, wanted))
    }

    fn update_link(&self, link: &Handle, new: &Handle, old: Option<&Handle>) -> Result<()> {
        attach::update(link, new, old)
    }

    fn detach(&self, link: &Handle) -> Result<()> {
        attach::detach(link)
    }

    fn release_link(&self, link: Handle, root: &PinRoot, pin: &PinPath) -> Result<()> {
        released::release(&self.roots, link, root, pin)
    }

    fn attach_filter(
        &self,
        program: &Handle,
        spec: &ProgramSpec,
        attachment: &Attachment,
    ) -> Result<AttachedFilter> {
        tc::attach(program, spec, attachment)
    }

    fn replace_filter(&self, program: &Handle, key: &FilterKey) -> Result<()> {
        tc::replace(program, key)
    }

    fn remove_filter(&self, key: &FilterKey, with_clsact: bool) -> Result<()> {
        tc::remove(key, with_clsact)
    }

    fn pin(&self, handle: &Handle, root: &PinRoot, path: &PinPath) -> Result<()> {
        bpffs::pin(&self.roots, root, path, handle)
    }

    fn unpin(&self, root: &PinRoot, path: &PinPath) -> Result<()> {
        bpffs::unpin(&self.roots, root, path)
    }

    fn rename(&self, root: &PinRoot, from: &PinPath, to: &PinPath) -> Result<()> {
        bpffs::rename(&self.roots, root, from, to)
    }

    fn exchange(&self, root: &PinRoot, one: &PinPath, other: &PinPath) -> Result<()> {
        bpffs::exchange(&self.roots, root, one, other)
    }
}
