//! XDP programs that a dispatcher calls.

use std::collections::BTreeSet;

use ebpf_apply::kernel::{Dispatching, Joining, Kernel, LoadRequest, Replaced};
use ebpf_apply::model::attach::XdpMode;
use ebpf_apply::model::dispatch::{FUNCTION, Run, XdpAction};
use ebpf_apply::model::kinds::ProgramType;
use ebpf_apply::model::live::{LiveObject, TargetState};
use rustix::io::Errno;

use super::{Host, image, load, pin, xdp};

/// A program of `shared`, loaded to be called.
fn member<K: Kernel>(kernel: &K, name: &str) -> K::Handle {
    let image = image("shared");
    let btf = kernel.load_btf(&image).expect("load BTF").expect("it has some");
    let maps = super::create_maps(kernel, &image, Some(&btf));
    let program = image.spec.programs.iter().find(|program| program.name == name);
    let request = LoadRequest {
        image: &image,
        programs: vec![program.expect("a program")],
        maps: maps.iter().map(|(name, map)| (name.as_str(), map)).collect(),
        btf: Some(&btf),
    };
    let dispatcher = kernel.load_dispatcher().expect("load a dispatcher");
    let replaced = Replaced { program: &dispatcher, function: FUNCTION };
    kernel.load_replacement(&request, &replaced).expect("load a program for it")
}

/// Which programs are called on the host's interface, each with its priority.
fn called<K: Kernel>(host: &Host<'_, K>) -> Vec<(u32, u32)> {
    let live = host.kernel.dispatcher(index(host)).expect("look at the dispatcher");
    let members = live.into_iter().flat_map(|live| live.members);
    members.map(|member| (member.program_id, member.run.priority)).collect()
}

fn index<K: Kernel>(host: &Host<'_, K>) -> u32 {
    let Ok(TargetState::Present(index)) = host.kernel.target(&xdp()) else {
        panic!("the host has it")
    };
    u32::try_from(index).expect("32 bits")
}

fn change<K: Kernel>(
    host: &Host<'_, K>,
    add: &[(&K::Handle, Run)],
    remove: &[&K::Handle],
) -> ebpf_apply::kernel::Result<()> {
    let joining = |(program, run)| Joining { program, run, frags: false };
    host.kernel.dispatch(&Dispatching {
        interface: "net0",
        index: index(host),
        mode: XdpMode::Generic,
        add: add.iter().map(|(program, run)| joining((*program, run))).collect(),
        remove: remove.to_vec(),
        sweep: BTreeSet::new(),
    })
}

fn at(priority: u32) -> Run {
    Run { priority, chain_actions: [XdpAction::Pass, XdpAction::Drop].into() }
}

pub(crate) fn a_dispatcher_calls_several_programs_in_order<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let (early, late) = (member(kernel, "early"), member(kernel, "late"));
    let [first, second] = [&early, &late].map(|program| kernel.id(program));
    assert_eq!(called(host), []);
    change(host, &[(&late, at(7)), (&early, at(7))], &[]).expect("call both");
    assert_eq!(called(host), [(first, 7), (second, 7)], "by name");
    let live = kernel.dispatcher(index(host)).expect("readable").expect("it is there");
    assert!(live.members.iter().all(|member| member.run == at(7) && !member.frags));

    // In another way, which is no second call.
    change(host, &[(&late, at(3))], &[]).expect("call it earlier");
    assert_eq!(called(host), [(second, 3), (first, 7)]);

    // One that shall go and is not there is no error.
    change(host, &[], &[&late]).expect("call one of them");
    change(host, &[], &[&late]).expect("it is as it shall be");
    assert_eq!(called(host), [(first, 7)]);
    change(host, &[(&late, at(9))], &[&early]).expect("call the other");
    assert_eq!(called(host), [(second, 9)]);
    change(host, &[], &[&late]).expect("call nothing");
    assert_eq!(called(host), []);

    // With the last program it went, so that one alone has room.
    let small = host.load("bench_small");
    let link = host.attach(&small, "count_packets", &xdp());
    let error = change(host, &[(&early, at(7))], &[]).expect_err("the interface is taken");
    assert!(!error.to_string().is_empty());
    change(host, &[], &[&early]).expect("it is not there");
    drop(link);
}

pub(crate) fn a_dispatcher_keeps_what_it_calls<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let early = member(kernel, "early");
    let root = super::root();
    kernel.make_root(&root).expect("make the root");
    kernel.pin(&early, &root, &pin("early")).expect("pin");
    match host.look(&root, &pin("early")) {
        LiveObject::Program(program) => assert_eq!(program.program_type, ProgramType::EXT),
        other => panic!("{other:?}"),
    }
    kernel.unpin(&root, &pin("early")).expect("unpin");
    change(host, &[(&early, Run::default())], &[]).expect("call it");
    let id = kernel.id(&early);
    drop(early);
    assert_eq!(called(host), [(id, 50)]);
    let found = kernel.open_program(id).expect("the dispatcher has it");
    let small = load(kernel, "bench_small");
    let error = kernel
        .attach(small.program("count_packets"), small.spec("count_packets"), &xdp())
        .map(drop)
        .expect_err("the interface is taken");
    assert_eq!(error.raw(), Some(Errno::BUSY));
    change(host, &[], &[&found]).expect("call nothing");
    assert_eq!(called(host), []);
}
