//! All or nothing: whichever call to the kernel fails, the host is as it was before.
//!
//! Real manifests and objects, the kernel in memory. That it behaves like the real one, the contract
//! suite proves.

mod held;
mod kills;
mod machine;
mod migrations;
mod network;
mod released;
mod shared;
mod sockets;
mod strangers;
#[path = "../support/mod.rs"]
mod support;

use std::os::unix::fs::DirBuilderExt as _;

use ebpf_apply::apply::{Applied, ApplyError};
use ebpf_apply::kernel::Kernel;
use ebpf_apply::model::attach::Direction;
use ebpf_apply::model::name::Name;
use ebpf_apply::plan::{Action, Change, Step};
use rustix::io::Errno;

use kills::assert_shape;
use machine::{FIRST, Machine, desired, edge, other_options, second};

/// Runs `act` on machines prepared by `prepare`, failing a later call to the kernel each time, until
/// no call is left to fail. Every call that an undisturbed run makes is failed once.
fn fail_at_every_call(
    prepare: impl Fn(&Machine),
    act: impl Fn(&Machine) -> Result<Applied, ApplyError>,
) {
    let machine = Machine::new();
    prepare(&machine);
    let before = machine.kernel.calls().len();
    act(&machine).expect("an undisturbed run succeeds");
    let calls = machine.kernel.calls().len() - before;
    assert!(calls > 10, "{calls} calls are not worth a test");
    for n in 0..calls {
        let machine = Machine::new();
        prepare(&machine);
        let before = machine.visible();
        machine.kernel.fail_call(n, Errno::NOMEM);
        let outcome = act(&machine);
        machine.kernel.heal();
        match outcome {
            Ok(_) => panic!("call {n} of {calls} failed unnoticed"),
            Err(ApplyError::Failed(failure)) => {
                let error = failure.error.to_string();
                assert!(error.contains("memory"), "call {n}: {error}");
                assert_eq!(machine.visible(), before, "call {n}, step: {}", failure.step);
                act(&machine).unwrap_or_else(|error| panic!("again after call {n}: {error}"));
            }
            Err(other) => panic!("call {n}: {other:?}"),
        }
    }
}

#[test]
fn a_first_apply_that_fails_anywhere_leaves_nothing() {
    fail_at_every_call(|_| {}, |machine| machine.apply(FIRST));
}

#[test]
fn an_update_that_fails_anywhere_leaves_the_old_generation() {
    fail_at_every_call(
        |machine| drop(machine.apply(FIRST).expect("applies")),
        |machine| machine.apply(&second()),
    );
}

/// The link is another one after the way back, but everything it does is as before.
#[test]
fn attachments_whose_options_cannot_be_changed_keep_the_old() {
    let changed = other_options(FIRST);
    let calls = {
        let machine = Machine::new();
        machine.apply(FIRST).expect("applies");
        let before = machine.kernel.calls().len();
        let applied = machine.apply(&changed).expect("applies");
        let replaced = |change: &&Change| change.action == Action::Replace;
        let plan = &applied.plan;
        assert_eq!(plan.changes.iter().filter(replaced).count(), 4, "{plan:#?}");
        machine.assert_settled(&changed);
        machine.kernel.calls().len() - before
    };
    for n in 0..calls {
        let machine = Machine::new();
        machine.apply(FIRST).expect("applies");
        let before = machine.shape();
        machine.kernel.fail_call(n, Errno::NOMEM);
        let failed = machine.apply(&changed).expect_err("a call fails");
        machine.kernel.heal();
        assert!(failed.rolled_back(), "call {n}: {failed:?}");
        assert_shape(&machine.shape(), &before, &format!("call {n}"));
        machine.apply(&changed).unwrap_or_else(|error| panic!("after call {n}: {error}"));
        machine.assert_settled(&changed);
    }
}

#[test]
fn an_end_that_fails_anywhere_ends_nothing() {
    for purge in [false, true] {
        fail_at_every_call(
            |machine| drop(machine.apply(FIRST).expect("applies")),
            |machine| machine.end(purge),
        );
    }
}

#[test]
fn what_an_update_does_is_settled_and_ends_clean() {
    let machine = Machine::new();
    let untouched = machine.kernel.snapshot();
    machine.apply(FIRST).expect("applies");
    machine.assert_settled(FIRST);
    machine.apply(&second()).expect("applies");
    machine.assert_settled(&second());
    machine.apply(FIRST).expect("applies");
    machine.assert_settled(FIRST);
    machine.end(true).expect("ends");
    assert_eq!(machine.kernel.snapshot(), untouched);
    assert!(matches!(machine.end(true), Err(ApplyError::Unknown(_))));
}

#[test]
fn what_cannot_be_undone_is_named() {
    let machine = Machine::new();
    let steps = {
        let other = Machine::new();
        other.apply(FIRST).expect("applies");
        other.kernel.calls().len()
    };
    // From the last call on nothing works any more, the way back included.
    machine.kernel.fail_from(steps - 1, Errno::IO);
    let error = machine.apply(FIRST).expect_err("fails");
    let ApplyError::Stuck { error, stuck } = error else { panic!("{error:?}") };
    assert!(matches!(*error, ApplyError::Failed(_)));
    let named: Vec<String> = stuck.iter().map(ToString::to_string).collect();
    assert!(named.iter().any(|error| error.contains("~links/edge")), "{named:#?}");
}

#[test]
fn a_program_that_the_verifier_refuses_is_found_before_anything_is_visible() {
    let machine = Machine::new();
    machine.apply(FIRST).expect("applies");
    let before = machine.visible();
    machine.kernel.reject_program("watch_bait", "R1 invalid mem access 'scalar'");
    let changed = FIRST.replace(
        "[objects.honeypot.programs",
        "[objects.honeypot.globals]\nbait_port = 2323\n\n[objects.honeypot.programs",
    );
    let error = machine.apply(&changed).expect_err("refused");
    assert_eq!(
        error.verifier_log().map(|log| log.text.as_str()),
        Some("R1 invalid mem access 'scalar'")
    );
    assert_eq!(machine.visible(), before);
}

#[test]
fn after_a_reboot_nothing_on_record_is_ours() {
    let machine = Machine::new();
    machine.apply(FIRST).expect("applies");
    machine.kernel.reboot();
    machine.kernel.add_interface("eth0");
    machine.kernel.add_interface("eth1");
    let again = machine.apply(FIRST).expect("applies");
    assert_eq!(again.generation, 2, "generations go on");
    machine.assert_settled(FIRST);
}

#[test]
fn entries_survive_updates_and_ends() {
    let machine = Machine::new();
    machine.apply(FIRST).expect("applies");
    let blocked = |machine: &Machine| {
        let record = machine.directory.path().join("state/edge/inventory.json");
        let record = std::fs::read_to_string(record).expect("a record");
        let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
        let id = record["resources"]["map.firewall.blocked"]["id"].as_u64().expect("an id");
        u32::try_from(id).expect("a kernel id")
    };
    let id = blocked(&machine);
    machine.kernel.write_entry(id, &[10, 0, 0, 1], &[1; 8]).expect("an entry");
    let entries = machine.kernel.entries(id);
    assert_eq!(entries.len(), 1);
    machine.apply(&second()).expect("applies");
    assert_eq!(blocked(&machine), id);
    machine.end(false).expect("ends");
    machine.apply(FIRST).expect("applies");
    assert_eq!(blocked(&machine), id);
    assert_eq!(machine.kernel.entries(id), entries);
}

#[test]
fn a_record_that_cannot_be_written_undoes_everything() {
    let machine = Machine::new();
    let in_the_way = machine.directory.path().join("state/edge/inventory.json.new/file");
    let private = &mut std::fs::DirBuilder::new();
    private.recursive(true).mode(0o700).create(&in_the_way).expect("a directory");
    let before = machine.kernel.snapshot();
    let error = machine.apply(FIRST).expect_err("no record, no deployment");
    assert!(matches!(error, ApplyError::Unrecorded(_)) && error.rolled_back(), "{error:?}");
    assert_eq!(machine.kernel.snapshot(), before);
}

#[test]
fn a_file_beside_the_record_does_not_keep_a_deployment_from_ending() {
    let machine = Machine::new();
    machine.apply(FIRST).expect("applies");
    std::fs::write(machine.directory.path().join("state/edge/inventory.json.new"), "")
        .expect("a file");
    std::fs::write(machine.directory.path().join("state/edge/note"), "").expect("a file");
    machine.end(true).expect("ends");
    assert_eq!(machine.visible().1, None);
}

#[test]
fn a_deployment_whose_record_is_lost_can_be_ended() {
    let machine = Machine::new();
    let untouched = machine.kernel.snapshot();
    machine.apply(FIRST).expect("applies");
    std::fs::remove_dir_all(machine.directory.path().join("state")).expect("the records");
    let root = &desired(FIRST).pin_root;
    let ended = machine.host().end(&edge(), Some(root), false, &mut |_| {}).expect("ends");
    let links =
        ended.plan.changes.iter().filter(|change| change.address.as_str().starts_with("link."));
    assert_eq!(links.count(), 6, "{:#?}", ended.plan.changes);
    let left = format!("{:?}", machine.kernel.snapshot());
    assert!(!left.contains("~links") && !left.contains("~progs"), "{left}");
    assert_ne!(machine.kernel.snapshot(), untouched, "public pins are not provably ours");
}

#[test]
fn a_lost_record_doubles_no_filter() {
    let machine = Machine::new();
    // Without a record, a live prog array is not provably ours, and is not filled again.
    let (text, _) = FIRST.split_once("[objects.jumper]").expect("it has one");
    machine.apply(text).expect("applies");
    std::fs::remove_dir_all(machine.directory.path().join("state")).expect("the records");
    machine.apply(text).expect("applies again");
    machine.assert_settled(text);
    let filters = machine.kernel.filters("eth1", Direction::Egress).expect("readable");
    assert_eq!(filters.len(), 1);
    machine.end(true).expect("ends");
    let filters = machine.kernel.filters("eth1", Direction::Egress).expect("readable");
    assert!(filters.is_empty());
}

#[test]
fn a_clsact_qdisc_goes_with_the_last_of_our_filters() {
    let machine = Machine::new();
    let untouched = machine.kernel.snapshot();
    let both = FIRST.replace(
        "attach = [{ hook = \"tc\", interface = \"eth1\", direction = \"egress\" }]",
        "attach = [{ hook = \"tc\", interface = \"eth1\", direction = \"egress\" }, { hook = \"tc\", \
         interface = \"eth1\", direction = \"ingress\" }]",
    );
    machine.apply(&both).expect("applies");
    machine.apply(FIRST).expect("one of two filters goes");
    machine.end(true).expect("ends");
    assert_eq!(machine.kernel.snapshot(), untouched);
}

#[test]
fn deployments_that_share_a_root_leave_nothing() {
    let machine = Machine::new();
    let untouched = machine.kernel.snapshot();
    let other = FIRST
        .replace("name = \"edge\"", "name = \"other\"")
        .replace("subpath = \"shared\"", "subpath = \"theirs\"")
        .replace("subpath = \"fw\"", "subpath = \"wf\"")
        .replace("subpath = \"honeypot\"", "subpath = \"pothoney\"")
        .replace("subpath = \"jumps\"", "subpath = \"leaps\"")
        .replace("subpath = \"watch\"", "subpath = \"watching\"")
        .replace("[objects.clock]", "[objects.clock]\nsubpath = \"tick\"")
        .replace("hook = \"xdp\"", "hook = \"tcx\", direction = \"egress\"")
        .replace("xdp_firewall]\npin = \"by-name\"\nattach = [", "xdp_firewall]\n#[")
        .replace("[objects.counter]", "[objects.counter]\nsubpath = \"tc\"");
    machine.apply(FIRST).expect("applies");
    machine.host().apply(desired(&other), &mut |_| {}).expect("applies beside it");
    machine.end(true).expect("the first ends");
    let name = Name::new("other").expect("a legal name");
    machine.host().end(&name, None, true, &mut |_| {}).expect("the second ends");
    assert_eq!(machine.kernel.snapshot(), untouched);
    assert_eq!(machine.host().status(None).expect("readable").len(), 0);
}

/// Two deployments that only share an interface with a netlink filter of each.
fn with_filter(name: &str) -> String {
    let object = support::object("tc_counter").display().to_string();
    format!(
        "version = 1\nname = \"{name}\"\npin-root = \"/sys/fs/bpf/{name}\"\n\n[objects.tc]\npath = \
         \"{object}\"\n\n[objects.tc.programs.tc_count]\nattach = [{{ hook = \"tc\", interface = \"eth1\", \
         direction = \"egress\" }}]\n"
    )
}

#[test]
fn a_clsact_qdisc_of_another_network_namespace_makes_none_here_ours() {
    for (elsewhere, shares) in [(false, true), (true, false)] {
        let machine = Machine::new();
        let (one, other) = (with_filter("one"), with_filter("other"));
        machine.apply(&other).expect("applies");
        let record = machine.directory.path().join("state/other/inventory.json");
        let text = std::fs::read_to_string(&record).expect("a record");
        let mut recorded: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        if elsewhere {
            recorded["host"]["netns"] = 1.into();
        }
        std::fs::write(&record, recorded.to_string()).expect("a writable record");
        let plan = machine.host().plan(desired(&one)).expect("observable");
        let shared = plan.steps.iter().find_map(|step| match step {
            Step::AttachFilter { shares_clsact, .. } => Some(*shares_clsact),
            _ => None,
        });
        assert_eq!(shared, Some(shares), "elsewhere: {elsewhere}");
    }
}

#[test]
fn two_deployments_do_not_meet_in_one_pin() {
    let machine = Machine::new();
    machine.apply(FIRST).expect("applies");
    let other = FIRST.replace("name = \"edge\"", "name = \"other\"");
    let error = machine.host().apply(desired(&other), &mut |_| {}).expect_err("refused");
    let ApplyError::Refused(plan) = error else { panic!("{error:?}") };
    assert!(plan.refusals().any(|change| change.reason.contains("belongs to deployment `edge`")));
}
