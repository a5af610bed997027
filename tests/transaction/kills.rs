//! A run that is killed before any of its calls to the kernel: the next run ends where an undisturbed
//! one would have, or ends the deployment, and nothing is left over.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ebpf_apply::apply::{Applied, ApplyError};
use ebpf_apply::kernel::fake::{Killed, Snapshot};
use ebpf_apply::model::inventory::Resource;
use ebpf_apply::model::kinds::MapType;
use ebpf_apply::model::live::LinkTarget;

use crate::machine::{FIRST, Machine, desired, other_options, second};

pub(crate) type Run = fn(&Machine) -> Result<Applied, ApplyError>;

/// The same deployment later, with one map of another shape and everything else that can change, the
/// options of attachments too.
pub(crate) fn replacing() -> String {
    other_options(&second()).replace(
        "[objects.firewall.globals]",
        "[objects.firewall.maps.flows]\nmax-entries = 1024\non-mismatch = \"replace\"\npin = \
         \"persist-on-exit\"\n\n[objects.firewall.globals]",
    )
}

/// The same with its entries.
fn migrating() -> String {
    replacing().replace("on-mismatch = \"replace\"", "on-mismatch = \"migrate\"")
}

pub(crate) fn apply_first(machine: &Machine) -> Result<Applied, ApplyError> {
    machine.apply(FIRST)
}

pub(crate) fn apply_replacing(machine: &Machine) -> Result<Applied, ApplyError> {
    machine.apply(&replacing())
}

fn apply_migrating(machine: &Machine) -> Result<Applied, ApplyError> {
    machine.apply(&migrating())
}

pub(crate) fn end(machine: &Machine) -> Result<Applied, ApplyError> {
    machine.end(false)
}

pub(crate) fn purge(machine: &Machine) -> Result<Applied, ApplyError> {
    machine.end(true)
}

/// A host whose first deployment has entries in each pinned map that holds some.
pub(crate) fn deployed() -> Machine {
    let machine = Machine::new();
    apply_first(&machine).expect("applies");
    machine.write_entries();
    machine
}

/// How many calls `run` makes on a machine from `prepare`, undisturbed, and how it looks then.
pub(crate) fn undisturbed(prepare: fn() -> Machine, run: Run) -> (usize, Shape) {
    let machine = prepare();
    let before = machine.kernel.calls().len();
    run(&machine).expect("an undisturbed run succeeds");
    (machine.kernel.calls().len() - before, machine.shape())
}

/// A machine from `prepare` on which `run` was killed before its `n`-th call.
pub(crate) fn killed(prepare: fn() -> Machine, run: Run, n: usize) -> Machine {
    let mut machine = prepare();
    machine.kernel.kill_at(n);
    let killed = catch_unwind(AssertUnwindSafe(|| run(&machine)));
    let payload = killed.err().unwrap_or_else(|| panic!("call {n} was not made"));
    assert!(payload.is::<Killed>(), "call {n}: {payload:?}");
    machine.dies();
    machine
}

/// Kills `run` before each call it makes, lets `next` run after it, and asserts that the host is then
/// as `wanted`.
#[expect(clippy::print_stdout, reason = "the count is worth knowing")]
pub(crate) fn kill_at_every_call(prepare: fn() -> Machine, run: Run, next: Run, wanted: &Shape) {
    let (calls, _) = undisturbed(prepare, run);
    for n in 0..calls {
        let machine = killed(prepare, run, n);
        next(&machine).unwrap_or_else(|error| panic!("after a kill at call {n}: {error:?}"));
        let when = format!("after a kill at call {n} of {calls}");
        assert_shape(&machine.shape(), wanted, &when);
    }
    println!("killed at each of {calls} calls");
}

/// The same, where the next run is the same again.
pub(crate) fn is_made_good(prepare: fn() -> Machine, run: Run) {
    let (_, wanted) = undisturbed(prepare, run);
    kill_at_every_call(prepare, run, run, &wanted);
}

/// Kills `run` before each call it makes, lets `next` run after it, and asserts that the host is as if
/// `run` had not been until one of its programs was at work, and from then on as if it had been done.
fn counts_once_at_work(prepare: fn() -> Machine, run: Run, next: Run) {
    let kept = undisturbed(prepare, next).1;
    let lost = {
        let machine = prepare();
        run(&machine).expect("an undisturbed run succeeds");
        next(&machine).expect("an undisturbed run succeeds");
        machine.shape()
    };
    assert_ne!(kept, lost);
    let before = prepare().kernel.snapshot();
    let (calls, _) = undisturbed(prepare, run);
    let mut ever_at_work = false;
    for n in 0..calls {
        let machine = killed(prepare, run, n);
        let at_work = runs_others(&machine, &before);
        ever_at_work |= at_work;
        next(&machine).unwrap_or_else(|error| panic!("after a kill at call {n}: {error:?}"));
        let wanted = if at_work { &lost } else { &kept };
        assert_shape(&machine.shape(), wanted, &format!("after a kill at call {n} of {calls}"));
    }
    assert!(ever_at_work);
}

/// Whether a link runs a program that was not there before.
fn runs_others(machine: &Machine, before: &Snapshot) -> bool {
    let links = machine.kernel.snapshot().links;
    links.values().any(|(program, _)| !before.programs.contains_key(program))
}

#[test]
fn a_first_apply_that_is_killed_is_made_good_by_the_next() {
    is_made_good(Machine::new, apply_first);
}

#[test]
fn an_update_that_is_killed_is_made_good_by_the_next() {
    is_made_good(deployed, apply_replacing);
}

/// The entry that was there is in the new map in the end, whichever call was the last.
#[test]
fn a_migration_that_is_killed_is_made_good_by_the_next() {
    let replaced = undisturbed(deployed, apply_replacing).1;
    assert_ne!(undisturbed(deployed, apply_migrating).1, replaced, "entries can be seen");
    is_made_good(deployed, apply_migrating);
}

#[test]
fn an_end_that_is_killed_is_made_good_by_the_next() {
    is_made_good(deployed, end);
    is_made_good(deployed, purge);
}

#[test]
fn a_deployment_whose_update_is_killed_can_be_ended() {
    let (_, ended) = undisturbed(deployed, purge);
    kill_at_every_call(deployed, apply_replacing, purge, &ended);
    let calls = undisturbed(Machine::new, apply_first).0;
    for n in 0..calls {
        let machine = killed(Machine::new, apply_first, n);
        match purge(&machine) {
            // Killed before anything could be seen.
            Ok(_) | Err(ApplyError::Unknown(_)) => {}
            Err(error) => panic!("after a kill at call {n}: {error:?}"),
        }
        assert_shape(&machine.shape(), &ended, &format!("after a kill at call {n}"));
    }
}

/// Until the first program that uses the new map is at work, the old one comes back with its entries;
/// from then on, it is the new one that counts.
#[test]
fn an_update_that_is_killed_can_be_taken_back() {
    let take_back: Run = |machine| {
        machine.apply(&FIRST.replace(
            "[objects.honeypot]",
            "[objects.firewall.maps.flows]\non-mismatch = \"replace\"\n\n[objects.honeypot]",
        ))
    };
    counts_once_at_work(deployed, apply_replacing, take_back);
}

/// With a map that persists, in a place that does not change.
fn persisting() -> String {
    FIRST.replace(
        "[objects.firewall.programs",
        "[objects.firewall.maps.flows]\npin = \"persist-on-exit\"\n\n[objects.firewall.programs",
    )
}

pub(crate) fn deployed_persisting() -> Machine {
    let machine = Machine::new();
    machine.apply(&persisting()).expect("applies");
    machine.write_entries();
    machine
}

/// The same with a map of another shape in its place.
fn replacing_persisting() -> String {
    persisting().replace(
        "[objects.firewall.maps.flows]",
        "[objects.firewall.maps.flows]\nmax-entries = 1024\non-mismatch = \"replace\"",
    )
}

pub(crate) fn replace_persisting(machine: &Machine) -> Result<Applied, ApplyError> {
    machine.apply(&replacing_persisting())
}

#[test]
fn the_replacement_of_a_map_that_persists_is_made_good_after_a_kill() {
    is_made_good(deployed_persisting, replace_persisting);
}

/// What persists lies at its own path in the end, and not where the killed run had put it aside: the old
/// map with its entries, or the new one if programs at work used that.
#[test]
fn a_map_that_persists_has_its_place_again_after_a_kill() {
    counts_once_at_work(deployed_persisting, replace_persisting, end);
}

#[test]
fn a_map_that_persists_has_its_place_again_after_two_kills() {
    const STRIDE: usize = 3;
    let kept = undisturbed(deployed_persisting, end).1;
    let before = deployed_persisting().kernel.snapshot();
    let (calls, _) = undisturbed(deployed_persisting, replace_persisting);
    let mut ever_put_aside = false;
    for n in 0..calls {
        let machine = killed(deployed_persisting, replace_persisting, n);
        let pins = machine.kernel.snapshot().pins;
        let is_put_aside = pins.keys().any(|path| path.ends_with("~stage/edge/0"));
        if !is_put_aside || runs_others(&machine, &before) {
            continue;
        }
        ever_put_aside = true;
        let calls_before = machine.kernel.calls().len();
        end(&machine).unwrap_or_else(|error| panic!("after a kill at call {n}: {error:?}"));
        let calls_of_end = machine.kernel.calls().len() - calls_before;
        for again in (n % STRIDE..calls_of_end).step_by(STRIDE) {
            let mut machine = killed(deployed_persisting, replace_persisting, n);
            machine.kernel.kill_at(again);
            let ending = catch_unwind(AssertUnwindSafe(|| end(&machine)));
            assert!(ending.is_err(), "the end makes call {again}");
            machine.dies();
            let when = format!("after kills at calls {n} and {again}");
            end(&machine).unwrap_or_else(|error| panic!("{when}: {error:?}"));
            assert_shape(&machine.shape(), &kept, &when);
        }
    }
    assert!(ever_put_aside);
}

/// The same with a map that nobody has wanted since its deployment was ended.
#[test]
fn a_map_that_was_left_has_its_place_again_after_a_kill() {
    counts_once_at_work(ended_persisting, deploy_one, end);
}

#[test]
fn the_replacement_of_a_map_that_was_left_is_made_good_after_a_kill() {
    is_made_good(ended_persisting, deploy_one);
}

/// What the killed run has put there is ours, whatever the next calls the object.
#[test]
fn the_replacement_of_a_map_that_was_left_goes_with_a_renamed_object() {
    let deploy_renamed: Run = |machine| {
        let manifest = replacing_persisting().replace("objects.firewall", "objects.wall");
        machine.apply(first_object(&manifest))
    };
    let (_, wanted) = undisturbed(ended_persisting, deploy_renamed);
    kill_at_every_call(ended_persisting, deploy_one, deploy_renamed, &wanted);
}

/// One object only: which of two maps stays, the programs of its own object decide.
fn deploy_one(machine: &Machine) -> Result<Applied, ApplyError> {
    machine.apply(first_object(&replacing_persisting()))
}

fn first_object(manifest: &str) -> &str {
    manifest.split_once("[objects.honeypot]").expect("the second object").0
}

fn ended_persisting() -> Machine {
    let machine = deployed_persisting();
    end(&machine).expect("ends");
    machine
}

/// Whoever's manifest is applied next, nothing that persists is kept in the stage.
#[test]
fn a_map_that_persists_leaves_the_stage_when_the_update_is_taken_back() {
    let take_back: Run = |machine| {
        machine.apply(&persisting().replace(
            "[objects.firewall.maps.flows]",
            "[objects.firewall.maps.flows]\non-mismatch = \"replace\"",
        ))
    };
    counts_once_at_work(deployed_persisting, replace_persisting, take_back);
}

/// Programs and iterators persist too.
fn with_programs(text: &str) -> String {
    text.replace("pin = \"by-name\"", "pin = \"persist-on-exit\"")
}

fn deployed_with_programs() -> Machine {
    let machine = Machine::new();
    machine.apply(&with_programs(&persisting())).expect("applies");
    machine
}

/// An object has another name, and what persists another shape.
#[test]
fn an_object_that_is_renamed_can_be_applied_again_or_ended_after_a_kill() {
    let run: Run = |machine| {
        let renamed = replacing_persisting().replace("[objects.firewall", "[objects.wall");
        machine.apply(&with_programs(&renamed))
    };
    is_made_good(deployed_with_programs, run);
    for n in 0..undisturbed(deployed_with_programs, run).0 {
        let machine = killed(deployed_with_programs, run, n);
        end(&machine).unwrap_or_else(|error| panic!("after a kill at call {n}: {error:?}"));
    }
}

/// Something that persists has its pin in the end: a program, an iterator.
#[test]
fn a_program_that_persists_has_its_place_again_after_a_kill() {
    let run: Run = |machine| machine.apply(&with_programs(&replacing_persisting()));
    let paths =
        |machine: &Machine| machine.kernel.snapshot().pins.into_keys().collect::<BTreeSet<_>>();
    let machine = deployed_with_programs();
    end(&machine).expect("ends");
    let wanted = paths(&machine);
    for n in 0..undisturbed(deployed_with_programs, run).0 {
        let machine = killed(deployed_with_programs, run, n);
        end(&machine).unwrap_or_else(|error| panic!("after a kill at call {n}: {error:?}"));
        assert_eq!(paths(&machine), wanted, "after a kill at call {n}");
    }
}

#[test]
fn a_run_that_is_killed_twice_is_made_good_by_the_third() {
    /// Coprime to whatever the count of calls is likely to be.
    const STRIDE: usize = 11;
    let (calls, wanted) = undisturbed(deployed, apply_replacing);
    for first in 0..calls {
        for second in (first % STRIDE..calls).step_by(STRIDE) {
            let mut machine = killed(deployed, apply_replacing, first);
            machine.kernel.kill_at(second);
            // It may be done before it comes to that call.
            let _killed = catch_unwind(AssertUnwindSafe(|| apply_replacing(&machine)));
            machine.dies();
            apply_replacing(&machine).unwrap_or_else(|error| {
                panic!("after kills at calls {first} and {second}: {error:?}")
            });
            let when = format!("after kills at calls {first} and {second}");
            assert_shape(&machine.shape(), &wanted, &when);
        }
    }
}

#[test]
fn a_killed_run_is_seen_until_the_next() {
    let (calls, _) = undisturbed(deployed, apply_replacing);
    let machine = killed(deployed, apply_replacing, calls - 1);
    let interrupted = || {
        let all = machine.host().status(None).expect("readable");
        all[0].inventory.pending.is_some()
    };
    assert!(interrupted());
    let plan = machine.host().plan(desired(&replacing())).expect("observable");
    assert!(!plan.is_unchanged());
    apply_replacing(&machine).expect("applies");
    assert!(!interrupted());
}

/// What a host looks like, whatever ids it has given: a line for everything that can be seen.
pub(crate) type Shape = BTreeSet<String>;

/// Asserts that a host looks as it should, or says what differs.
#[track_caller]
pub(crate) fn assert_shape(found: &Shape, wanted: &Shape, when: &str) {
    let only = |one: &Shape, other: &Shape| one.difference(other).cloned().collect::<Vec<_>>();
    let (more, less) = (only(found, wanted), only(wanted, found));
    assert!(more.is_empty() && less.is_empty(), "{when}: too much: {more:#?}, missing: {less:#?}");
}

impl Machine {
    /// Writes an entry into every pinned hash map.
    fn write_entries(&self) {
        let all = self.host().status(None).expect("readable");
        let mut written = 0;
        for resource in all[0].inventory.resources.values() {
            let Resource::Map(map) = resource else { continue };
            if map.pin.is_some() && [MapType::HASH, MapType::LRU_HASH].contains(&map.shape.map_type)
            {
                let bytes = |size: u32| vec![7; usize::try_from(size).expect("a small size")];
                let (key, value) = (bytes(map.shape.key_size), bytes(map.shape.value_size));
                self.kernel.write_entry(map.id, &key, &value).expect("an entry");
                written += 1;
            }
        }
        assert_eq!(written, 4, "flows, what iterators show, and the shared `blocked` twice");
    }

    pub(crate) fn shape(&self) -> Shape {
        let snapshot = self.kernel.snapshot();
        let program = |value: &[u8]| {
            let id = value.try_into().map(u32::from_ne_bytes).unwrap_or_default();
            snapshot.programs.get(&id)
        };
        let describe = |text: &str| {
            let (kind, id) = text.split_once(' ').unwrap_or((text, "0"));
            let id: u32 = id.parse().unwrap_or(0);
            match kind {
                // The slots of a prog array hold ids.
                "map" => {
                    let entries = snapshot.maps[&id].iter();
                    let entries = entries.map(|(key, value)| match program(value) {
                        Some(program) => format!("{key:?}: {program}"),
                        None => format!("{key:?}: {value:?}"),
                    });
                    format!("map {{{}}}", entries.collect::<Vec<_>>().join(", "))
                }
                "program" => format!("program {:?}", snapshot.programs.get(&id)),
                "link" => {
                    let (program, target) = &snapshot.links[&id];
                    let program = snapshot.programs.get(program);
                    let LinkTarget::Map { id, attach_type } = target else {
                        return format!("link of {program:?} at {target:?}");
                    };
                    let map = format!("map {id}");
                    let mut pins = snapshot.pins.iter().filter(|(_, text)| **text == map);
                    let pin = pins.next().map(|(path, _)| path);
                    format!("link of {program:?} at {attach_type:?} of the map at {pin:?}")
                }
                other => other.to_owned(),
            }
        };
        let mut shape = Shape::new();
        for (path, text) in &snapshot.pins {
            shape.insert(format!("{}: {}", path.display(), describe(text)));
        }
        for (place, program) in &snapshot.filters {
            shape.insert(format!("filter {place:?}: {}", snapshot.programs[program]));
        }
        for ((map, hook), program) in &snapshot.kept {
            let map = format!("map {map}");
            let mut pins = snapshot.pins.iter().filter(|(_, text)| **text == map);
            let pin = pins.next().map(|(path, _)| path);
            shape.insert(format!("{pin:?} keeps {} ({hook})", snapshot.programs[program]));
        }
        for (index, members) in &snapshot.dispatchers {
            let called = members.iter().map(|(id, run)| (&snapshot.programs[id], run.describe()));
            shape.insert(format!("dispatcher {index}: {:?}", called.collect::<Vec<_>>()));
        }
        shape.insert(format!("clsact: {:?}", snapshot.clsact));
        shape.insert(format!("maps: {}", snapshot.maps.len()));
        shape.insert(format!("programs: {:?}", {
            let mut names: Vec<_> = snapshot.programs.values().collect();
            names.sort();
            names
        }));
        // Not how many BTFs: a map that stays keeps the one it was created with.
        shape.insert(format!("links: {}", snapshot.links.len()));
        let record = std::fs::read(self.directory.path().join("state/edge/inventory.json")).ok();
        if let Some(record) = record {
            let mut record: serde_json::Value = serde_json::from_slice(&record).expect("JSON");
            without_ids(&mut record);
            for (key, value) in record.as_object().expect("a table") {
                match value.as_object() {
                    Some(table) => shape.extend(
                        table.iter().map(|(name, value)| format!("record {key} {name}: {value}")),
                    ),
                    None => drop(shape.insert(format!("record {key}: {value}"))),
                }
            }
        }
        shape
    }
}

/// Takes out of a record what differs from run to run: ids, generations, and orders.
fn without_ids(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(table) => {
            table.remove("id");
            table.remove("generation");
            if let Some(held) = table.get_mut("held").and_then(|it| it.as_object_mut()) {
                held.remove("number");
            }
            if let Some(forgotten) = table.get_mut("forgotten").and_then(|it| it.as_object_mut()) {
                forgotten.values_mut().for_each(|identity| *identity = 0.into());
            }
            for list in ["directories", "root_directories"] {
                if let Some(list) = table.get_mut(list).and_then(|list| list.as_array_mut()) {
                    list.sort_by_key(ToString::to_string);
                }
            }
            table.values_mut().for_each(without_ids);
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(without_ids),
        _ => {}
    }
}
