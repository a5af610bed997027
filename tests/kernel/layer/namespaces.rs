//! Interfaces of two network namespaces that have the same index, and what is attached to each.

use ebpf_apply::kernel::Kernel;
use ebpf_apply::kernel::linux::{Handle, Linux};
use ebpf_apply::model::attach::{Attachment, Direction, XdpMode};
use ebpf_apply::model::live::{Occupant, TargetState};

use super::running::attach_to_tcx;
use crate::contract::{Loaded, image, load};
use crate::features::{TCX, lacks};
use crate::host::bpftool;
use crate::sandbox::Sandbox;

fn xdp(mode: XdpMode) -> Attachment {
    Attachment::Xdp { interface: "net0".to_owned(), mode }
}

fn tcx() -> Attachment {
    let direction = Direction::Ingress;
    Attachment::Tcx { interface: "net0".to_owned(), direction, position: None }
}

fn attach(loaded: &Loaded<Handle>, program: &str, at: &Attachment) -> Handle {
    let link = Linux::new().attach(loaded.program(program), loaded.spec(program), at);
    link.unwrap_or_else(|error| panic!("{error} ({:?})", error.advice))
}

fn index() -> u64 {
    match Linux::new().target(&tcx()) {
        Ok(TargetState::Present(index)) => index,
        other => panic!("{other:?}"),
    }
}

/// Runs `test` in another network namespace, where `net0` has the same index.
fn elsewhere(test: impl FnOnce() + Send) {
    let here = index();
    Sandbox::run(|sandbox| {
        sandbox.wire("net0", "net1");
        assert_eq!(index(), here);
        test();
    });
}

/// The links among the occupants of a hook.
fn linked(at: &Attachment) -> Vec<u32> {
    let all = Linux::new().occupants(at).expect("occupants");
    let id = |occupant: &Occupant| match occupant {
        Occupant::Linked { link, .. } => link.id,
        other => panic!("{other:?}"),
    };
    all.iter().map(id).collect()
}

#[test]
fn a_link_occupies_its_own_interface_only() {
    if lacks(&[TCX]) {
        return;
    }
    Sandbox::run(|sandbox| {
        sandbox.wire("net0", "net1");
        let (filter, classifier) =
            (load(&Linux::new(), "shape_a"), load(&Linux::new(), "tc_counter"));
        let places = [(&filter, "count_a", xdp(XdpMode::Auto)), (&classifier, "tc_count", tcx())];
        let links: Vec<Handle> =
            places.iter().map(|(loaded, program, at)| attach(loaded, program, at)).collect();
        elsewhere(|| {
            for at in [xdp(XdpMode::Auto), tcx()] {
                assert!(linked(&at).is_empty(), "{at}");
            }
            let own = load(&Linux::new(), "shape_a");
            let link = attach(&own, "count_a", &xdp(XdpMode::Auto));
            assert_eq!(linked(&xdp(XdpMode::Auto)), [Linux::new().id(&link)]);
        });
        for ((.., at), link) in places.iter().zip(&links) {
            assert_eq!(linked(at), [Linux::new().id(link)], "{at}");
        }
    });
}

/// Attaches the program with that id, which was loaded elsewhere.
fn attach_by_id(program: u32, spec: (&str, &str), at: &Attachment) -> Handle {
    let kernel = Linux::new();
    let program = kernel.open_program(program).expect("it lives");
    let image = image(spec.0);
    kernel.attach(&program, image.spec.program(spec.1).expect("it has one"), at).expect("attach")
}

#[test]
fn links_of_one_program_at_one_index_are_not_told_apart_for_xdp_and_are_for_tcx() {
    if lacks(&[TCX]) {
        return;
    }
    Sandbox::run(|sandbox| {
        let kernel = Linux::new();
        sandbox.wire("net0", "net1");
        let (filter, classifier) = (load(&kernel, "shape_a"), load(&kernel, "tc_counter"));
        let programs =
            [kernel.id(filter.program("count_a")), kernel.id(classifier.program("tc_count"))];
        let (on_xdp, on_tcx) = (
            attach(&filter, "count_a", &xdp(XdpMode::Auto)),
            attach(&classifier, "tc_count", &tcx()),
        );
        let here = [kernel.id(&on_xdp), kernel.id(&on_tcx)];
        elsewhere(|| {
            let kernel = Linux::new();
            let spec = ("shape_a", "count_a");
            let on_xdp = attach_by_id(programs[0], spec, &xdp(XdpMode::Auto));
            let on_tcx = attach_by_id(programs[1], ("tc_counter", "tc_count"), &tcx());
            assert_eq!(linked(&tcx()), [kernel.id(&on_tcx)]);
            let occupants = kernel.occupants(&xdp(XdpMode::Auto)).expect("occupants");
            let mut links = vec![here[0], kernel.id(&on_xdp)];
            links.sort_unstable();
            let program = "count_a".to_owned();
            assert_eq!(occupants, [Occupant::Unproven { program_id: programs[0], program, links }]);
        });
        assert_eq!(linked(&xdp(XdpMode::Auto)), [here[0]], "the other has gone");
        assert_eq!(linked(&tcx()), [here[1]]);
    });
}

/// The other namespace has the only link of this program at this index, and here netlink attached it.
#[test]
fn a_program_of_netlink_is_not_mistaken_for_the_link_of_another_namespace() {
    Sandbox::run(|sandbox| {
        sandbox.wire("net0", "net1");
        let loaded = load(&Linux::new(), "shape_a");
        let program_id = Linux::new().id(loaded.program("count_a"));
        for (mode, word) in [(XdpMode::Native, "xdpdrv"), (XdpMode::Generic, "xdpgeneric")] {
            let link = attach(&loaded, "count_a", &xdp(mode));
            elsewhere(|| {
                bpftool(&["net", "attach", word, "id", &program_id.to_string(), "dev", "net0"]);
                let free = Some(format!("ip link set dev net0 {word} off"));
                let program = "count_a".to_owned();
                let bare = Occupant::Bare { program_id, program, free };
                for asked in [XdpMode::Auto, mode] {
                    let occupants = Linux::new().occupants(&xdp(asked));
                    assert_eq!(occupants, Ok(vec![bare.clone()]), "{asked:?}");
                }
            });
            // Driver and stack share one place, and the card has its own.
            for asked in [XdpMode::Auto, XdpMode::Native, XdpMode::Generic] {
                assert_eq!(linked(&xdp(asked)), [Linux::new().id(&link)], "{word}");
            }
            assert!(linked(&xdp(XdpMode::Offload)).is_empty(), "{word}");
        }
    });
}

#[test]
fn what_tcx_runs_without_a_link_is_told_beside_its_links() {
    if lacks(&[TCX]) {
        return;
    }
    Sandbox::run(|sandbox| {
        sandbox.wire("net0", "net1");
        let kernel = Linux::new();
        let [linked, bare] = [(), ()].map(|()| load(&kernel, "tc_counter"));
        let link = attach(&linked, "tc_count", &tcx());
        let index = u32::try_from(index()).expect("an index");
        attach_to_tcx(bare.program("classify"), index, Direction::Ingress);
        let occupants = kernel.occupants(&tcx()).expect("occupants");
        let program_id = kernel.id(bare.program("classify"));
        let bare = Occupant::Bare { program_id, program: "classify".to_owned(), free: None };
        assert_eq!(occupants.len(), 2, "{occupants:?}");
        assert!(
            matches!(&occupants[0], Occupant::Linked { link: found, .. } if found.id == kernel.id(&link)),
            "{occupants:?}"
        );
        assert_eq!(occupants[1], bare);
    });
}
