//! Attachments to namespaces, maps of sockets and netfilter, places beside others, and what is open
//! until the host is known: whichever call fails, and wherever a run is killed.

use ebpf_apply::apply::{Applied, ApplyError};
use ebpf_apply::model::address::Address;
use ebpf_apply::plan::Action;
use rustix::io::Errno;

use crate::fail_at_every_call;
use crate::kills::{assert_shape, is_made_good};
use crate::machine::Machine;

const NETWORK: &str = r#"
version = 1
name = "edge"
pin-root = "/sys/fs/bpf/edge"

[objects.net]
path = "net_hooks.bpf.o"
load = "listed"

[objects.net.programs.on_sk_lookup]
attach = [{ hook = "sk-lookup" }]

[objects.net.programs.on_flow]
attach = [{ hook = "flow-dissector" }]

[objects.net.programs.on_msg]
attach = [{ hook = "sockmap", map = "net.sockets" }]

[objects.net.programs.on_netfilter]
attach = [{ hook = "netfilter", family = "ipv4", at = "forward", priority = 7 }]

[objects.tc]
path = "tc_counter.bpf.o"
load = "listed"

[objects.tc.programs.tc_count]
attach = [{ hook = "tcx", interface = "eth*", direction = "ingress" }]

[objects.tc.programs.classify]
attach = [{ hook = "tcx", interface = "eth*", direction = "ingress", before = "tc.tc_count" }]
"#;

/// Everything that can change has.
fn changed() -> String {
    NETWORK
        .replace("[objects.tc]", "[objects.net.globals]\ngeneration = 2\n\n[objects.tc]")
        .replace("priority = 7", "priority = 7, defrag = true")
        .replace("before = \"tc.tc_count\"", "after = \"tc.tc_count\"")
        .replace(
            "[objects.net.programs.on_msg]",
            "[objects.net.maps.sockets]\nmax-entries = 32\non-mismatch = \
             \"replace\"\n\n[objects.net.programs.on_msg]",
        )
}

fn apply(machine: &Machine) -> Result<Applied, ApplyError> {
    machine.apply(NETWORK)
}

fn change(machine: &Machine) -> Result<Applied, ApplyError> {
    machine.apply(&changed())
}

fn applied() -> Machine {
    Machine::after(NETWORK)
}

#[test]
fn a_first_apply_that_fails_or_is_killed_is_made_good() {
    fail_at_every_call(|_| {}, apply);
    is_made_good(Machine::new, apply);
}

#[test]
fn a_change_is_settled_and_one_that_fails_or_is_killed_is_made_good() {
    let machine = applied();
    machine.assert_settled(NETWORK);
    change(&machine).expect("applies");
    machine.assert_settled(&changed());
    machine.end(true).expect("ends");
    let links = machine.kernel.snapshot().links;
    assert!(links.is_empty(), "{links:?}");

    let calls = {
        let machine = applied();
        let before = machine.kernel.calls().len();
        change(&machine).expect("applies");
        machine.kernel.calls().len() - before
    };
    for n in 0..calls {
        let machine = applied();
        let before = machine.shape();
        machine.kernel.fail_call(n, Errno::NOMEM);
        let failed = change(&machine).expect_err("a call fails");
        machine.kernel.heal();
        assert!(failed.rolled_back(), "call {n}: {failed:?}");
        assert_shape(&machine.shape(), &before, &format!("call {n}"));
        change(&machine).unwrap_or_else(|error| panic!("after call {n}: {error}"));
        machine.assert_settled(&changed());
    }
    is_made_good(applied, change);
}

#[test]
fn interfaces_come_and_go_with_a_pattern() {
    let machine = applied();
    machine.kernel.add_interface("eth2");
    let done = apply(&machine).expect("applies");
    let made: Vec<&str> = done
        .plan
        .changes
        .iter()
        .filter(|change| change.action == Action::Create)
        .map(|change| change.address.as_str())
        .collect();
    assert_eq!(made, ["link.tc.tc_count[tcx:eth2:ingress]", "link.tc.classify[tcx:eth2:ingress]"]);
    machine.kernel.remove_interface("eth0");
    let done = apply(&machine).expect("applies");
    let gone = done.plan.changes.iter().find(|change| change.action == Action::Delete);
    assert_eq!(gone.map(|change| change.reason.as_str()), Some("what it was attached to is gone"));
    machine.assert_settled(NETWORK);
    for name in ["eth1", "eth2"] {
        machine.kernel.remove_interface(name);
    }
    let Err(ApplyError::Refused(plan)) = apply(&machine) else { panic!("nothing matches") };
    assert!(plan.refusals().all(|change| change.reason.contains("`eth*`")), "{plan:#?}");
}

#[test]
fn without_tcx_filters_run_in_the_same_order() {
    let machine = Machine::new();
    machine.kernel.take_tcx_away();
    let done = apply(&machine).expect("applies");
    let said = |address: &str| {
        let mut all = done.plan.changes.iter();
        all.find(|change| change.address.as_str() == address).expect("it is planned")
    };
    let filter = said("link.tc.classify[tc:eth0:ingress]");
    assert!(filter.reason.contains("Linux has tcx since 6.6"), "{}", filter.reason);
    assert_eq!(filter.address, Address::link_at("tc", "classify", "tc:eth0:ingress"));
    let snapshot = machine.kernel.snapshot();
    let order: Vec<&str> = snapshot
        .filters
        .iter()
        .filter(|((index, ..), _)| *index == 1)
        .map(|(_, program)| snapshot.programs[program].as_str())
        .collect();
    assert_eq!(order, ["classify", "tc_count"]);
    machine.assert_settled(NETWORK);
    change(&machine).expect("applies");
    machine.assert_settled(&changed());

    let foreign = changed().replace("after = \"tc.tc_count\"", "before = \"someone\"");
    let Err(ApplyError::Refused(plan)) = machine.apply(&foreign) else { panic!("it cannot be") };
    assert!(plan.refusals().all(|change| change.reason.contains("beside")), "{plan:#?}");
    machine.end(true).expect("ends");
    assert!(machine.kernel.snapshot().filters.is_empty());
}
