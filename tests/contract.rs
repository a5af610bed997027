//! The contract suite on the fake kernel.

#[path = "support/contract/mod.rs"]
mod contract;
mod support;

use std::path::{Path, PathBuf};

use ebpf_apply::kernel::fake::Fake;

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
    case(&Host { kernel: &kernel, cgroup, renew_interface: &renew_interface });
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
