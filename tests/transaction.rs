//! All or nothing: whichever call to the kernel fails, the host is as it was before.
//!
//! Real manifests and objects, the kernel in memory. That it behaves like the real one, the contract
//! suite proves.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use ebpf_apply::apply::{Applied, ApplyError, Host, StateDirectory};
use ebpf_apply::kernel::Kernel;
use ebpf_apply::kernel::fake::{CallKind, Fake, Snapshot};
use ebpf_apply::model::attach::Direction;
use ebpf_apply::model::name::Name;
use ebpf_apply::validate::{Desired, validate};
use rustix::io::Errno;
use tempfile::TempDir;

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// A host in memory with its directory of records.
struct Machine {
    kernel: Fake,
    state: StateDirectory,
    directory: TempDir,
}

/// A manifest with everything a plan can do: shared, moved, persisting and private maps, links that
/// swap in place and links that cannot, and a netlink filter.
const FIRST: &str = r#"
version = 1
name = "edge"
pin-root = "/sys/fs/bpf/edge"

[objects.firewall]
path = "firewall.bpf.o"
subpath = "fw"

[objects.firewall.maps.blocked]
pin = "persist-on-exit"
subpath = "shared"

[objects.firewall.programs.xdp_firewall]
pin = "by-name"
attach = [{ hook = "xdp", interface = "eth0" }, { hook = "xdp", interface = "eth1" }]

[objects.honeypot]
path = "honeypot.bpf.o"
subpath = "honeypot"

[objects.honeypot.maps.blocked]
pin = "persist-on-exit"
subpath = "shared"

[objects.honeypot.programs.watch_bait]
attach = [{ hook = "tcx", interface = "eth0", direction = "ingress" }]

[objects.counter]
path = "tc_counter.bpf.o"

[objects.counter.programs.tc_count]
attach = [{ hook = "tc", interface = "eth1", direction = "egress" }]

[objects.jumper]
path = "initial_slots.bpf.o"
subpath = "jumps"
"#;

/// The same deployment later: a global changed, pins moved, an attachment went and one came, and a
/// prog array that is loaded again has moved as well.
fn second() -> String {
    FIRST
        .replace(
            "[objects.firewall.programs",
            "[objects.firewall.globals]\nlog_level = 2\n\n[objects.firewall.programs",
        )
        .replace("subpath = \"fw\"", "subpath = \"wall\"")
        .replace(", { hook = \"xdp\", interface = \"eth1\" }", "")
        .replace(
            "subpath = \"jumps\"",
            "subpath = \"leaps\"\n\n[objects.jumper.maps.by_key]\nmax-entries = 8",
        )
        .replace(
            "direction = \"ingress\" }",
            "direction = \"ingress\" }, { hook = \"tcx\", interface = \"eth1\", direction = \
             \"ingress\" }",
        )
        .replace(
            "[objects.counter.programs.tc_count]",
            "[objects.counter.maps.traffic]\npin = \"none\"\n\n[objects.counter.programs.tc_count]",
        )
}

fn desired(text: &str) -> Desired {
    for name in ["firewall", "honeypot", "tc_counter", "initial_slots"] {
        support::object(name);
    }
    let objects = support::root().join("bpf/out");
    let checked = validate(&objects.join("edge.toml"), text, &|path: &Path| std::fs::read(path));
    checked.desired.unwrap_or_else(|| panic!("{:#?}", checked.problems))
}

fn edge() -> Name {
    Name::new("edge").expect("a legal name")
}

impl Machine {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let state = StateDirectory::new(directory.path().join("state"));
        let kernel = Fake::new();
        kernel.add_interface("eth0");
        kernel.add_interface("eth1");
        Self { kernel, state, directory }
    }

    fn host(&self) -> Host<'_, Fake> {
        // Another test that starts a process holds our lock from its fork to its exec.
        let lock_timeout = Duration::from_secs(10);
        Host { kernel: &self.kernel, state: &self.state, lock_timeout }
    }

    fn apply(&self, text: &str) -> Result<Applied, ApplyError> {
        self.host().apply(&desired(text), &mut |_| {})
    }

    fn end(&self, purge: bool) -> Result<Applied, ApplyError> {
        self.host().end(&edge(), None, purge, &mut |_| {})
    }

    /// What can be seen: the host, and the record of the deployment.
    fn visible(&self) -> (Snapshot, Option<String>) {
        let record = self.directory.path().join("state/edge/inventory.json");
        (self.kernel.snapshot(), std::fs::read_to_string(record).ok())
    }

    #[track_caller]
    fn assert_settled(&self, text: &str) {
        let plan = self.host().plan(&desired(text)).expect("observable");
        assert!(plan.is_unchanged(), "{:#?}", plan.changes);
    }
}

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

/// The same deployment with a map of another size, whose entries are to go over.
fn migrated(most: u32) -> String {
    let map = "\n[objects.firewall.maps.flows]\non-mismatch = \"migrate\"\nmax-entries = ";
    FIRST.replace(
        "\n[objects.firewall.programs",
        &format!("{map}{most}\n\n[objects.firewall.programs"),
    )
}

/// Id of a map on record.
fn recorded(machine: &Machine, address: &str) -> u32 {
    let record = machine.directory.path().join("state/edge/inventory.json");
    let record = std::fs::read_to_string(record).expect("a record");
    let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
    let id = record["resources"][address]["id"].as_u64().expect("an id");
    u32::try_from(id).expect("a kernel id")
}

/// Applies the first generation and fills a map with 200 entries.
fn filled(machine: &Machine) -> u32 {
    machine.apply(&migrated(256)).expect("applies");
    let flows = recorded(machine, "map.firewall.flows");
    let desired = desired(FIRST);
    let firewall = desired.objects.iter().find(|object| object.name.as_str() == "firewall");
    let image = &firewall.expect("it is in the manifest").image;
    let shape = image.spec.map("flows").expect("the firewall has it").shape;
    let [key, value] = [shape.key_size, shape.value_size].map(|size| vec![0; size as usize]);
    for n in 0..200 {
        let (mut key, mut value) = (key.clone(), value.clone());
        (key[0], value[0]) = (n, n);
        machine.kernel.write_entry(flows, &key, &value).expect("an entry");
    }
    flows
}

#[test]
fn a_migration_that_fails_anywhere_leaves_the_old_map_with_its_entries() {
    fail_at_every_call(
        |machine| {
            filled(machine);
        },
        |machine| machine.apply(&migrated(512)),
    );
}

/// The first bytes of keys and values.
fn first_bytes(entries: &Entries) -> BTreeMap<u8, u8> {
    entries.iter().map(|(key, value)| (key[0], value[0])).collect()
}

/// Writes an entry of `flows` as [`filled`] does.
fn write_flow(kernel: &Fake, map: u32, n: u8, content: u8) {
    let (mut key, mut value) = kernel.entries(map).pop_last().expect("it has some");
    (key[0], value[0]) = (n, content);
    kernel.write_entry(map, &key, &value).expect("an entry");
}

/// Lets the old program write after the copy, and the new one too.
fn written_by_both(machine: &Machine, old: u32) {
    machine.kernel.before(CallKind::CarryEntries, move |kernel| {
        let maps = kernel.snapshot().maps;
        let is_copy = |(id, entries): &(&u32, &Entries)| **id != old && entries.len() == 200;
        let (new, _) = maps.iter().find(is_copy).expect("the new map");
        write_flow(kernel, old, 1, 101);
        write_flow(kernel, old, 2, 102);
        write_flow(kernel, *new, 2, 202);
        write_flow(kernel, old, 201, 1);
        write_flow(kernel, *new, 202, 2);
    });
}

#[test]
fn what_is_written_between_the_copy_and_the_swap_is_not_lost() {
    let machine = Machine::new();
    let old = filled(&machine);
    written_by_both(&machine, old);
    machine.apply(&migrated(512)).expect("applies");
    let new = machine.kernel.entries(recorded(&machine, "map.firewall.flows"));
    let mut expected: BTreeMap<u8, u8> = (0..200).map(|n| (n, n)).collect();
    expected.extend([(1, 101), (2, 202), (201, 1), (202, 2)]);
    assert_eq!(first_bytes(&new), expected);
}

#[test]
fn an_old_map_that_comes_back_has_what_was_written_into_it() {
    let machine = Machine::new();
    let old = filled(&machine);
    written_by_both(&machine, old);
    machine.kernel.fail_kind(CallKind::CarryEntries, Errno::NOMEM);
    let error = machine.apply(&migrated(512)).expect_err("fails after the swap");
    assert!(matches!(error, ApplyError::Failed(_)), "{error:?}");
    assert_eq!(recorded(&machine, "map.firewall.flows"), old);
    let mut expected: BTreeMap<u8, u8> = (0..200).map(|n| (n, n)).collect();
    expected.extend([(1, 101), (2, 102), (201, 1)]);
    assert_eq!(first_bytes(&machine.kernel.entries(old)), expected);
    machine.kernel.heal();
    machine.assert_settled(&migrated(256));
}

#[test]
fn a_migration_takes_the_entries_along() {
    let machine = Machine::new();
    let old = filled(&machine);
    let before = machine.visible();
    let error = machine.apply(&migrated(199)).expect_err("200 do not fit");
    assert!(matches!(&error, ApplyError::Failed(failure) if failure.error.advice.is_some()));
    assert_eq!(machine.visible(), before);
    let entries = machine.kernel.entries(old);
    assert_eq!(entries.len(), 200);
    machine.apply(&migrated(200)).expect("they fit");
    let new = recorded(&machine, "map.firewall.flows");
    assert_ne!(new, old);
    assert_eq!(machine.kernel.entries(new), entries);
    machine.assert_settled(&migrated(200));
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
    let blocked = |machine: &Machine| recorded(machine, "map.firewall.blocked");
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
    std::fs::create_dir_all(&in_the_way).expect("a directory");
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
    let root = desired(FIRST).pin_root;
    let ended = machine.host().end(&edge(), Some(&root), false, &mut |_| {}).expect("ends");
    let links =
        ended.plan.changes.iter().filter(|change| change.address.as_str().starts_with("link."));
    assert_eq!(links.count(), 3, "{:#?}", ended.plan.changes);
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
        .replace("hook = \"xdp\"", "hook = \"tcx\", direction = \"egress\"")
        .replace("xdp_firewall]\npin = \"by-name\"\nattach = [", "xdp_firewall]\n#[")
        .replace("[objects.counter]", "[objects.counter]\nsubpath = \"tc\"");
    machine.apply(FIRST).expect("applies");
    machine.host().apply(&desired(&other), &mut |_| {}).expect("applies beside it");
    machine.end(true).expect("the first ends");
    let name = Name::new("other").expect("a legal name");
    machine.host().end(&name, None, true, &mut |_| {}).expect("the second ends");
    assert_eq!(machine.kernel.snapshot(), untouched);
    assert_eq!(machine.host().status(None).expect("readable").len(), 0);
}

#[test]
fn two_deployments_do_not_meet_in_one_pin() {
    let machine = Machine::new();
    machine.apply(FIRST).expect("applies");
    let other = FIRST.replace("name = \"edge\"", "name = \"other\"");
    let error = machine.host().apply(&desired(&other), &mut |_| {}).expect_err("refused");
    let ApplyError::Refused(plan) = error else { panic!("{error:?}") };
    assert!(plan.refusals().any(|change| change.reason.contains("belongs to deployment `edge`")));
}
