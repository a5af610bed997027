//! Structs of operations.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};

use ebpf_apply::kernel::Kernel;
use ebpf_apply::model::attach::Attachment;
use ebpf_apply::model::kinds::LinkType;
use ebpf_apply::model::live::{LinkTarget, OperationsState};
use ebpf_apply::object::Image;
use rustix::io::Errno;

use super::{Host, Loaded, load_image};
use crate::support;

/// An object with congestion controls under a name that no other test has: names are the host's.
fn controls(version: &str, number: u64) -> Image {
    let path = support::object(version);
    let mut bytes = std::fs::read(&path).expect("read an object");
    let (stand_in, name) = (b"ea0000000", format!("ea{number:07}"));
    while let Some(at) = bytes.windows(stand_in.len()).position(|window| window == stand_in) {
        bytes[at..at + stand_in.len()].copy_from_slice(name.as_bytes());
    }
    Image::new(path, bytes).expect("inspect an object")
}

fn fill<K: Kernel>(
    kernel: &K,
    loaded: &Loaded<K::Handle>,
    map: &str,
) -> ebpf_apply::kernel::Result<()> {
    let spec = loaded.image.spec.map(map).expect("the object has it");
    let programs: BTreeMap<&str, &K::Handle> =
        loaded.programs.iter().map(|(name, program)| (name.as_str(), program)).collect();
    kernel.fill_operations(&loaded.maps[map], &loaded.image, spec, &programs)
}

pub(crate) fn struct_ops_are_registered_with_and_without_links<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let number = 1 + RandomState::new().build_hasher().finish() % 9_999_998;
    let versions = ["congestion", "congestion_other"];
    let [one, other] = versions.map(|version| load_image(kernel, controls(version, number)));
    let place = |map: &str| {
        let spec = one.image.spec.map(map).expect("the object has it");
        Attachment::of_operations(spec).expect("it is a struct of operations")
    };
    let attach = |loaded: &Loaded<K::Handle>| {
        kernel.attach_operations(&loaded.maps["linked"], &place("linked"))
    };
    let refused =
        |answer: ebpf_apply::kernel::Result<K::Handle>| answer.err().and_then(|e| e.raw());

    assert_eq!(refused(attach(&one)), Some(Errno::INVAL), "nothing was written into it");
    fill(kernel, &one, "linked").expect("fill");
    fill(kernel, &one, "linked").expect("it is filled already");
    let state = |map: &K::Handle| kernel.operations_state(map).expect("a map of struct ops");
    let linked = state(&one.maps["linked"]);
    assert_eq!(linked, OperationsState::Unregistered, "that is what its link does");
    let link = attach(&one).expect("register");
    let target = |loaded: &Loaded<K::Handle>| LinkTarget::StructOps {
        map: kernel.id(&loaded.maps["linked"]),
    };
    let live = host.link(&link);
    assert_eq!((live.link_type, live.program_id), (LinkType::STRUCT_OPS, 0));
    assert_eq!(live.target, target(&one));

    fill(kernel, &other, "linked").expect("fill");
    assert_eq!(refused(attach(&other)), Some(Errno::EXIST), "the name is taken");
    let [old, new] = [&one, &other].map(|loaded| &loaded.maps["linked"]);
    let refusal = kernel.update_link(&link, new, Some(new)).expect_err("it has the other map");
    assert_eq!(refusal.raw(), Some(Errno::PERM));
    kernel.update_link(&link, new, Some(old)).expect("it has the old map");
    assert_eq!(host.link(&link).target, target(&other));
    kernel.update_link(&link, old, Some(new)).expect("and back");
    assert_eq!(host.link(&link).target, target(&one));
    drop(link);
    drop(attach(&other).expect("the name is free"));

    fill(kernel, &one, "plain").expect("register");
    let [old, new] = [&one, &other].map(|loaded| &loaded.maps["plain"]);
    let states = [OperationsState::Registered, OperationsState::Unregistered];
    assert_eq!([old, new].map(state), states);
    let taken = fill(kernel, &other, "plain").expect_err("the name is taken");
    assert_eq!(taken.raw(), Some(Errno::EXIST));
    kernel.unregister_operations(old).expect("unregister");
    assert_eq!(state(old), OperationsState::Spent);
    kernel.unregister_operations(old).expect("it is unregistered already");
    fill(kernel, &one, "plain").expect_err("a map is registered once");
    fill(kernel, &other, "plain").expect("the name is free");
    assert_eq!(state(new), OperationsState::Registered);
    kernel.unregister_operations(new).expect("unregister");
}
