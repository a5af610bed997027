//! The contract suite on the running kernel.

use ebpf_apply::kernel::linux::Linux;

use super::running::{delete, entries, has, slot, update};
use crate::contract::{self, Host};
use crate::sandbox::{Sandbox, ip};

/// Cases that no older kernel can pass.
const NEEDS: &[(&str, u8, u8)] = &[
    ("pins_are_renamed_and_exchanged", 5, 16),
    // The name of a perf event link's tracepoint is told since then.
    ("links_of_tracepoints_are_not_updated", 6, 6),
    ("tcx_takes_several_programs", 6, 6),
    ("a_program_for_one_hook_is_not_put_at_another", 6, 6),
];

pub(super) fn on_linux(kernel: &Linux, name: &str, case: fn(&Host<'_, Linux>)) {
    if let Some((what, major, minor)) = NEEDS.iter().find(|(what, ..)| *what == name)
        && !has(what, *major, *minor)
    {
        return;
    }
    Sandbox::run(|sandbox| {
        sandbox.wire("net0", "net1");
        let renew_interface = || {
            ip(&["link", "del", "net0"]);
            sandbox.wire("net0", "net1");
        };
        let cgroup = sandbox.cgroup().to_owned();
        case(&Host {
            kernel,
            cgroup,
            renew_interface: &renew_interface,
            slot: &slot,
            read: &entries,
            write: &|map, key, value| match value {
                Some(value) => update(map, key, value),
                None => delete(map, key),
            },
        });
    });
}

macro_rules! on_linux {
    ($($case:ident,)*) => {
        $(#[test]
        fn $case() {
            on_linux(&Linux::new(), stringify!($case), contract::$case);
        })*
    };
}

contract::for_each_case!(on_linux);
