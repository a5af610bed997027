//! XDP programs that a dispatcher calls: whichever call fails, wherever a run is killed, and whatever
//! somebody else has the dispatcher call meanwhile.

use ebpf_apply::apply::{Applied, ApplyError};
use ebpf_apply::kernel::fake::CallKind;
use ebpf_apply::plan::{Action, Step};
use rustix::io::Errno;

use crate::fail_at_every_call;
use crate::kills::{is_made_good, kill_at_every_call, purge, undisturbed};
use crate::machine::Machine;

const SHARED: &str = r#"
version = 1
name = "edge"
pin-root = "/sys/fs/bpf/edge"

[objects.first]
path = "shared.bpf.o"
subpath = "first"
load = "listed"

[objects.first.programs.early]
attach = [{ hook = "xdp", interface = ["eth0", "eth1"], dispatcher = true }]

[objects.second]
path = "shared.bpf.o"
subpath = "second"
load = "listed"

[objects.second.programs.late]
attach = [{ hook = "xdp", interface = "eth0", dispatcher = true }]
"#;

/// One is loaded anew and leaves an interface, the other goes to it and comes first.
fn changed() -> String {
    SHARED
        .replace("[objects.second]", "[objects.first.globals]\nverdict = 1\n\n[objects.second]")
        .replace("[\"eth0\", \"eth1\"]", "\"eth0\"")
        .replace(
            "[objects.second.programs.late]\nattach = [{ hook = \"xdp\", interface = \"eth0\", dispatcher \
             = true",
            "[objects.second.programs.late]\nattach = [{ hook = \"xdp\", interface = [\"eth0\", \
             \"eth1\"], dispatcher = true, priority = 5",
        )
}

fn apply(machine: &Machine) -> Result<Applied, ApplyError> {
    machine.apply(SHARED)
}

fn change(machine: &Machine) -> Result<Applied, ApplyError> {
    machine.apply(&changed())
}

fn applied() -> Machine {
    Machine::after(SHARED)
}

/// Names of what is called on each interface, in their order.
fn called(machine: &Machine) -> Vec<Vec<String>> {
    let snapshot = machine.kernel.snapshot();
    let names = |members: &Vec<(u32, _)>| {
        members.iter().map(|(id, _)| snapshot.programs[id].clone()).collect()
    };
    snapshot.dispatchers.values().map(names).collect()
}

#[test]
fn all_that_changes_on_an_interface_is_one_step() {
    let machine = applied();
    machine.assert_settled(SHARED);
    assert_eq!(called(&machine), [vec!["early", "late"], vec!["early"]]);
    let done = change(&machine).expect("applies");
    machine.assert_settled(&changed());
    assert_eq!(called(&machine), [vec!["late", "early"], vec!["late"]]);
    let steps = done.plan.steps.iter().filter(|step| matches!(step, Step::Dispatch(_)));
    assert_eq!(steps.count(), 2);
    let links: Vec<(&str, Action)> = done
        .plan
        .changes
        .iter()
        .filter(|change| change.address.as_str().starts_with("link."))
        .map(|change| (change.address.as_str(), change.action))
        .collect();
    assert_eq!(
        links,
        [
            ("link.first.early[xdp:eth0]", Action::Update),
            ("link.second.late[xdp:eth0]", Action::Update),
            ("link.second.late[xdp:eth1]", Action::Create),
            ("link.first.early[xdp:eth1]", Action::Delete),
        ]
    );
    machine.end(true).expect("ends");
    let left = machine.kernel.snapshot();
    assert!(left.dispatchers.is_empty() && left.programs.is_empty());
}

#[test]
fn a_failure_has_the_dispatchers_call_what_they_did() {
    fail_at_every_call(|_| {}, apply);
    fail_at_every_call(|machine| drop(apply(machine).expect("applies")), change);
}

#[test]
fn a_run_that_is_killed_is_made_good_by_the_next() {
    is_made_good(Machine::new, apply);
    is_made_good(applied, change);
    is_made_good(applied, purge);
    let back = {
        let machine = applied();
        change(&machine).expect("applies");
        apply(&machine).expect("applies");
        machine.shape()
    };
    kill_at_every_call(applied, change, apply, &back);
    let (_, ended) = undisturbed(applied, purge);
    kill_at_every_call(applied, change, purge, &ended);
}

#[test]
fn what_others_unload_is_called_again() {
    let machine = applied();
    machine.kernel.unload_from_dispatcher("eth0", |_| true);
    let plan = machine.host().plan(crate::machine::desired(SHARED)).expect("observable");
    let reasons: Vec<&str> = plan
        .changes
        .iter()
        .filter(|change| change.action == Action::Create)
        .map(|change| change.reason.as_str())
        .collect();
    assert_eq!(reasons, ["no dispatcher calls it any more"; 2]);
    apply(&machine).expect("applies");
    assert_eq!(called(&machine), [vec!["early", "late"], vec!["early"]]);
    machine.assert_settled(SHARED);
    machine.kernel.unload_from_dispatcher("eth0", |_| true);
    machine.kernel.unload_from_dispatcher("eth1", |_| true);
    machine.end(true).expect("ends");
}

/// What dispatchers call tells what is ours, on whichever interface.
#[test]
fn without_a_record_all_that_is_called_is_found() {
    let machine = applied();
    let record = machine.directory.path().join("state/edge/inventory.json");
    std::fs::remove_file(&record).expect("the record");
    apply(&machine).expect("applies");
    machine.assert_settled(SHARED);
    std::fs::remove_file(&record).expect("the record");
    let less = SHARED.replace("[\"eth0\", \"eth1\"]", "\"eth0\"");
    let done = machine.apply(&less).expect("applies");
    let gone = done.plan.changes.iter().find(|change| change.action == Action::Delete);
    assert_eq!(gone.map(|change| change.address.as_str()), Some("link.first.early[xdp:eth1]"));
    assert_eq!(called(&machine), [vec!["early", "late"]]);
    machine.assert_settled(&less);
}

#[test]
fn who_is_alone_and_who_shares_do_not_take_each_others_place() {
    let alone =
        SHARED.split("[objects.second]").next().expect("a text").replace(", dispatcher = true", "");
    let machine = applied();
    let Err(ApplyError::Refused(plan)) = machine.apply(&alone) else { panic!("is refused") };
    assert!(plan.refusals().all(|change| change.reason.contains("a dispatcher calls")));
    assert_eq!(plan.refusals().count(), 2);
    machine.end(true).expect("ends");
    machine.apply(&alone).expect("applies");
    let Err(ApplyError::Refused(plan)) = apply(&machine) else { panic!("is refused") };
    assert!(plan.refusals().any(|change| change.reason.contains("attached alone")));
}

#[test]
fn an_interface_that_goes_takes_its_dispatcher_along() {
    let machine = applied();
    machine.kernel.remove_interface("eth1");
    machine.kernel.add_interface("eth1");
    let done = apply(&machine).expect("applies");
    let made = done.plan.changes.iter().filter(|change| change.action == Action::Create);
    assert_eq!(made.count(), 1);
    machine.assert_settled(SHARED);
    machine.kernel.fail_kind(CallKind::Dispatch, Errno::BUSY);
    change(&machine).expect_err("no dispatcher can be changed");
    machine.kernel.heal();
    machine.assert_settled(SHARED);
}
