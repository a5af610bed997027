//! Each kind of object has its own ids: what has the id on record and is of another kind is another's.

use super::*;

#[test]
fn a_forgotten_map_is_not_the_program_with_its_id() {
    let mut host = Host::empty();
    host.carry_out(&firewall());
    host.carry_out(&desired(vec![]));
    let identity = host.inventory.forgotten[&path("state")];
    assert_eq!(identity, Identity::map(identity.id));
    assert!(
        steps(&end(&host.live, &host.inventory, true)).contains(&"retire pin state".to_owned())
    );

    host.live.pins.insert(path("state"), live_program(identity.id));
    let purge = end(&host.live, &host.inventory, true);
    assert!(!steps(&purge).iter().any(|step| step.contains("pin state")), "{:?}", steps(&purge));
    let states = drift(&host.inventory, &host.live);
    let state = states.iter().find(|status| status.kind == "pin").expect("it is on record");
    assert_eq!(state.state, ResourceState::Foreign);
    let again = host.plan(&firewall());
    assert!(again.is_refused(), "a map cannot take its place: {:#?}", again.changes);
}
