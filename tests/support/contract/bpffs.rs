//! Roots, directories and pins.

use std::path::{Path, PathBuf};

use ebpf_apply::kernel::{Kernel, Removal};
use ebpf_apply::model::live::{LiveObject, RootState};
use ebpf_apply::model::pin::{PinPath, PinRoot};
use rustix::io::Errno;

use super::{Host, image, pin, pin_in, private, root};

pub(crate) fn roots_are_made_and_removed<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let root = root();
    let made: Vec<PathBuf> =
        ["/sys/fs/bpf/tests", "/sys/fs/bpf/tests/contract"].map(PathBuf::from).to_vec();
    let absent = Ok(RootState::Absent { missing: made.clone() });
    assert_eq!(kernel.root_state(&root), absent);
    let before = kernel.identity(&root).expect("the host's identity");
    assert!(before.bpffs.is_some(), "the bpffs that the root would be made on");
    assert!(kernel.open(&root, &pin("m")).expect("open").is_none());
    assert_eq!(kernel.list(&root, &private("edge")), Ok(vec![]));

    assert_eq!(kernel.make_root(&root), Ok(made.clone()));
    assert_eq!(kernel.make_root(&root), Ok(vec![]));
    let Ok(RootState::Present { device }) = kernel.root_state(&root) else {
        panic!("the root was made")
    };
    let identity = kernel.identity(&root).expect("the host's identity");
    assert_eq!(identity.bpffs, Some(device));
    assert_eq!(identity, before);
    assert!(!identity.boot_id.is_empty());

    assert_eq!(kernel.remove_root_directory(&made[0]), Ok(Removal::NotEmpty));
    assert_eq!(kernel.remove_root_directory(&made[1]), Ok(Removal::Removed));
    let missing = made[1..].to_vec();
    assert_eq!(kernel.root_state(&root), Ok(RootState::Absent { missing }));
    assert_eq!(kernel.remove_root_directory(&made[1]), Ok(Removal::Absent));
    assert_eq!(kernel.remove_root_directory(&made[0]), Ok(Removal::Removed));
    assert_eq!(kernel.root_state(&root), absent);
}

pub(crate) fn a_root_elsewhere_is_no_bpffs<K: Kernel>(host: &Host<'_, K>) {
    let root = PinRoot::new(Path::new("/sys/fs/elsewhere")).expect("a legal root");
    let state = host.kernel.root_state(&root).expect("look at a root");
    let RootState::NotBpffs { directory, magic } = state else { panic!("{state:?}") };
    assert_eq!(directory, Path::new("/sys/fs"));
    assert_eq!(magic, 0x6265_6572);
    let error = host.kernel.make_root(&root).expect_err("it is not on bpffs");
    assert!(error.to_string().contains("bpffs") || error.to_string().contains("BPF"), "{error}");
}

pub(crate) fn pins_are_found_and_listed<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let root = host.root();
    let loaded = host.load("bench_small");
    let map = &loaded.maps["packets"];
    let directory = pin("state");
    assert_eq!(kernel.make_directory(&root, &directory), Ok(true));
    for name in ["b", "a"] {
        kernel.pin(map, &root, &pin_in("state", name)).expect("pin");
    }
    kernel.make_directory(&root, &pin_in("state", "deeper")).expect("make a directory");

    assert_eq!(
        kernel.list(&root, &directory),
        Ok(["a", "b"].map(|name| pin_in("state", name)).to_vec())
    );
    let found = kernel.open(&root, &pin_in("state", "a")).expect("open").expect("it is pinned");
    let identity = kernel.identity_of(map);
    assert_eq!(found.object.identity(), Some(identity));
    assert_eq!(found.handle.as_ref().map(|handle| kernel.identity_of(handle)), Some(identity));
    let found = kernel.open(&root, &directory).expect("open").expect("it is there");
    assert_eq!(found.object, LiveObject::Directory);
    assert!(found.handle.is_none());
    assert!(kernel.open(&root, &pin_in("state", "c")).expect("open").is_none());
    assert!(kernel.open(&root, &pin_in("nowhere", "c")).expect("open").is_none());
    assert_eq!(kernel.list(&root, &pin("nowhere")), Ok(vec![]));
}

pub(crate) fn a_pin_is_never_replaced<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let root = host.root();
    let loaded = host.load("bench_small");
    let (map, program) = (&loaded.maps["packets"], loaded.program("count_packets"));
    kernel.pin(map, &root, &pin("x")).expect("pin");
    let error = kernel.pin(program, &root, &pin("x")).expect_err("something is there");
    assert_eq!(error.raw(), Some(Errno::EXIST));
    assert_eq!(host.look(&root, &pin("x")).identity(), Some(kernel.identity_of(map)));
    let error = kernel.pin(map, &root, &pin_in("nowhere", "x")).expect_err("no such directory");
    assert_eq!(error.raw(), Some(Errno::NOENT));
    let error = kernel.pin(map, &root, &pin_in("x", "y")).expect_err("a pin is no directory");
    assert_eq!(error.raw(), Some(Errno::NOTDIR));
    if let Some(btf) = kernel.load_btf(&image("bench_small")).expect("load BTF") {
        let error = kernel.pin(&btf, &root, &pin("btf")).expect_err("BTF has no pins");
        assert_eq!(error.raw(), Some(Errno::INVAL));
    }
}

pub(crate) fn what_is_not_there_is_not_unpinned<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let root = host.root();
    let error = kernel.unpin(&root, &pin("x")).expect_err("nothing is there");
    assert_eq!(error.raw(), Some(Errno::NOENT));
    kernel.make_directory(&root, &pin("x")).expect("make a directory");
    kernel.unpin(&root, &pin("x")).expect_err("a directory is no pin");
    assert_eq!(host.look(&root, &pin("x")), LiveObject::Directory);
}

pub(crate) fn pins_are_renamed_and_exchanged<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let root = host.root();
    let (one, other) = (host.load("shape_a"), host.load("shape_b"));
    let ids = [&one, &other].map(|loaded| Some(kernel.identity_of(&loaded.maps["state"])));
    let at = |path: &PinPath| host.look(&root, path).identity();
    kernel.make_directory(&root, &pin("deep")).expect("make a directory");
    kernel.pin(&one.maps["state"], &root, &pin("one")).expect("pin");
    kernel.pin(&other.maps["state"], &root, &pin_in("deep", "other")).expect("pin");

    kernel.exchange(&root, &pin("one"), &pin_in("deep", "other")).expect("exchange");
    assert_eq!([at(&pin_in("deep", "other")), at(&pin("one"))], ids);

    let error = kernel.rename(&root, &pin("one"), &pin_in("deep", "other"));
    assert_eq!(error.expect_err("something is there").raw(), Some(Errno::EXIST));
    kernel.rename(&root, &pin("one"), &pin_in("deep", "new")).expect("rename");
    assert!(kernel.open(&root, &pin("one")).expect("open").is_none());
    assert_eq!(at(&pin_in("deep", "new")), ids[1]);

    for (from, to) in [(pin("one"), pin("two")), (pin_in("deep", "new"), pin_in("nowhere", "x"))] {
        let error = kernel.rename(&root, &from, &to).expect_err("one of them is not there");
        assert_eq!(error.raw(), Some(Errno::NOENT), "{from} {to}");
        let error = kernel.exchange(&root, &from, &to).expect_err("one of them is not there");
        assert_eq!(error.raw(), Some(Errno::NOENT), "{from} {to}");
    }
}

pub(crate) fn directories_are_made_and_removed_one_by_one<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let root = host.root();
    let (outer, inner) = (pin("a"), pin_in("a", "b"));
    let error = kernel.make_directory(&root, &inner).expect_err("one above is missing");
    assert_eq!(error.raw(), Some(Errno::NOENT));
    assert_eq!(kernel.make_directory(&root, &outer), Ok(true));
    assert_eq!(kernel.make_directory(&root, &outer), Ok(false));
    assert_eq!(kernel.make_directory(&root, &inner), Ok(true));
    assert_eq!(kernel.remove_directory(&root, &outer), Ok(Removal::NotEmpty));
    assert_eq!(kernel.remove_directory(&root, &inner), Ok(Removal::Removed));
    assert_eq!(kernel.remove_directory(&root, &inner), Ok(Removal::Absent));

    let loaded = host.load("bench_small");
    kernel.pin(&loaded.maps["packets"], &root, &inner).expect("pin");
    let error = kernel.make_directory(&root, &inner).expect_err("a pin is there");
    assert_eq!(error.raw(), Some(Errno::NOTDIR));
    let error = kernel.remove_directory(&root, &inner).expect_err("a pin is no directory");
    assert_eq!(error.raw(), Some(Errno::NOTDIR));
    assert_eq!(kernel.remove_directory(&root, &outer), Ok(Removal::NotEmpty));
}
