//! What every `Kernel` must do: one suite, run on the fake always and on the real kernel in the
//! kernel suite. The fake may know only what is proven here.

mod bpffs;
mod dispatchers;
mod entries;
mod filters;
mod links;
mod network;
mod objects;
mod operations;
mod probes;
mod sockets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ebpf_apply::kernel::{Kernel, LoadRequest};
use ebpf_apply::model::attach::{Attachment, Direction, XdpMode};
use ebpf_apply::model::live::{LiveLink, LiveMap, LiveObject, LiveProgram};
use ebpf_apply::model::map::MapSpec;
use ebpf_apply::model::name::Name;
use ebpf_apply::model::pin::{PinPath, PinRoot, SubPath};
use ebpf_apply::model::program::ProgramSpec;
use ebpf_apply::object::Image;

use crate::support;

/// Values of a map by their keys.
pub(crate) type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// Writes an entry, or deletes it.
pub(crate) type Write<'a, H> = &'a dyn Fn(&H, &[u8], Option<&[u8]>);

/// A host to be tested: bpffs on `/sys/fs/bpf`, an interface `net0`, and a cgroup.
pub(crate) struct Host<'a, K: Kernel> {
    pub(crate) kernel: &'a K,
    pub(crate) cgroup: PathBuf,
    /// Removes `net0` from the host, and adds it again.
    pub(crate) renew_interface: &'a dyn Fn(),
    /// What a slot of a prog array or array of maps holds, by id.
    pub(crate) slot: &'a dyn Fn(&K::Handle, u32) -> Option<u32>,
    /// The entries of a map, as system calls give them.
    pub(crate) read: &'a dyn Fn(&K::Handle) -> Entries,
    /// Writes an entry of a map, or deletes it.
    pub(crate) write: Write<'a, K::Handle>,
}

/// Calls a macro with the names of all cases.
macro_rules! for_each_case {
    ($run:ident) => {
        $run! {
            roots_are_made_and_removed,
            a_root_elsewhere_is_no_bpffs,
            pins_are_found_and_listed,
            a_pin_is_never_replaced,
            what_is_not_there_is_not_unpinned,
            pins_are_renamed_and_exchanged,
            directories_are_made_and_removed_one_by_one,
            objects_live_with_their_last_reference,
            a_map_without_a_pin_is_found_by_its_id,
            a_handle_tells_what_it_holds,
            data_sections_are_maps_of_one_value,
            shapes_are_normalised,
            programs_use_their_maps,
            loading_is_all_or_nothing,
            programs_of_several_objects_load_together,
            slots_hold_what_they_are_filled_with,
            a_prog_array_lets_go_when_nobody_holds_it,
            entries_are_copied_between_maps_of_a_kind,
            values_keep_their_beginning_and_grow_with_zeros,
            late_writes_are_carried_over_and_conflicts_left,
            a_prefix_that_is_gone_is_not_taken_for_a_shorter_one,
            a_map_too_small_for_all_entries_is_refused,
            maps_of_another_kind_take_no_entries,
            an_interface_takes_one_xdp_program,
            links_are_updated_if_they_run_the_old_program,
            a_link_dies_with_its_last_reference,
            tcx_takes_several_programs,
            cgroups_take_several_programs,
            a_program_for_one_hook_is_not_put_at_another,
            whoever_is_attached_is_found_and_opened,
            a_function_of_a_pinned_program_is_replaced_once,
            struct_ops_are_registered_with_and_without_links,
            links_of_tracepoints_are_not_updated,
            a_counter_is_on_every_cpu,
            an_attachment_by_a_descriptor_ends_with_it,
            an_iterator_takes_another_program,
            functions_are_probed_alone_or_together,
            a_dispatcher_calls_several_programs_in_order,
            a_dispatcher_keeps_what_it_calls,
            a_severed_link_says_so,
            a_detached_link_leaves_its_place,
            missing_targets_are_told,
            a_program_is_put_beside_one_that_is_there,
            a_namespace_runs_programs_of_its_sockets,
            a_namespace_has_one_flow_dissector,
            a_map_of_sockets_takes_one_program_of_a_kind,
            a_map_of_sockets_keeps_programs_without_links,
            what_a_map_of_sockets_keeps_goes_with_it,
            a_map_of_sockets_has_one_of_two_kinds_of_verdicts,
            a_priority_of_netfilter_takes_one_program,
            filters_are_attached_replaced_and_removed,
            the_kernel_chooses_free_places_for_filters,
            the_qdisc_goes_with_its_last_filter,
        }
    };
}
pub(crate) use for_each_case;

pub(crate) use bpffs::*;
pub(crate) use dispatchers::*;
pub(crate) use entries::*;
pub(crate) use filters::*;
pub(crate) use links::*;
pub(crate) use network::*;
pub(crate) use objects::*;
pub(crate) use operations::*;
pub(crate) use probes::*;
pub(crate) use sockets::*;

/// Everything one object becomes.
pub(crate) struct Loaded<H> {
    pub(crate) image: Image,
    pub(crate) maps: BTreeMap<String, H>,
    pub(crate) programs: BTreeMap<String, H>,
}

/// Creates every map of an object and loads all its programs that load by default.
pub(crate) fn load<K: Kernel>(kernel: &K, name: &str) -> Loaded<K::Handle> {
    load_those(kernel, image(name), &|program| program.autoload)
}

/// Creates every map of an object and loads these of its programs.
pub(crate) fn load_only<K: Kernel>(kernel: &K, name: &str, only: &[&str]) -> Loaded<K::Handle> {
    load_those(kernel, image(name), &|program| only.contains(&program.name.as_str()))
}

fn load_image<K: Kernel>(kernel: &K, image: Image) -> Loaded<K::Handle> {
    load_those(kernel, image, &|program| program.autoload)
}

fn load_those<K: Kernel>(
    kernel: &K,
    image: Image,
    those: &dyn Fn(&ProgramSpec) -> bool,
) -> Loaded<K::Handle> {
    let btf = kernel.load_btf(&image).expect("load BTF");
    let maps = create_maps(kernel, &image, btf.as_ref());
    let request = LoadRequest {
        image: &image,
        programs: image.spec.programs.iter().filter(|program| those(program)).collect(),
        maps: maps.iter().map(|(name, map)| (name.as_str(), map)).collect(),
        btf: btf.as_ref(),
    };
    let loaded = kernel
        .load_programs(&[request])
        .unwrap_or_else(|error| panic!("{error}\n{:?}\n{:?}", error.advice, error.log));
    let [programs] =
        <[_; 1]>::try_from(loaded).unwrap_or_else(|_| panic!("one object was asked for"));
    Loaded { image, maps, programs }
}

/// Every map of an object, by its full name.
pub(crate) fn create_maps<K: Kernel>(
    kernel: &K,
    image: &Image,
    btf: Option<&K::Handle>,
) -> BTreeMap<String, K::Handle> {
    let create = |spec: &MapSpec| {
        let map = kernel.create_map(image, spec, btf);
        map.unwrap_or_else(|error| panic!("{error} ({:?})", error.advice))
    };
    image.spec.maps.iter().map(|spec| (spec.name.clone(), create(spec))).collect()
}

impl<H> Loaded<H> {
    pub(crate) fn spec(&self, program: &str) -> &ProgramSpec {
        self.image.spec.program(program).expect("the object has this program")
    }

    pub(crate) fn program(&self, program: &str) -> &H {
        self.programs.get(program).expect("the program was loaded")
    }
}

impl<K: Kernel> Host<'_, K> {
    /// The pin root, made.
    fn root(&self) -> PinRoot {
        let root = root();
        self.kernel.make_root(&root).expect("make the pin root");
        root
    }

    fn load(&self, name: &str) -> Loaded<K::Handle> {
        load(self.kernel, name)
    }

    fn attach(&self, loaded: &Loaded<K::Handle>, program: &str, at: &Attachment) -> K::Handle {
        self.kernel
            .attach(loaded.program(program), loaded.spec(program), at)
            .unwrap_or_else(|error| panic!("{error} ({:?})", error.advice))
    }

    /// What lies at a path; panics if nothing does.
    fn look(&self, root: &PinRoot, path: &PinPath) -> LiveObject {
        self.kernel.open(root, path).expect("open a pin").expect("something is there").object
    }

    fn map(&self, root: &PinRoot, path: &PinPath) -> LiveMap {
        match self.look(root, path) {
            LiveObject::Map(map) => map,
            other => panic!("{path} is {}", other.kind()),
        }
    }

    fn program(&self, root: &PinRoot, path: &PinPath) -> LiveProgram {
        match self.look(root, path) {
            LiveObject::Program(program) => program,
            other => panic!("{path} is {}", other.kind()),
        }
    }

    /// What the kernel says of a link, by way of a pin.
    /// Attaches where a link was that is gone: Linux 5.10 may keep its place for a moment.
    pub(crate) fn attach_once_free(
        &self,
        loaded: &Loaded<K::Handle>,
        program: &str,
        attachment: &Attachment,
    ) -> K::Handle {
        let (handle, spec) = (loaded.program(program), loaded.spec(program));
        for _ in 0..500 {
            if let Ok(link) = self.kernel.attach(handle, spec, attachment) {
                return link;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        self.attach(loaded, program, attachment)
    }

    fn link(&self, link: &K::Handle) -> LiveLink {
        let root = self.root();
        let path = pin("link-to-be-described");
        self.kernel.pin(link, &root, &path).expect("pin a link");
        let found = self.look(&root, &path);
        self.kernel.unpin(&root, &path).expect("unpin a link");
        match found {
            LiveObject::Link(link) => link,
            other => panic!("a link is {}", other.kind()),
        }
    }
}

/// An object of `bpf/`, inspected.
pub(crate) fn image(name: &str) -> Image {
    let path = support::object(name);
    let bytes = std::fs::read(&path).expect("read an object");
    Image::new(path, bytes).expect("inspect an object")
}

fn root() -> PinRoot {
    PinRoot::new(Path::new("/sys/fs/bpf/tests/contract")).expect("a legal root")
}

/// A pin directly below the root.
pub(crate) fn pin(name: &str) -> PinPath {
    PinPath::public(&SubPath::default(), name)
}

/// A pin in a directory below the root.
pub(crate) fn pin_in(directory: &str, name: &str) -> PinPath {
    PinPath::public(&SubPath::new(directory).expect("a legal sub-path"), name)
}

fn private(deployment: &str) -> PinPath {
    let [links, ..] = PinPath::private_directories(&Name::new(deployment).expect("a legal name"));
    links
}

fn xdp() -> Attachment {
    Attachment::Xdp { interface: "net0".to_owned(), mode: XdpMode::Generic }
}

fn tcx(direction: Direction) -> Attachment {
    Attachment::Tcx { interface: "net0".to_owned(), direction, position: None }
}

fn tc(direction: Direction, priority: Option<u16>, handle: Option<u32>) -> Attachment {
    Attachment::Tc { interface: "net0".to_owned(), direction, priority, handle }
}
