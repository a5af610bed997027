//! The contract suite on the running kernel.

use ebpf_apply::kernel::linux::Linux;

use super::running::{delete, entries, slot, update};
use crate::contract::{self, Host};
use crate::features::{
    Feature, NETFILTER, PERF_EVENT_LINK_NAMES, PERF_EVENT_LINKS, PROGRAMS_AT_FUNCTIONS,
    SOCKET_VERDICTS, SOCKMAP_LINKS, SOCKMAPS, STRUCT_OPS_LINKS, TCX, UNPINNED_AT_ONCE,
    UPROBE_MULTI, lacks,
};
use crate::sandbox::{Sandbox, ip};

/// Cases that not every kernel can pass.
const NEEDS: &[(&str, Feature)] = &[
    ("a_function_of_a_pinned_program_is_replaced_once", PROGRAMS_AT_FUNCTIONS),
    ("a_dispatcher_calls_several_programs_in_order", PROGRAMS_AT_FUNCTIONS),
    ("a_dispatcher_keeps_what_it_calls", PROGRAMS_AT_FUNCTIONS),
    ("struct_ops_are_registered_with_and_without_links", STRUCT_OPS_LINKS),
    ("links_of_tracepoints_are_not_updated", PERF_EVENT_LINK_NAMES),
    ("a_counter_is_on_every_cpu", PERF_EVENT_LINKS),
    ("functions_are_probed_alone_or_together", UPROBE_MULTI),
    ("a_link_dies_with_its_last_reference", UNPINNED_AT_ONCE),
    ("whoever_is_attached_is_found_and_opened", UNPINNED_AT_ONCE),
    ("tcx_takes_several_programs", TCX),
    ("a_program_for_one_hook_is_not_put_at_another", TCX),
    ("a_program_is_put_beside_one_that_is_there", TCX),
    ("a_map_of_sockets_takes_one_program_of_a_kind", SOCKMAP_LINKS),
    ("a_map_of_sockets_keeps_programs_without_links", SOCKMAPS),
    ("what_a_map_of_sockets_keeps_goes_with_it", SOCKMAPS),
    ("a_map_of_sockets_has_one_of_two_kinds_of_verdicts", SOCKET_VERDICTS),
    ("a_priority_of_netfilter_takes_one_program", NETFILTER),
];

pub(super) fn on_linux(kernel: fn() -> Linux, name: &str, case: fn(&Host<'_, Linux>)) {
    let needed: Vec<Feature> =
        NEEDS.iter().filter(|(case, _)| *case == name).map(|(_, feature)| *feature).collect();
    if lacks(&needed) {
        return;
    }
    Sandbox::run(|sandbox| {
        // It keeps descriptors, and those of the sandbox are its own.
        let kernel = &kernel();
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
            on_linux(Linux::new, stringify!($case), contract::$case);
        })*
    };
}

contract::for_each_case!(on_linux);
