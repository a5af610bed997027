//! Links of namespaces, maps and netfilter, and places among the programs of a hook.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ebpf_apply::kernel::Kernel;
use ebpf_apply::model::attach::{Attachment, Direction};
use ebpf_apply::model::kinds::{AttachType, LinkType};
use ebpf_apply::model::live::{LinkTarget, Occupant, TargetState};
use ebpf_apply::model::net_hook::{Neighbour, NetfilterAt, NetfilterFamily, Position};
use rustix::io::Errno;

use super::{Host, Loaded, load_only};

fn raw<T>(refused: ebpf_apply::kernel::Result<T>) -> Option<Errno> {
    refused.err().expect("it is refused").raw()
}

fn beside(position: Position) -> Attachment {
    let position = Some(position);
    Attachment::Tcx { interface: "net0".to_owned(), direction: Direction::Ingress, position }
}

fn attach_beside<K: Kernel>(
    host: &Host<'_, K>,
    loaded: &Loaded<K::Handle>,
    (program, other): (&str, &K::Handle),
) -> ebpf_apply::kernel::Result<K::Handle> {
    let own = Neighbour::Own { object: "tc".to_owned(), program: "other".to_owned() };
    let at = beside(Position::Before(own));
    let others = BTreeMap::from([("other", other)]);
    host.kernel.attach_with(loaded.program(program), loaded.spec(program), &at, &others)
}

pub(crate) fn a_program_is_put_beside_one_that_is_there<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let loaded = host.load("tc_counter");
    let there = host.attach(&loaded, "tc_count", &super::tcx(Direction::Ingress));
    let elsewhere = host.attach(&loaded, "tcx_egress", &super::tcx(Direction::Egress));
    assert_eq!(raw(attach_beside(host, &loaded, ("classify", &elsewhere))), Some(Errno::NOENT));
    let placed = attach_beside(host, &loaded, ("classify", &there)).expect("it is there");
    assert_eq!(host.link(&placed).program_id, kernel.id(loaded.program("classify")));

    let named = |name: &str| beside(Position::After(Neighbour::Named(name.to_owned())));
    let spec = loaded.spec("tcx_ingress");
    let program = loaded.program("tcx_ingress");
    assert!(kernel.attach(program, spec, &named("nonesuch")).is_err(), "nobody has this name");
    kernel.attach(program, spec, &named("tc_count")).expect("it is there");
}

pub(crate) fn a_namespace_runs_programs_of_its_sockets<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let at = Attachment::SkLookup { netns: None };
    let Ok(TargetState::Present(inode)) = kernel.target(&at) else { panic!("it is ours") };
    let loaded = load_only(kernel, "net_hooks", &["on_sk_lookup"]);
    let other = load_only(kernel, "net_hooks", &["on_sk_lookup"]);
    let link = host.attach(&loaded, "on_sk_lookup", &at);
    let live = host.link(&link);
    let attach_type = AttachType::SK_LOOKUP;
    assert_eq!(live.link_type, LinkType::NETNS);
    assert_eq!(live.target, LinkTarget::Netns { inode, attach_type });
    let program = "on_sk_lookup".to_owned();
    assert_eq!(kernel.occupants(&at), Ok(vec![Occupant::Linked { link: live, program }]));
    let [old, new] = [&loaded, &other].map(|loaded| loaded.program("on_sk_lookup"));
    assert_eq!(raw(kernel.update_link(&link, new, Some(new))), Some(Errno::PERM));
    kernel.update_link(&link, new, Some(old)).expect("it runs the old one");
    kernel.detach(&link).expect("detach");
    assert!(host.link(&link).is_severed());
    assert_eq!(raw(kernel.update_link(&link, old, None)), Some(Errno::NOLINK));
    let gone = Attachment::SkLookup { netns: Some(PathBuf::from("/run/netns/nonesuch")) };
    let Ok(TargetState::Missing { reason }) = kernel.target(&gone) else { panic!("it is not") };
    assert!(reason.contains("nonesuch"), "{reason}");
}

pub(crate) fn a_namespace_has_one_flow_dissector<K: Kernel>(host: &Host<'_, K>) {
    let at = Attachment::FlowDissector { netns: None };
    let loaded = load_only(host.kernel, "net_hooks", &["on_flow"]);
    let link = host.attach(&loaded, "on_flow", &at);
    assert_eq!(host.link(&link).link_type, LinkType::NETNS);
    let again = host.kernel.attach(loaded.program("on_flow"), loaded.spec("on_flow"), &at);
    assert_eq!(raw(again), Some(Errno::TOOBIG));
    drop(link);
    host.attach_once_free(&loaded, "on_flow", &at);
}

pub(crate) fn a_map_of_sockets_takes_one_program_of_a_kind<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let at = Attachment::Sockmap { object: "hooks".to_owned(), map: "sockets".to_owned() };
    let loaded = load_only(kernel, "net_hooks", &["on_msg", "on_parse"]);
    let map = loaded.maps.get("sockets").expect("the object has it");
    let others = BTreeMap::from([("sockets", map)]);
    let attach = |program: &str| {
        kernel.attach_with(loaded.program(program), loaded.spec(program), &at, &others)
    };
    let attach_type = AttachType::SK_MSG_VERDICT;
    let stranger = load_only(kernel, "net_hooks", &["on_msg"]);
    let kept = stranger.program("on_msg");
    kernel.keep(map, attach_type, kept, None).expect("nobody is there");
    assert_eq!(raw(attach("on_msg")), Some(Errno::BUSY), "the map keeps one by itself");
    assert_eq!(kernel.let_go(map, attach_type, kept), Ok(true), "it was not replaced");
    let link = attach("on_msg").expect("nobody is there");
    let live = host.link(&link);
    assert_eq!(
        raw(kernel.keep(map, attach_type, kept, Some(loaded.program("on_msg")))),
        Some(Errno::BUSY)
    );
    assert_eq!(raw(kernel.let_go(map, attach_type, kept)), Some(Errno::BUSY), "a link is there");
    assert_eq!(live.link_type, LinkType::SOCKMAP);
    assert_eq!(live.target, LinkTarget::Map { id: kernel.id(map), attach_type });
    assert_eq!(raw(attach("on_msg")), Some(Errno::BUSY));
    attach("on_parse").expect("it is of another kind");
    let other = load_only(kernel, "net_hooks", &["on_msg"]);
    kernel.update_link(&link, other.program("on_msg"), None).expect("it takes another");
    kernel.detach(&link).expect("detach");
    assert!(host.link(&link).is_severed());
    attach("on_msg").expect("nobody is there any more");
}

pub(crate) fn a_priority_of_netfilter_takes_one_program<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let (family, at, defrag) = (NetfilterFamily::Ipv6, NetfilterAt::Forward, false);
    let place = |priority| Attachment::Netfilter { family, at, priority, defrag };
    let loaded = load_only(kernel, "net_hooks", &["on_netfilter"]);
    let program = "on_netfilter";
    let link = host.attach(&loaded, program, &place(7));
    let live = host.link(&link);
    assert_eq!(live.link_type, LinkType::NETFILTER);
    assert_eq!(live.target, LinkTarget::Netfilter { family: 10, hook: 2, priority: 7 });
    let attach = |at| kernel.attach(loaded.program(program), loaded.spec(program), &at);
    assert_eq!(raw(attach(place(7))), Some(Errno::BUSY));
    attach(place(8)).expect("another priority");
    kernel.update_link(&link, loaded.program(program), None).expect_err("none takes another");
    kernel.detach(&link).expect("detach");
    kernel.detach(&link).expect("again is no harm");
    attach(place(7)).expect("its place is free");
}
