//! The one door to the kernel and bpffs: a trait that observes and acts, the real kernel, and a fake.
//!
//! Nothing here knows a manifest, a plan or a policy. Each method is one act with one outcome; what
//! to do in which order, and what to undo, is decided above.

mod dispatch;
mod entries;
mod error;
#[cfg(any(test, feature = "test-support"))]
pub mod fake;
pub mod linux;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use dispatch::{Dispatching, Joining};
pub use entries::{Carried, Copied, Pass};
pub use error::{KernelError, VerifierLog};

use crate::model::attach::{Attachment, Direction};
use crate::model::dispatch::LiveDispatcher;
use crate::model::entries::Transfer;
use crate::model::host::{HostFacts, HostIdentity};
use crate::model::identity::Identity;
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

/// A result of a kernel operation.
pub type Result<T> = std::result::Result<T, KernelError>;

/// What observes and changes a host.
///
/// A [`Handle`](Kernel::Handle) is a reference the kernel counts: a map, program, link or BTF lives
/// at least as long as a handle to it, a pin of it, or another object that uses it. Dropping the
/// last handle of an unpinned link detaches it before the drop returns.
pub trait Kernel {
    /// Keeps one kernel object alive.
    type Handle;

    /// Keeps one attachment in place that nothing can pin, by a descriptor of this process. Dropping it
    /// ends the attachment before the drop returns.
    type Held;

    /// Which object `handle` holds.
    fn identity_of(&self, handle: &Self::Handle) -> Identity;

    /// Its kernel id, for those who know the kind.
    fn id(&self, handle: &Self::Handle) -> u32 {
        self.identity_of(handle).id
    }

    /// Facts that normalise map shapes.
    fn facts(&self) -> Result<HostFacts>;

    /// Which boot, which network namespace, and which bpffs the root lies on or would be made on.
    fn identity(&self, root: &PinRoot) -> Result<HostIdentity>;

    /// Whether the root exists and is on bpffs. Mounts nothing.
    fn root_state(&self, root: &PinRoot) -> Result<RootState>;

    /// What lies at `path`, with a handle where it is a map, program or link that can be opened;
    /// `None` if nothing does.
    fn open(&self, root: &PinRoot, path: &PinPath) -> Result<Option<Found<Self::Handle>>>;

    /// The map with that id, pinned or not; `None` if it is gone, or if maps may not be opened by their
    /// ids here.
    fn open_map(&self, id: u32) -> Result<Option<Found<Self::Handle>>>;

    /// What a map or program has used and done; nothing of other objects.
    fn usage(&self, handle: &Self::Handle) -> Result<Usage>;

    /// The pins in a directory, sorted; none if it does not exist.
    fn list(&self, root: &PinRoot, directory: &PinPath) -> Result<Vec<PinPath>>;

    /// Whether the target of an attachment exists.
    fn target(&self, attachment: &Attachment) -> Result<TargetState>;

    /// The interfaces of this network namespace, by name.
    fn interfaces(&self) -> Result<Vec<Interface>>;

    /// Whether the kernel has tcx.
    fn has_tcx(&self) -> Result<bool>;

    /// Whether the kernel has links to perf events: tracepoints, probes of one place, counters.
    fn has_event_links(&self) -> Result<bool>;

    /// Whether the kernel has links to maps of sockets.
    fn has_socket_links(&self) -> Result<bool>;

    /// What a map of sockets runs for calls of that kind.
    fn kept(&self, map: &Self::Handle, attach_type: AttachType) -> Result<Kept>;

    /// Whether the attachment that a descriptor of any process kept in place is still there.
    fn held(&self, descriptor: &Descriptor) -> Result<Option<LiveHeld>>;

    /// The programs attached at what an attachment names by its kind of link, whoever made them: at an
    /// interface of this network namespace, or a cgroup, there for every attach type. None for hooks
    /// whose links cannot be updated. Needs the right to open objects by their ids.
    fn occupants(&self, attachment: &Attachment) -> Result<Vec<Occupant>>;

    /// Opens a link by its kernel id.
    fn open_link(&self, id: u32) -> Result<Self::Handle>;

    /// Opens a program by its kernel id.
    fn open_program(&self, id: u32) -> Result<Self::Handle>;

    /// Opens the program that is pinned at an absolute path, whoever pinned it.
    fn open_pinned(&self, pin: &Path) -> Result<Self::Handle>;

    /// A `clsact` filter, if it is there.
    fn filter(&self, key: &FilterKey) -> Result<Option<LiveFilter>>;

    /// Every BPF filter at one hook of an interface; none if the interface or the qdisc is missing.
    fn filters(
        &self,
        interface: &str,
        direction: Direction,
    ) -> Result<BTreeMap<FilterKey, LiveFilter>>;

    /// Whether an interface has a `clsact` qdisc; not if the interface is missing.
    fn has_clsact(&self, interface: &str) -> Result<bool>;

    /// Makes the root and whatever is missing above it, and returns what was made, outermost first.
    /// If that fails half-way, what was made is removed again.
    fn make_root(&self, root: &PinRoot) -> Result<Vec<PathBuf>>;

    /// Removes a directory that [`make_root`](Kernel::make_root) made, if it is empty.
    fn remove_root_directory(&self, directory: &Path) -> Result<Removal>;

    /// Makes one directory below the root; says whether it was missing.
    fn make_directory(&self, root: &PinRoot, path: &PinPath) -> Result<bool>;

    /// Removes a directory below the root, if it is empty.
    fn remove_directory(&self, root: &PinRoot, path: &PinPath) -> Result<Removal>;

    /// Loads the object's BTF; `None` if it has none.
    fn load_btf(&self, image: &Image) -> Result<Option<Self::Handle>>;

    /// Creates a map of the object as `spec` says (normalised as libbpf does), fills a data section's
    /// contents in and freezes it where it is read-only. Slots stay empty.
    fn create_map(
        &self,
        image: &Image,
        spec: &MapSpec,
        btf: Option<&Self::Handle>,
    ) -> Result<Self::Handle>;

    /// Fills slots of a map that was just created: programs into a prog array, maps into a
    /// map-in-map. The map keeps what it holds alive; a prog array lets go of it with its own last
    /// handle and pin, though programs still use it.
    fn fill_slots(&self, map: &Self::Handle, slots: &BTreeMap<u32, &Self::Handle>) -> Result<()>;

    /// Puts programs and values into a map of struct ops, in the kernel's layout. One without a link is
    /// registered by that. One that is filled already stays as it is.
    fn fill_operations(
        &self,
        map: &Self::Handle,
        image: &Image,
        spec: &MapSpec,
        programs: &BTreeMap<&str, &Self::Handle>,
    ) -> Result<()>;

    /// Whether a map of struct ops is registered without a link, or can be.
    fn operations_state(&self, map: &Self::Handle) -> Result<OperationsState>;

    /// Unregisters a map of struct ops that has no link. It can never be registered again.
    fn unregister_operations(&self, map: &Self::Handle) -> Result<()>;

    /// Registers a map of struct ops by a link, which lives as long as its handle or its pin.
    fn attach_operations(
        &self,
        map: &Self::Handle,
        attachment: &Attachment,
    ) -> Result<Self::Handle>;

    /// Copies every entry of a map into one that was just created and that nobody else sees. What is
    /// written meanwhile is copied as far as it is seen. Fails if the new map has no room for all.
    /// `progress` hears from time to time how far it is.
    fn copy_entries(
        &self,
        from: &Self::Handle,
        to: &Self::Handle,
        transfer: Transfer,
        progress: &mut dyn FnMut(Pass),
    ) -> Result<Copied>;

    /// Brings over what was written into `from` since it was copied, once programs write into `to`.
    /// An entry that was written in both stays as it is in `to`. `copied` can be used once. `progress`
    /// hears from time to time how far it is.
    fn carry_entries(
        &self,
        from: &Self::Handle,
        to: &Self::Handle,
        transfer: Transfer,
        copied: &mut Copied,
        progress: &mut dyn FnMut(Pass),
    ) -> Result<Carried>;

    /// Relocates, verifies and loads programs of several objects, side by side: all of them, each
    /// object's by name, or none and an error that carries the verifier's words. Of several refusals
    /// the first is told, in the order of the requests and of their programs.
    fn load_programs(
        &self,
        requests: &[LoadRequest<'_, Self::Handle>],
    ) -> Result<Vec<BTreeMap<String, Self::Handle>>> {
        self.load_programs_with(requests, &mut |_| ())
    }

    /// The same; `progress` hears from time to time how many programs are loaded, beginning with none.
    fn load_programs_with(
        &self,
        requests: &[LoadRequest<'_, Self::Handle>],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<BTreeMap<String, Self::Handle>>>;

    /// Loads the one program of `request` for the function that it replaces. Attaching it does that.
    fn load_replacement(
        &self,
        request: &LoadRequest<'_, Self::Handle>,
        replaced: &Replaced<'_, Self::Handle>,
    ) -> Result<Self::Handle>;

    /// Loads a dispatcher of libxdp that runs nowhere: what XDP programs are loaded for that shall be
    /// called by one, in the place of its function [`FUNCTION`](crate::model::dispatch::FUNCTION).
    fn load_dispatcher(&self) -> Result<Self::Handle>;

    /// What the dispatcher of libxdp on an interface, by its index, calls; `None` if there is none, or
    /// none that could be changed.
    fn dispatcher(&self, interface: u32) -> Result<Option<LiveDispatcher>>;

    /// The interfaces, by index, for which there are pins of dispatchers, whoever made them.
    fn dispatched(&self) -> Result<Vec<u32>>;

    /// Puts another dispatcher in the place of the one on an interface, in one step for all packets: it
    /// calls what that one called, without some and with others. The first program brings it, and with
    /// the last it goes. A program that is there already is called as it is said now; one that shall go
    /// and is not there is no error.
    fn dispatch(&self, change: &Dispatching<'_, Self::Handle>) -> Result<()>;

    /// Attaches a program by a link, which lives as long as its handle or its pin.
    fn attach(
        &self,
        program: &Self::Handle,
        spec: &ProgramSpec,
        attachment: &Attachment,
    ) -> Result<Self::Handle>;

    /// The same for a hook that names other objects beside the program, given by their names in C: the map
    /// of a sockmap or that an iterator goes over, those of `usdt.bpf.h`, which are told where a probe's
    /// arguments are, or the link of the program that it shall be beside.
    fn attach_with(
        &self,
        program: &Self::Handle,
        spec: &ProgramSpec,
        attachment: &Attachment,
        others: &BTreeMap<&str, &Self::Handle>,
    ) -> Result<Self::Handle>;

    /// Attaches a program to a perf event without a link, as every kernel does. What hook it is for says
    /// [`Attachment::is_event`]; `others` are the maps of `usdt.bpf.h`, for its hook.
    fn hold(
        &self,
        program: &Self::Handle,
        spec: &ProgramSpec,
        attachment: &Attachment,
        others: &BTreeMap<&str, &Self::Handle>,
    ) -> Result<Self::Held>;

    /// What others see of it.
    fn descriptor(&self, held: &Self::Held) -> Result<Descriptor>;

    /// Attaches a program to a map of sockets without a link, in the place of `old` and in one step. The map
    /// keeps it as long as somebody holds the map, whoever that is. The kernel takes the place of whatever is
    /// there, so it is asked right before: where it tells, anything but `old` is an error.
    fn keep(
        &self,
        map: &Self::Handle,
        attach_type: AttachType,
        new: &Self::Handle,
        old: Option<&Self::Handle>,
    ) -> Result<()>;

    /// Detaches a program from a map of sockets, if it is the one attached there; says whether it was.
    fn let_go(
        &self,
        map: &Self::Handle,
        attach_type: AttachType,
        program: &Self::Handle,
    ) -> Result<bool>;

    /// What the wanted attachments of a program come to on this host; `None` if to just that.
    fn settle(&self, spec: &ProgramSpec, wanted: &[Attachment]) -> Result<Option<Settled>>;

    /// Swaps the program of a link atomically, or the map of struct ops. With `old`, only if the link
    /// runs that one (`BPF_F_REPLACE`).
    fn update_link(
        &self,
        link: &Self::Handle,
        new: &Self::Handle,
        old: Option<&Self::Handle>,
    ) -> Result<()>;

    /// Detaches a link from what it is attached to. It stays as if its target had gone.
    fn detach(&self, link: &Self::Handle) -> Result<()>;

    /// Removes the pin of a link and the link with it, and returns once it is detached. If something
    /// else keeps it attached, that is an error, and the pin is there again.
    fn release_link(&self, link: Self::Handle, root: &PinRoot, pin: &PinPath) -> Result<()>;

    /// Attaches a classifier to `clsact` over netlink, adding the qdisc where it is missing.
    fn attach_filter(
        &self,
        program: &Self::Handle,
        spec: &ProgramSpec,
        attachment: &Attachment,
    ) -> Result<AttachedFilter>;

    /// Replaces the program of a filter in place, or puts the filter back where it was.
    fn replace_filter(&self, program: &Self::Handle, key: &FilterKey) -> Result<()>;

    /// Removes a filter, and the `clsact` qdisc if `with_clsact` and no other filter uses it. An
    /// error means that the filter is still there.
    fn remove_filter(&self, key: &FilterKey, with_clsact: bool) -> Result<()>;

    /// Pins; refuses to replace what is there.
    fn pin(&self, handle: &Self::Handle, root: &PinRoot, path: &PinPath) -> Result<()>;

    /// Removes a pin.
    fn unpin(&self, root: &PinRoot, path: &PinPath) -> Result<()>;

    /// Renames a pin; refuses to replace what is there.
    fn rename(&self, root: &PinRoot, from: &PinPath, to: &PinPath) -> Result<()>;

    /// Exchanges two pins, so that at no moment either path is empty: in one step, or before Linux
    /// 5.16 one path after the other.
    fn exchange(&self, root: &PinRoot, one: &PinPath, other: &PinPath) -> Result<()>;
}

/// Something found at a pin path.
#[derive(Debug)]
pub struct Found<H> {
    /// What it is.
    pub object: LiveObject,
    /// Keeps it alive; `None` for a directory or what cannot be opened.
    pub handle: Option<H>,
}

/// Which programs of an object to load, with what.
#[derive(Debug)]
pub struct LoadRequest<'a, H> {
    /// The object.
    pub image: &'a Image,
    /// The programs.
    pub programs: Vec<&'a ProgramSpec>,
    /// Every map of the object, by its full ELF name.
    pub maps: BTreeMap<&'a str, &'a H>,
    /// The object's BTF.
    pub btf: Option<&'a H>,
}

/// A function of a loaded program, which another replaces.
#[derive(Debug)]
pub struct Replaced<'a, H> {
    /// The program.
    pub program: &'a H,
    /// Its function.
    pub function: &'a str,
}

/// What wanted attachments come to: on every CPU, one by one where the kernel has no link for several
/// places, or at the file that a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What the program is loaded for.
    pub attach_type: Option<AttachType>,
    /// Where it is attached.
    pub attachments: Vec<Attachment>,
    /// What there is to say of how that is done here.
    pub note: Option<String>,
}

/// A classifier attached over netlink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedFilter {
    /// What the kernel chose for what was left open.
    pub key: FilterKey,
    /// Whether the interface had no `clsact` qdisc before.
    pub made_clsact: bool,
}

/// What came of removing a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Removed,
    /// It was not there.
    Absent,
    /// Something else lies in it, so it stays.
    NotEmpty,
}
