//! The contract suite on the fake kernel.

#[path = "support/contract/mod.rs"]
mod contract;
mod support;

use std::path::{Path, PathBuf};

use ebpf_apply::kernel::Kernel as _;
use ebpf_apply::kernel::fake::{Fake, Handle};

use contract::Host;

const CGROUP: &str = "/sys/fs/cgroup/tests";

fn on_the_fake(case: fn(&Host<'_, Fake>)) {
    let kernel = Fake::new();
    kernel.add_interface("net0");
    kernel.add_cgroup(Path::new(CGROUP));
    kernel.add_tracepoint("syscalls", "sys_enter_execve");
    let renew_interface = || {
        kernel.remove_interface("net0");
        kernel.add_interface("net0");
    };
    let cgroup = PathBuf::from(CGROUP);
    let slot = |map: &Handle, index: u32| {
        let entries = kernel.entries(kernel.id(map));
        let id = entries.get(&index.to_ne_bytes()[..])?;
        Some(u32::from_ne_bytes(id.as_slice().try_into().expect("an id has four bytes")))
    };
    let read = |map: &Handle| kernel.entries(kernel.id(map));
    let write = |map: &Handle, key: &[u8], value: Option<&[u8]>| match value {
        Some(value) => kernel.write_entry(kernel.id(map), key, value).expect("a map"),
        None => kernel.delete_entry(kernel.id(map), key),
    };
    case(&Host {
        kernel: &kernel,
        cgroup,
        renew_interface: &renew_interface,
        slot: &slot,
        read: &read,
        write: &write,
    });
}

macro_rules! on_the_fake {
    ($($case:ident,)*) => {
        $(#[test]
        fn $case() {
            on_the_fake(contract::$case);
        })*
    };
}

contract::for_each_case!(on_the_fake);

mod faults {
    //! What only the fake can do: fail on demand.

    use ebpf_apply::kernel::Kernel;
    use ebpf_apply::kernel::fake::{CallKind, Fake};
    use ebpf_apply::model::pin::PinRoot;
    use rustix::io::Errno;

    use crate::contract::pin;

    fn root() -> PinRoot {
        PinRoot::new("/sys/fs/bpf/edge".as_ref()).expect("a legal root")
    }

    #[test]
    fn the_nth_changing_call_fails_without_effect() {
        let kernel = Fake::new();
        kernel.make_root(&root()).expect("make the root");
        let before = kernel.snapshot();
        kernel.fail_call(1, Errno::NOSPC);
        kernel.make_directory(&root(), &pin("a")).expect("not this one");
        assert!(kernel.open(&root(), &pin("a")).expect("looking does not count").is_some());
        let error = kernel.make_directory(&root(), &pin("b")).expect_err("this one");
        assert_eq!(error.raw(), Some(Errno::NOSPC));
        kernel.remove_directory(&root(), &pin("a")).expect("not this one");
        assert_eq!(kernel.snapshot(), before);
        let kinds: Vec<CallKind> = kernel.calls().iter().map(|call| call.kind).collect();
        let (make, remove) = (CallKind::MakeDirectory, CallKind::RemoveDirectory);
        assert_eq!(kinds, [CallKind::MakeRoot, make, make, remove]);
    }

    #[test]
    fn a_killed_process_changes_nothing_more() {
        let kernel = Fake::new();
        kernel.make_root(&root()).expect("make the root");
        kernel.fail_from(0, Errno::INTR);
        let before = kernel.snapshot();
        for name in ["a", "b"] {
            kernel.make_directory(&root(), &pin(name)).expect_err("it was killed");
        }
        assert_eq!(kernel.snapshot(), before);
        kernel.heal();
        kernel.make_directory(&root(), &pin("a")).expect("the next process");
    }

    #[test]
    fn calls_of_a_kind_fail() {
        let kernel = Fake::new();
        kernel.fail_kind(CallKind::MakeDirectory, Errno::ROFS);
        kernel.make_root(&root()).expect("another kind");
        let error = kernel.make_directory(&root(), &pin("a")).expect_err("this kind");
        assert_eq!(error.raw(), Some(Errno::ROFS));
    }

    #[test]
    fn a_reboot_leaves_nothing() {
        let kernel = Fake::new();
        let image = crate::contract::image("bench_small");
        kernel.make_root(&root()).expect("make the root");
        let before = kernel.identity(&root()).expect("an identity");
        let map = kernel.create_map(&image, &image.spec.maps[0], None).expect("create a map");
        kernel.pin(&map, &root(), &pin("m")).expect("pin");
        kernel.reboot();
        drop(map);
        assert_eq!(kernel.snapshot().maps.len(), 0);
        assert!(kernel.open(&root(), &pin("m")).expect("open").is_none());
        assert_ne!(kernel.identity(&root()).expect("an identity").boot_id, before.boot_id);
    }
}
