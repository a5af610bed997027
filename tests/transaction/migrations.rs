//! A map of another shape takes the entries of the old one along, whatever fails and whoever writes
//! meanwhile.

use std::cell::RefCell;
use std::collections::BTreeMap;

use ebpf_apply::apply::{ApplyError, Host, Observer, Progress};
use ebpf_apply::kernel::fake::{CallKind, Fake};
use rustix::io::Errno;

use crate::fail_at_every_call;
use crate::machine::{FIRST, Machine, desired};

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

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

/// What is told of a run, without who has which lock.
#[derive(Default)]
struct Heard(RefCell<Vec<String>>);

impl Observer for Heard {
    fn tell(&self, progress: Progress<'_>) {
        let text = match progress {
            Progress::Done => return,
            Progress::Programs { loaded, of } => format!("{loaded} of {of} programs"),
            Progress::Entries { map, pass } => format!(
                "{map}: {}{} of {}",
                if pass.again { "again " } else { "" },
                pass.entries,
                pass.most
            ),
            Progress::Lock { .. } => "a lock".to_owned(),
        };
        self.0.borrow_mut().push(text);
    }
}

#[test]
fn a_run_tells_how_far_it_is() {
    let machine = Machine::new();
    filled(&machine);
    let heard = Heard::default();
    let host = Host { observer: &heard, ..machine.host() };
    host.apply(desired(&migrated(512)), &mut |_| {}).expect("applies");
    let heard = heard.0.into_inner();
    let map = "map.firewall.flows";
    let of_map: Vec<&String> = heard.iter().filter(|line| line.starts_with(map)).collect();
    let (first, last) = (format!("{map}: 200 of 256"), format!("{map}: again 200 of 256"));
    assert!(of_map.contains(&&first), "{heard:?}");
    // Once more before the swap, and once after.
    assert_eq!(of_map.iter().filter(|line| ***line == last).count(), 2, "{heard:?}");
    let loads: Vec<&String> = heard.iter().filter(|line| line.ends_with("programs")).collect();
    assert_eq!(loads.len(), 2, "{heard:?}");
    assert!(loads[0].starts_with("0 of ") && !loads[1].starts_with("0 of "), "{heard:?}");
}
