//! Links.

use std::path::PathBuf;

use ebpf_apply::kernel::{Kernel, LoadRequest, Replaced};
use ebpf_apply::model::attach::{Attachment, Direction, XdpMode};
use ebpf_apply::model::kinds::{AttachType, LinkType};
use ebpf_apply::model::live::{LinkTarget, Occupant, TargetState};
use rustix::io::Errno;

use super::{Host, create_maps, image, pin, tcx, xdp};

fn index<K: Kernel>(host: &Host<'_, K>) -> u32 {
    match host.kernel.target(&xdp()).expect("look for a target") {
        TargetState::Present(index) => u32::try_from(index).expect("an index"),
        TargetState::Missing { reason } => panic!("{reason}"),
    }
}

pub(crate) fn an_interface_takes_one_xdp_program<K: Kernel>(host: &Host<'_, K>) {
    let (one, other) = (host.load("shape_a"), host.load("shape_b"));
    let link = host.attach(&one, "count_a", &xdp());
    let live = host.link(&link);
    assert_eq!(live.id, host.kernel.id(&link));
    assert_eq!(live.link_type, LinkType::XDP);
    assert_eq!(live.program_id, host.kernel.id(one.program("count_a")));
    assert_eq!(live.target, LinkTarget::Interface { index: index(host), attach_type: None });
    let refused = host.kernel.attach(other.program("count_b"), other.spec("count_b"), &xdp()).err();
    assert_eq!(refused.and_then(|error| error.raw()), Some(Errno::BUSY));
    drop(link);
    host.attach_once_free(&other, "count_b", &xdp());
}

pub(crate) fn links_are_updated_if_they_run_the_old_program<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let (one, other) = (host.load("shape_a"), host.load("shape_b"));
    let (old, new) = (one.program("count_a"), other.program("count_b"));
    let link = host.attach(&one, "count_a", &xdp());
    let error = kernel.update_link(&link, new, Some(new)).expect_err("it runs the other");
    assert_eq!(error.raw(), Some(Errno::PERM));
    assert_eq!(host.link(&link).program_id, kernel.id(old));
    kernel.update_link(&link, new, Some(old)).expect("it runs the old one");
    assert_eq!(host.link(&link).program_id, kernel.id(new));
    kernel.update_link(&link, old, None).expect("whatever it runs");
    assert_eq!(host.link(&link).program_id, kernel.id(old));
    let error = kernel.update_link(old, new, None).expect_err("a program is no link");
    assert_eq!(error.raw(), Some(Errno::INVAL));
}

pub(crate) fn a_link_dies_with_its_last_reference<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let root = host.root();
    let loaded = host.load("shape_a");
    let busy = || {
        let tried = kernel.attach(loaded.program("count_a"), loaded.spec("count_a"), &xdp());
        tried.err().and_then(|error| error.raw()) == Some(Errno::BUSY)
    };
    let link = host.attach(&loaded, "count_a", &xdp());
    kernel.pin(&link, &root, &pin("l")).expect("pin");
    drop(link);
    assert!(busy(), "the pin keeps it");
    let held = kernel.open(&root, &pin("l")).expect("open").expect("it is pinned");
    kernel.unpin(&root, &pin("l")).expect("unpin");
    assert!(busy(), "the handle keeps it");
    drop(held);
    assert!(!busy(), "it went before the drop returned");
}

pub(crate) fn tcx_takes_several_programs<K: Kernel>(host: &Host<'_, K>) {
    let loaded = host.load("tc_counter");
    let links: Vec<K::Handle> = ["tcx_ingress", "tc_count", "classify"]
        .iter()
        .map(|program| host.attach(&loaded, program, &tcx(Direction::Ingress)))
        .collect();
    for link in &links {
        let live = host.link(link);
        assert_eq!(live.link_type, LinkType::TCX);
        let attach_type = Some(AttachType::TCX_INGRESS);
        assert_eq!(live.target, LinkTarget::Interface { index: index(host), attach_type });
    }
    let (program, spec) = (loaded.program("tc_count"), loaded.spec("tc_count"));
    let again = host.kernel.attach(program, spec, &tcx(Direction::Ingress)).err();
    assert_eq!(again.and_then(|error| error.raw()), Some(Errno::EXIST), "it is there already");
    host.attach(&loaded, "tc_count", &tcx(Direction::Egress));
    let update =
        host.kernel.update_link(&links[0], program, None).expect_err("it is there already");
    assert_eq!(update.raw(), Some(Errno::EXIST));
}

pub(crate) fn cgroups_take_several_programs<K: Kernel>(host: &Host<'_, K>) {
    let loaded = host.load("cgroup_guard");
    let at = Attachment::Cgroup { path: host.cgroup.clone() };
    let TargetState::Present(id) = host.kernel.target(&at).expect("look for a target") else {
        panic!("the cgroup is there")
    };
    let links: Vec<K::Handle> = ["count_egress", "count_egress", "guard_connect4"]
        .iter()
        .map(|program| host.attach(&loaded, program, &at))
        .collect();
    let attach_types = [
        AttachType::CGROUP_INET_EGRESS,
        AttachType::CGROUP_INET_EGRESS,
        AttachType::CGROUP_INET4_CONNECT,
    ];
    for (link, attach_type) in links.iter().zip(attach_types) {
        let live = host.link(link);
        assert_eq!(live.link_type, LinkType::CGROUP);
        assert_eq!(live.target, LinkTarget::Cgroup { id, attach_type });
    }
}

pub(crate) fn a_program_for_one_hook_is_not_put_at_another<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let guard = host.load("cgroup_guard");
    let at = Attachment::Cgroup { path: host.cgroup.clone() };
    let link = host.attach(&guard, "count_egress", &at);
    kernel.update_link(&link, guard.program("count_ingress"), None).expect_err("another hook");

    let counter = host.load("tc_counter");
    let link = host.attach(&counter, "tcx_ingress", &tcx(Direction::Ingress));
    kernel.update_link(&link, counter.program("tcx_egress"), None).expect_err("another hook");
    kernel.update_link(&link, counter.program("tc_count"), None).expect("made for no hook");
}

pub(crate) fn links_of_tracepoints_are_not_updated<K: Kernel>(host: &Host<'_, K>) {
    let loaded = host.load("exec_trace");
    let execve = Attachment::Tracepoint {
        category: "syscalls".to_owned(),
        name: "sys_enter_execve".to_owned(),
        cookie: None,
    };
    let exec = "sched_process_exec".to_owned();
    let places = [
        ("enter_execve", LinkType::PERF_EVENT, execve, "sys_enter_execve"),
        (
            "raw_exec",
            LinkType::RAW_TRACEPOINT,
            Attachment::RawTracepoint { name: exec.clone(), cookie: None },
            "sched_process_exec",
        ),
        (
            "typed_exec",
            LinkType::RAW_TRACEPOINT,
            Attachment::TpBtf { name: exec, cookie: None },
            "sched_process_exec",
        ),
    ];
    for (program, link_type, at, name) in places {
        assert_eq!(host.kernel.target(&at), Ok(TargetState::Present(0)), "{at}");
        let link = host.attach(&loaded, program, &at);
        let live = host.link(&link);
        assert_eq!(live.link_type, link_type, "{at}");
        assert_eq!(live.target, LinkTarget::Tracepoint { name: Some(name.to_owned()) }, "{at}");
        let error = host
            .kernel
            .update_link(&link, loaded.program(program), None)
            .expect_err("such links take no other program");
        assert_eq!(error.raw(), Some(Errno::INVAL), "{at}");
    }
}

pub(crate) fn a_severed_link_says_so<K: Kernel>(host: &Host<'_, K>) {
    let loaded = host.load("shape_a");
    let link = host.attach(&loaded, "count_a", &xdp());
    assert!(!host.link(&link).is_severed());
    let before = index(host);
    (host.renew_interface)();
    assert_ne!(index(host), before);
    assert!(host.link(&link).is_severed());
    let error = host
        .kernel
        .update_link(&link, loaded.program("count_a"), None)
        .expect_err("there is nothing to run on");
    assert_eq!(error.raw(), Some(Errno::NOLINK));
    host.attach(&loaded, "count_a", &xdp());
}

pub(crate) fn a_detached_link_leaves_its_place<K: Kernel>(host: &Host<'_, K>) {
    let loaded = host.load("shape_a");
    let link = host.attach(&loaded, "count_a", &xdp());
    host.kernel.detach(&link).expect("detach");
    assert!(host.link(&link).is_severed());
    host.attach(&loaded, "count_a", &xdp());
    let error = host
        .kernel
        .update_link(&link, loaded.program("count_a"), None)
        .expect_err("there is nothing to run on");
    assert_eq!(error.raw(), Some(Errno::NOLINK));

    let traced = host.load("exec_trace");
    let at = Attachment::RawTracepoint { name: "sched_process_exec".to_owned(), cookie: None };
    let link = host.attach(&traced, "raw_exec", &at);
    let error = host.kernel.detach(&link).expect_err("it ends with its last reference");
    assert_eq!(error.raw(), Some(Errno::OPNOTSUPP));
}

pub(crate) fn missing_targets_are_told<K: Kernel>(host: &Host<'_, K>) {
    let places = [
        Attachment::Xdp { interface: "nonesuch".to_owned(), mode: XdpMode::Auto },
        Attachment::Cgroup { path: PathBuf::from("/sys/fs/nonesuch") },
        Attachment::Tracepoint {
            category: "syscalls".to_owned(),
            name: "nonesuch".to_owned(),
            cookie: None,
        },
    ];
    for at in places {
        let state = host.kernel.target(&at).expect("look for a target");
        let TargetState::Missing { reason } = state else { panic!("{at} is there") };
        assert!(reason.contains("nonesuch"), "{reason}");
    }
    let loaded = host.load("shape_a");
    let at = Attachment::Xdp { interface: "nonesuch".to_owned(), mode: XdpMode::Auto };
    let refused = host.kernel.attach(loaded.program("count_a"), loaded.spec("count_a"), &at);
    assert_eq!(refused.err().and_then(|error| error.raw()), Some(Errno::NODEV));
}

pub(crate) fn whoever_is_attached_is_found_and_opened<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let named = |program: &str, link: &K::Handle| Occupant::Linked {
        link: host.link(link),
        program: program.to_owned(),
    };
    assert_eq!(kernel.occupants(&xdp()), Ok(vec![]));
    let one = host.load("shape_a");
    let link = host.attach(&one, "count_a", &xdp());
    assert_eq!(kernel.occupants(&xdp()), Ok(vec![named("count_a", &link)]));

    let (id, program) = (kernel.id(&link), kernel.id(one.program("count_a")));
    let again = kernel.open_link(id).expect("it lives");
    assert_eq!(kernel.id(&again), id);
    drop(link);
    assert_eq!(kernel.occupants(&xdp()).map(|all| all.len()), Ok(1), "the second handle keeps it");
    let running = kernel.open_program(program).expect("it lives");
    let other = host.load("shape_b");
    kernel.update_link(&again, other.program("count_b"), Some(&running)).expect("it runs that");
    assert_eq!(kernel.occupants(&xdp()), Ok(vec![named("count_b", &again)]));
    drop(again);
    assert_eq!(kernel.occupants(&xdp()), Ok(vec![]));
    let error = kernel.open_link(id).err().expect("it has gone");
    assert_eq!(error.raw(), Some(Errno::NOENT));

    let guard = host.load("cgroup_guard");
    let at = Attachment::Cgroup { path: host.cgroup.clone() };
    let links: Vec<K::Handle> = ["count_egress", "guard_connect4"]
        .iter()
        .map(|program| host.attach(&guard, program, &at))
        .collect();
    assert_eq!(
        kernel.occupants(&at),
        Ok(vec![named("count_egress", &links[0]), named("guard_connect4", &links[1])])
    );
    let exec = Attachment::TpBtf { name: "sched_process_exec".to_owned(), cookie: None };
    assert_eq!(kernel.occupants(&exec), Ok(vec![]), "such links are not updated");
}

pub(crate) fn a_function_of_a_pinned_program_is_replaced_once<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let root = host.root();
    let path = root.join(&pin("theirs"));
    let at = Attachment::FreplacePinned { pin: path.clone(), function: "verdict".to_owned() };
    let missing = kernel.target(&at).expect("look for a target");
    assert!(matches!(missing, TargetState::Missing { .. }), "{missing:?}");
    kernel.open_pinned(&path).err().expect("nothing is pinned there");

    let theirs = host.load("replaceable");
    let replaced = theirs.program("dispatch");
    kernel.pin(replaced, &root, &pin("theirs")).expect("pin");
    let id = kernel.id(replaced);
    assert_eq!(kernel.target(&at), Ok(TargetState::Present(u64::from(id))));
    assert_eq!(kernel.open_pinned(&path).map(|found| kernel.id(&found)), Ok(id));

    let image = image("replacement");
    let btf = kernel.load_btf(&image).expect("load BTF");
    let maps = create_maps(kernel, &image, btf.as_ref());
    let spec = image.spec.program("instead").expect("the object has it");
    let request = LoadRequest {
        image: &image,
        programs: vec![spec],
        maps: maps.iter().map(|(name, map)| (name.as_str(), map)).collect(),
        btf: btf.as_ref(),
    };
    let instead = kernel
        .load_replacement(&request, &Replaced { program: replaced, function: "verdict" })
        .expect("load a replacement");
    let attach = || kernel.attach(&instead, spec, &at);
    let link = attach().expect("attach");
    let live = host.link(&link);
    assert_eq!((live.link_type, live.program_id), (LinkType::TRACING, kernel.id(&instead)));
    // Before Linux 5.13 a link does not say whose function it replaces.
    assert!([LinkTarget::Program { id }, LinkTarget::Other].contains(&live.target), "{live:?}");
    let busy = attach().err().and_then(|error| error.raw());
    assert_eq!(busy, Some(Errno::BUSY), "a function is replaced once");
    kernel.update_link(&link, &instead, None).expect_err("such links are not updated");

    // A program that was attached can be attached again.
    kernel.pin(&link, &root, &pin("l")).expect("pin");
    kernel.release_link(link, &root, &pin("l")).expect("nobody else holds it");
    assert!(kernel.open(&root, &pin("l")).expect("look").is_none());
    attach().expect("attach again");
}
