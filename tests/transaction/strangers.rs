//! What someone else pins while a run is under way.

use std::path::Path;

use ebpf_apply::apply::ApplyError;
use ebpf_apply::kernel::Kernel as _;
use ebpf_apply::kernel::fake::CallKind;
use ebpf_apply::model::identity::Identity;
use ebpf_apply::model::pin::{PinPath, PinRoot, SubPath};

use super::kills::{deployed_persisting, killed, replace_persisting, undisturbed};
use super::machine::{FIRST, Machine};

/// A public pin of a map, such that a program has the same id.
fn namesake(machine: &Machine) -> (PinPath, u32) {
    let record = machine.directory.path().join("state/edge/inventory.json");
    let record = std::fs::read_to_string(record).expect("a record");
    let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
    let programs = machine.kernel.snapshot().programs;
    let mut maps = record["resources"].as_object().expect("resources").values().filter_map(|it| {
        let (pin, id) = (it["pin"].as_str()?, u32::try_from(it["id"].as_u64()?).ok()?);
        let (directory, file) = pin.rsplit_once('/')?;
        let place = PinPath::public(&SubPath::new(directory).ok()?, file);
        (it["kind"] == "map" && programs.contains_key(&id)).then_some((place, id))
    });
    maps.next().expect("a map and a program have the same id")
}

/// The kernel counts programs and maps by themselves, so the id alone does not tell that the pin is
/// another's.
#[test]
fn a_program_in_place_of_a_map_of_the_same_id_goes_back_to_its_place() {
    let machine = Machine::new();
    machine.apply(FIRST).expect("applies");
    let (pin, id) = namesake(&machine);
    let root = PinRoot::new(Path::new("/sys/fs/bpf/edge")).expect("a legal root");
    let theirs = (root.clone(), pin.clone());
    machine.kernel.before(CallKind::Rename, move |kernel| {
        let (root, pin) = theirs;
        let program = kernel.open_program(id).expect("it lives");
        kernel.unpin(&root, &pin).expect("it was pinned");
        kernel.pin(&program, &root, &pin).expect("the place is free");
    });
    let Err(ApplyError::Failed(failure)) = machine.end(true) else { panic!("it was taken") };
    let said = failure.error.to_string();
    assert!(said.contains(&format!("program {id} was pinned there, not map {id}")), "{said}");
    let found = machine.kernel.open(&root, &pin).expect("open").expect("it is there");
    assert_eq!(found.object.identity(), Some(Identity::program(id)));

    // The next run sees it, and leaves it alone.
    machine.end(true).expect("ends");
    let found = machine.kernel.open(&root, &pin).expect("open").expect("it is there");
    assert_eq!(found.object.identity(), Some(Identity::program(id)));
}

/// A map that a killed run has put aside stays where it is while its place is taken.
#[test]
fn what_lies_at_the_place_of_a_map_that_was_put_aside_stays() {
    const HOME: &str = "/sys/fs/bpf/edge/fw/flows";
    const STAGE: &str = "/sys/fs/bpf/edge/~stage/edge/0";
    let at = |machine: &Machine, path: &str| {
        machine.kernel.snapshot().pins.get(Path::new(path)).cloned()
    };
    let before = at(&deployed_persisting(), HOME);
    let (calls, _) = undisturbed(deployed_persisting, replace_persisting);
    let is_put_aside = |machine: &Machine| at(machine, STAGE) == before;
    let machine = (0..calls)
        .map(|n| killed(deployed_persisting, replace_persisting, n))
        .find(is_put_aside)
        .expect("it is put aside once");

    let root = PinRoot::new(Path::new("/sys/fs/bpf/edge")).expect("a legal root");
    let home = PinPath::public(&SubPath::new("fw").expect("a legal path"), "flows");
    let (id, _) = machine.kernel.snapshot().programs.pop_first().expect("one lives");
    let program = machine.kernel.open_program(id).expect("it lives");
    machine.kernel.unpin(&root, &home).expect("it was pinned");
    machine.kernel.pin(&program, &root, &home).expect("the place is free");
    let theirs = at(&machine, HOME);

    machine.end(false).expect("ends");
    assert_eq!((at(&machine, HOME), at(&machine, STAGE)), (theirs.clone(), before));
    machine.end(true).expect("ends");
    assert_eq!((at(&machine, HOME), at(&machine, STAGE)), (theirs, None));
}
