//! A kernel without links to perf events: what is attached to them ends with the process that holds it.

use ebpf_apply::apply::{ApplyError, Host};
use ebpf_apply::plan::{Action, ResourceState};

use crate::kills::{self, assert_shape, is_made_good};
use crate::machine::{FIRST, Machine, desired, edge, other_options};

const CLOCK: &str = "link.clock.on_overflow[perf-event:cpu-clock:cpu=0]";

fn old_kernel() -> Machine {
    let machine = Machine::new();
    machine.kernel.take_event_links_away();
    machine
}

fn deployed() -> Machine {
    let machine = old_kernel();
    kills::apply_first(&machine).expect("applies");
    machine
}

/// The program that the clock runs, by the number of its attachments.
fn clocks(machine: &Machine) -> usize {
    let snapshot = machine.kernel.snapshot();
    let of_clock = |id: &u32| snapshot.programs.get(id).is_some_and(|name| name == "on_overflow");
    snapshot.links.values().filter(|(program, _)| of_clock(program)).count()
}

fn state(machine: &Machine) -> (ResourceState, String) {
    let all = machine.host().status(Some(&edge())).expect("readable");
    let clock = all[0].resources.iter().find(|of| of.address.as_str() == CLOCK);
    let clock = clock.expect("it is on record");
    (clock.state, clock.detail.clone().unwrap_or_default())
}

#[test]
fn what_a_process_holds_is_said_and_made_again_by_the_next() {
    let mut machine = old_kernel();
    let done = kills::apply_first(&machine).expect("applies");
    let change = done.plan.changes.iter().find(|change| change.address.as_str() == CLOCK);
    let reason = &change.expect("it is planned").reason;
    assert!(reason.contains("5.15") && reason.contains("ends with the process"), "{reason}");
    assert_eq!(clocks(&machine), 1);
    assert_eq!(state(&machine).0, ResourceState::InSync);
    assert!(state(&machine).1.contains("held by pid 1: not pinned"), "{:?}", state(&machine));
    machine.assert_settled(FIRST);

    machine.dies();
    assert_eq!(clocks(&machine), 0);
    assert_eq!(state(&machine).0, ResourceState::Missing);
    let done = kills::apply_first(&machine).expect("applies");
    let changed: Vec<_> = done.plan.changes.iter().filter(|of| !of.action.is_at_rest()).collect();
    assert_eq!(changed.len(), 1, "{changed:#?}");
    assert_eq!((changed[0].address.as_str(), changed[0].action), (CLOCK, Action::Create));
    assert!(changed[0].reason.contains("pid 1, which held it, is gone"), "{changed:#?}");
    assert_eq!(clocks(&machine), 1);
    machine.assert_settled(FIRST);
}

#[test]
fn it_is_replaced_by_one_with_other_options_or_another_program() {
    let machine = deployed();
    let done = machine.apply(&other_options(FIRST)).expect("applies");
    let clock = done.plan.changes.iter().find(|change| change.address.as_str() == CLOCK);
    let clock = clock.expect("it is planned");
    assert_eq!(clock.action, Action::Replace);
    assert!(clock.reason.contains("frequency 49 → frequency 99: both run"), "{}", clock.reason);
    assert_eq!(clocks(&machine), 1);
    machine.assert_settled(&other_options(FIRST));

    // Loaded anew, its object has other programs.
    let anew = FIRST.replace(
        "[objects.clock.programs",
        "[objects.clock.maps.overflows]\nmax-entries = 8\non-mismatch = \"replace\"\n\n[objects.clock.programs",
    );
    machine.apply(&anew).expect("applies");
    assert_eq!(clocks(&machine), 1);
    machine.assert_settled(&anew);

    let without = FIRST.split("[objects.clock]").next().expect("it is the last");
    machine.apply(without).expect("applies");
    assert_eq!(clocks(&machine), 0);
    machine.assert_settled(without);
}

#[test]
fn it_is_let_go_of_with_the_deployment() {
    let machine = deployed();
    kills::purge(&machine).expect("ends");
    assert_eq!(clocks(&machine), 0);
    assert_eq!(machine.keeper.count(), 0);
}

#[test]
fn without_a_process_to_hold_it_it_is_refused() {
    let machine = old_kernel();
    let host = Host { keeper: None, ..machine.host() };
    let before = machine.visible();
    let Err(ApplyError::Refused(plan)) = host.apply(desired(FIRST), &mut |_| {}) else {
        panic!("nobody would hold it")
    };
    let refusals: Vec<_> = plan.refusals().collect();
    assert_eq!(refusals.len(), 1, "{refusals:#?}");
    assert_eq!(refusals[0].address.as_str(), CLOCK);
    assert!(refusals[0].reason.contains("5.15"), "{}", refusals[0].reason);
    assert_eq!(machine.visible(), before);
}

#[test]
fn a_cookie_is_refused() {
    let machine = old_kernel();
    let with = FIRST.replace("frequency = 49", "frequency = 49, cookie = 7");
    let Err(ApplyError::Refused(plan)) = machine.apply(&with) else { panic!("there are none") };
    assert!(plan.refusals().all(|change| change.reason.contains("cookies")), "{plan:#?}");
}

#[test]
fn a_change_that_fails_leaves_the_old_attachment() {
    let calls = kills::undisturbed(deployed, kills::apply_replacing).0;
    let shape = deployed().shape();
    for n in 0..calls {
        let machine = deployed();
        machine.kernel.fail_call(n, rustix::io::Errno::NOSPC);
        let failed = kills::apply_replacing(&machine).expect_err("a call fails");
        assert!(failed.rolled_back(), "call {n}: {failed:?}");
        assert_shape(&machine.shape(), &shape, &format!("call {n}"));
        assert_eq!(clocks(&machine), 1, "call {n}");
        machine.assert_settled(FIRST);
        kills::apply_replacing(&machine).unwrap_or_else(|error| panic!("after {n}: {error}"));
        assert_eq!(clocks(&machine), 1, "call {n}");
    }
}

#[test]
fn a_run_that_is_killed_is_made_good_by_the_next() {
    is_made_good(old_kernel, kills::apply_first);
    is_made_good(deployed, kills::apply_replacing);
    is_made_good(deployed, kills::purge);
}
