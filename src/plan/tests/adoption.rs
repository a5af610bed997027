//! Who is at the place of an attachment, and whether that is taken, kept or passed by.

use super::*;
use crate::model::attach::Direction;
use crate::model::live::Occupant;

fn tcx() -> Attachment {
    let direction = Direction::Ingress;
    Attachment::Tcx { interface: "eth0".to_owned(), direction, position: None }
}

/// One program at one place, where `occupant` is.
fn beside(at: Attachment, occupant: Occupant) -> (Host, Desired) {
    let mut host = Host::empty();
    host.live.targets.insert(at.clone(), TargetState::Present(2));
    host.live.occupants.insert(at.clone(), vec![occupant]);
    (host, desired(vec![object("fw", vec![], vec![program("filter", vec![at])])]))
}

fn adopt(host: &Host, wanted: &Desired) -> Plan {
    plan(wanted, &host.live, &host.inventory, Adoption::Foreign)
}

fn unproven() -> Occupant {
    Occupant::Unproven { program_id: 12, program: "theirs".to_owned(), links: vec![3, 7] }
}

#[test]
fn a_link_that_may_be_another_namespaces_is_refused_with_all_that_it_may_be() {
    let (host, wanted) = beside(xdp("eth0"), unproven());
    let refused = adopt(&host, &wanted);
    assert!(refused.is_refused() && refused.steps.is_empty());
    let said = reason(&refused, "link.fw.filter[xdp:eth0]");
    for text in ["links 3, 7", "program 12 (`theirs`)", "network namespaces"] {
        assert!(said.contains(text), "{said}");
    }
    assert!(!host.plan(&wanted).is_refused(), "only an adoption looks at it");
}

#[test]
fn at_a_shared_hook_only_a_program_of_the_same_name_keeps_its_place() {
    let bare =
        |program: &str| Occupant::Bare { program_id: 12, program: program.to_owned(), free: None };
    let (host, wanted) = beside(tcx(), bare("other"));
    assert!(!adopt(&host, &wanted).is_refused());
    let (host, wanted) = beside(tcx(), bare("filter"));
    let refused = adopt(&host, &wanted);
    let said = reason(&refused, "link.fw.filter[tcx:eth0:ingress]");
    assert!(refused.is_refused() && said.contains("whoever attached it"), "{said}");
}
