//! The contract suite on the running kernel.

use ebpf_apply::kernel::linux::Linux;

use crate::contract::{self, Host};
use crate::sandbox::{Sandbox, ip};

fn on_linux(case: fn(&Host<'_, Linux>)) {
    Sandbox::run(|sandbox| {
        sandbox.wire("net0", "net1");
        let renew_interface = || {
            ip(&["link", "del", "net0"]);
            sandbox.wire("net0", "net1");
        };
        let cgroup = sandbox.cgroup().to_owned();
        case(&Host { kernel: &Linux::new(), cgroup, renew_interface: &renew_interface });
    });
}

macro_rules! on_linux {
    ($($case:ident,)*) => {
        $(#[test]
        fn $case() {
            on_linux(contract::$case);
        })*
    };
}

contract::for_each_case!(on_linux);
