//! A kernel without links to maps of sockets: the map itself keeps what is attached to it.

use std::collections::BTreeMap;

use ebpf_apply::apply::{Applied, ApplyError};
use ebpf_apply::kernel::fake::{CallKind, Fake, Handle};
use ebpf_apply::kernel::{Kernel as _, LoadRequest};
use ebpf_apply::model::kinds::AttachType;
use ebpf_apply::model::pin::{PinPath, SubPath};
use ebpf_apply::model::socket_hook::Kept;
use ebpf_apply::object::Image;
use ebpf_apply::plan::{Action, Change, ResourceState};
use rustix::io::Errno;

use crate::kills::{self, is_made_good};
use crate::machine::{Machine, desired, edge};

const SOCKETS: &str = r#"
version = 1
name = "edge"
pin-root = "/sys/fs/bpf/edge"

[objects.net]
path = "net_hooks.bpf.o"
load = "listed"

[objects.net.programs.on_msg]
attach = [{ hook = "sockmap", map = "net.sockets" }]

[objects.net.programs.on_parse]
attach = [{ hook = "sockmap", map = "net.sockets" }]

[objects.net.programs.on_stream]
attach = [{ hook = "sockmap", map = "net.sockets" }]
"#;

const LINK: &str = "link.net.on_msg[sockmap:net.sockets]";
const MESSAGES: AttachType = AttachType::SK_MSG_VERDICT;

/// The same with more said of the map.
fn with_map(text: &str, said: &str) -> String {
    let (before, programs) = text.split_once("[objects.net.programs").expect("it has some");
    format!("{before}[objects.net.maps.sockets]\n{said}\n\n[objects.net.programs{programs}")
}

fn persisting() -> String {
    with_map(SOCKETS, "pin = \"persist-on-exit\"")
}

/// Another map of sockets, other programs, and some less.
fn changed() -> String {
    with_map(&reloaded(), "max-entries = 32\non-mismatch = \"replace\"")
        .split("\n[objects.net.programs.on_parse]")
        .next()
        .expect("it is there")
        .to_owned()
}

/// The same map with other programs.
fn reloaded() -> String {
    SOCKETS.replacen(
        "[objects.net.programs",
        "[objects.net.globals]\ngeneration = 2\n\n[objects.net.programs",
        1,
    )
}

fn told() -> Machine {
    let machine = Machine::new();
    machine.kernel.take_socket_links_away();
    machine
}

fn untold() -> Machine {
    let machine = told();
    machine.kernel.hide_kept_programs();
    machine
}

fn apply(machine: &Machine) -> Result<Applied, ApplyError> {
    machine.apply(SOCKETS)
}

fn change(machine: &Machine) -> Result<Applied, ApplyError> {
    machine.apply(&changed())
}

fn reload(machine: &Machine) -> Result<Applied, ApplyError> {
    machine.apply(&reloaded())
}

fn told_deployed() -> Machine {
    let machine = told();
    apply(&machine).expect("applies");
    machine
}

fn untold_deployed() -> Machine {
    let machine = untold();
    apply(&machine).expect("applies");
    machine
}

/// The names of the programs that maps keep, by hook.
fn kept(machine: &Machine) -> Vec<(AttachType, String)> {
    let snapshot = machine.kernel.snapshot();
    let named = |((_, hook), program): (&(u32, AttachType), &u32)| {
        (*hook, snapshot.programs[program].clone())
    };
    snapshot.kept.iter().map(named).collect()
}

fn said<'a>(plan: &'a [Change], address: &str) -> &'a Change {
    plan.iter().find(|change| change.address.as_str() == address).expect("it is planned")
}

fn state(machine: &Machine) -> (ResourceState, String) {
    let all = machine.host().status(Some(&edge())).expect("readable");
    let link = all[0].resources.iter().find(|of| of.address.as_str() == LINK);
    let link = link.expect("it is on record");
    (link.state, link.detail.clone().unwrap_or_default())
}

/// The map as it is pinned.
fn sockets(kernel: &Fake) -> Handle {
    let root = &desired(SOCKETS).pin_root;
    let pin = PinPath::public(&SubPath::default(), "sockets");
    let found = kernel.open(root, &pin).expect("readable").expect("it is pinned");
    found.handle.expect("it is a map")
}

/// A program of someone else's.
fn stranger(kernel: &Fake) -> Handle {
    let image: &Image = &desired(SOCKETS).objects[0].image;
    let program = image.spec.program("on_msg").expect("the object has it");
    let request = LoadRequest { image, programs: vec![program], maps: BTreeMap::new(), btf: None };
    let loaded = kernel.load_programs(&[request]).expect("loads").remove(0);
    loaded.into_values().next().expect("one was asked for")
}

#[test]
fn what_a_map_keeps_is_said_swapped_and_detached() {
    let machine = told();
    let done = apply(&machine).expect("applies");
    let link = said(&done.plan.changes, LINK);
    assert_eq!(link.action, Action::Create);
    assert!(link.reason.contains("6.10") && link.reason.contains("no pin of its own"), "{link:?}");
    machine.assert_settled(SOCKETS);
    let (at, detail) = state(&machine);
    assert_eq!(at, ResourceState::InSync);
    assert!(detail.contains("without a link"), "{detail}");
    assert_eq!(kept(&machine).len(), 3);
    assert_eq!(machine.kernel.snapshot().links.len(), 0);

    let calls = machine.kernel.calls().len();
    let done = reload(&machine).expect("applies");
    let link = said(&done.plan.changes, LINK);
    assert_eq!(link.action, Action::Update);
    assert!(link.reason.contains("swapped atomically"), "{link:?}");
    let after = machine.kernel.calls().split_off(calls);
    assert!(after.iter().all(|call| call.kind != CallKind::LetGo), "there is no gap");
    machine.assert_settled(&reloaded());
}

#[test]
fn a_map_that_persists_keeps_no_program() {
    for (machine, is_untold) in [(told(), false), (untold(), true)] {
        persists(&machine).expect("applies");
        assert_eq!(kept(&machine).len(), 3);
        machine.end(false).expect("ends");
        assert_eq!(kept(&machine), []);
        drop(sockets(&machine.kernel));
        let done = persists(&machine).expect("it is this deployment's own");
        let reason = &said(&done.plan.changes, LINK).reason;
        assert_eq!(reason.contains("loses its place"), is_untold, "{reason}");
        assert_eq!(kept(&machine).len(), 3);
        machine.end(true).expect("ends");
        assert_eq!(machine.kernel.snapshot().maps.len(), 0);
    }
}

#[test]
fn where_the_kernel_does_not_tell_the_record_does() {
    let machine = untold();
    apply(&machine).expect("applies");
    machine.assert_settled(SOCKETS);
    let (at, detail) = state(&machine);
    assert_eq!(at, ResourceState::Unknown);
    assert!(detail.contains("5.18"), "{detail}");
    let done = reload(&machine).expect("applies");
    assert!(said(&done.plan.changes, LINK).reason.contains("swapped atomically"));
    machine.assert_settled(&reloaded());
    change(&machine).expect("applies");
    machine.assert_settled(&changed());
    assert_eq!(kept(&machine), [(MESSAGES, "on_msg".to_owned())]);
    machine.end(false).expect("ends");
    assert_eq!(machine.kernel.snapshot().maps.len(), 0);
}

#[test]
fn a_program_of_someone_else_is_refused_by_name_and_stays() {
    let machine = told();
    persists(&machine).expect("applies");
    machine.end(false).expect("ends");
    let (map, foreign) = (sockets(&machine.kernel), stranger(&machine.kernel));
    machine.kernel.keep(&map, MESSAGES, &foreign, None).expect("nobody is there");
    let before = machine.visible();
    let Err(ApplyError::Refused(plan)) = machine.apply(&persisting()) else {
        panic!("somebody is there")
    };
    let refusals: Vec<_> = plan.refusals().collect();
    let [refused] = refusals.as_slice() else { panic!("{refusals:#?}") };
    let (program, of) = (machine.kernel.id(&foreign), machine.kernel.id(&map));
    let command = format!("bpftool prog detach id {program} msg_verdict id {of}");
    assert_eq!(refused.address.as_str(), LINK);
    assert!(refused.reason.contains("(`on_msg`)"), "{}", refused.reason);
    assert!(refused.reason.contains(&command), "{}", refused.reason);
    let Err(ApplyError::Refused(_)) = machine.host().adopt(desired(&persisting()), &mut |_| {})
    else {
        panic!("there is no link that could be taken over")
    };
    assert_eq!(machine.visible(), before);
}

#[test]
fn a_program_that_lost_its_place_is_drift_and_put_back_by_healing() {
    let machine = told_deployed();
    let (map, foreign) = (sockets(&machine.kernel), stranger(&machine.kernel));
    let program = machine.kernel.id(&foreign);
    let ours = machine.kernel.snapshot().kept[&(machine.kernel.id(&map), MESSAGES)];
    let ours = machine.kernel.open_program(ours).expect("it is attached");
    machine.kernel.keep(&map, MESSAGES, &foreign, Some(&ours)).expect("somebody does");
    let (at, detail) = state(&machine);
    assert_eq!(at, ResourceState::Drifted);
    assert!(detail.contains(&format!("program id {program}, not ours")), "{detail}");
    let Err(ApplyError::Refused(_)) = apply(&machine) else { panic!("it is someone else's") };
    machine.host().heal(desired(SOCKETS), &mut |_| {}).expect("heals");
    machine.assert_settled(SOCKETS);

    // What someone else has attached in its place stays, as long as somebody has the map.
    machine.kernel.keep(&map, MESSAGES, &foreign, Some(&ours)).expect("somebody does");
    machine.end(false).expect("ends");
    let id = machine.kernel.id(&foreign);
    assert_eq!(
        machine.kernel.kept(&map, MESSAGES),
        Ok(Kept::Program { id, name: "on_msg".to_owned() })
    );
    assert_eq!(kept(&machine).len(), 1);
}

#[test]
fn someone_who_comes_meanwhile_keeps_the_place() {
    let machine = told();
    persists(&machine).expect("applies");
    machine.end(false).expect("ends");
    machine.kernel.before(CallKind::Keep, |kernel| {
        let (map, foreign) = (sockets(kernel), stranger(kernel));
        kernel.keep(&map, MESSAGES, &foreign, None).expect("nobody is there yet");
    });
    let failed = persists(&machine).expect_err("somebody was faster");
    assert!(failed.rolled_back(), "{failed:?}");
    assert_eq!(kept(&machine), [(MESSAGES, "on_msg".to_owned())]);
}

#[test]
fn where_the_kernel_does_not_tell_a_map_of_someone_else_is_refused() {
    let machine = untold();
    let image: &Image = &desired(SOCKETS).objects[0].image;
    let spec = image.spec.maps.iter().find(|map| map.name == "sockets").expect("a map");
    let map = machine.kernel.create_map(image, spec, None).expect("a map");
    let root = &desired(SOCKETS).pin_root;
    machine.kernel.make_root(root).expect("a root");
    let pin = PinPath::public(&SubPath::default(), "sockets");
    machine.kernel.pin(&map, root, &pin).expect("a pin");
    let before = machine.visible();
    let Err(ApplyError::Refused(plan)) = apply(&machine) else { panic!("it is not known") };
    let refusals: Vec<_> = plan.refusals().collect();
    assert_eq!(refusals.len(), 3, "{refusals:#?}");
    assert!(refusals.iter().all(|change| change.reason.contains("5.18")), "{refusals:#?}");
    assert_eq!(machine.visible(), before);
}

#[test]
fn a_hook_goes_over_to_another_program_without_a_gap() {
    for machine in [told_deployed(), untold_deployed()] {
        let other = SOCKETS
            .replace("[objects.net]", "[objects.anew]")
            .replace("objects.net.", "objects.anew.")
            .replace("net.sockets", "anew.sockets");
        let calls = machine.kernel.calls().len();
        let done = machine.apply(&other).expect("applies");
        let left = said(&done.plan.changes, LINK);
        assert_eq!(left.action, Action::Move, "{left:?}");
        let after = machine.kernel.calls().split_off(calls);
        assert!(after.iter().all(|call| call.kind != CallKind::LetGo), "there is no gap");
        machine.assert_settled(&other);
        assert_eq!(kept(&machine).len(), 3);
    }
}

#[test]
fn a_verdict_of_the_other_kind_goes_first_or_is_refused_by_name() {
    let other = SOCKETS
        .split("\n[objects.net.programs.on_parse]")
        .next()
        .expect("it is there")
        .replace("on_msg", "on_verdict");
    for machine in [told_deployed(), untold_deployed()] {
        machine.apply(&other).expect("what is there goes first");
        machine.assert_settled(&other);
        assert_eq!(kept(&machine), [(AttachType::SK_SKB_VERDICT, "on_verdict".to_owned())]);
    }
    let machine = told();
    persists(&machine).expect("applies");
    machine.end(false).expect("ends");
    let (map, foreign) = (sockets(&machine.kernel), stranger(&machine.kernel));
    let hook = AttachType::SK_SKB_STREAM_VERDICT;
    machine.kernel.keep(&map, hook, &foreign, None).expect("nobody is there");
    let other = with_map(&other, "pin = \"persist-on-exit\"");
    let Err(ApplyError::Refused(plan)) = machine.apply(&other) else { panic!("one is there") };
    let reasons: Vec<&str> = plan.refusals().map(|change| change.reason.as_str()).collect();
    assert!(reasons[0].contains("attached to the map as stream_verdict"), "{reasons:?}");
}

#[test]
fn a_lost_record_doubles_nothing_and_leaves_nothing() {
    let private = with_map(SOCKETS, "pin = \"none\"");
    let machine = told();
    machine.apply(&private).expect("applies");
    std::fs::remove_dir_all(machine.directory.path().join("state")).expect("the records");
    let done = machine.apply(&private).expect("applies again");
    assert!(!done.plan.is_refused());
    machine.assert_settled(&private);
    assert_eq!(kept(&machine).len(), 3);
    std::fs::remove_dir_all(machine.directory.path().join("state")).expect("the records");
    let root = &desired(&private).pin_root;
    let ended = machine.host().end(&edge(), Some(root), false, &mut |_| {}).expect("ends");
    assert_eq!(said(&ended.plan.changes, LINK).action, Action::Delete);
    assert_eq!(kept(&machine), []);
}

#[test]
fn a_call_that_fails_leaves_everything_as_it_was() {
    for (prepare, run) in [
        (told as fn() -> Machine, apply as kills::Run),
        (untold, apply),
        (told_deployed, reload),
        (untold_deployed, reload),
        (told_deployed, change),
        (untold_deployed, change),
        (told_deployed, kills::end),
        (untold_deployed, kills::end),
        (untold_deployed, kills::purge),
    ] {
        let calls = kills::undisturbed(prepare, run).0;
        for n in 0..calls {
            let machine = prepare();
            let before = machine.visible();
            machine.kernel.fail_call(n, Errno::NOMEM);
            let failed = run(&machine).expect_err("a call fails");
            machine.kernel.heal();
            assert!(failed.rolled_back(), "call {n}: {failed:?}");
            assert_eq!(machine.visible(), before, "call {n}");
            run(&machine).unwrap_or_else(|error| panic!("after call {n}: {error}"));
        }
    }
}

#[test]
fn a_run_that_is_killed_is_made_good_by_the_next() {
    for prepare in [told as fn() -> Machine, untold] {
        is_made_good(prepare, apply);
    }
    for prepare in [told_deployed as fn() -> Machine, untold_deployed] {
        for run in [reload, change, kills::end, kills::purge] {
            is_made_good(prepare, run);
        }
        let (_, ended) = kills::undisturbed(prepare, kills::end);
        for run in [reload, change] {
            kills::kill_at_every_call(prepare, run, kills::end, &ended);
        }
    }
}

fn persists(machine: &Machine) -> Result<Applied, ApplyError> {
    machine.apply(&persisting())
}

fn reload_persisting(machine: &Machine) -> Result<Applied, ApplyError> {
    machine.apply(&with_map(&reloaded(), "pin = \"persist-on-exit\""))
}

fn reload_again(machine: &Machine) -> Result<Applied, ApplyError> {
    let text = with_map(&reloaded(), "pin = \"persist-on-exit\"");
    machine.apply(&text.replace("generation = 2", "generation = 3"))
}

fn told_persisting() -> Machine {
    let machine = told();
    persists(&machine).expect("applies");
    machine
}

fn untold_persisting() -> Machine {
    let machine = untold();
    persists(&machine).expect("applies");
    machine
}

/// The map stays, and so would what is attached to it.
#[test]
fn an_end_after_a_killed_run_detaches_whatever_is_there() {
    for prepare in [told_persisting as fn() -> Machine, untold_persisting] {
        let (_, ended) = kills::undisturbed(prepare, kills::end);
        kills::kill_at_every_call(prepare, reload_persisting, kills::end, &ended);
        is_made_good(prepare, reload_persisting);
        is_made_good(prepare, kills::end);
        // Twice in a row, so that the program of neither record may be attached.
        let calls = kills::undisturbed(prepare, reload_persisting).0;
        for first in 0..calls {
            for second in (first % 3..calls).step_by(3) {
                let mut machine = kills::killed(prepare, reload_persisting, first);
                machine.kernel.kill_at(second);
                let again = std::panic::AssertUnwindSafe(|| reload_again(&machine));
                let _killed = std::panic::catch_unwind(again);
                machine.dies();
                kills::end(&machine).expect("ends");
                assert_eq!(kept(&machine), [], "after kills at calls {first} and {second}");
                drop(sockets(&machine.kernel));
            }
        }
    }
}
