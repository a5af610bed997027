//! Programs that a map of sockets keeps without a link, as every kernel does.

use std::thread::sleep;
use std::time::Duration;

use ebpf_apply::kernel::Kernel;
use ebpf_apply::model::kinds::AttachType;
use ebpf_apply::model::socket_hook::Kept;
use rustix::io::Errno;

use super::{Host, Loaded, load_only, pin};

const MESSAGES: AttachType = AttachType::SK_MSG_VERDICT;

fn sockets<H>(loaded: &Loaded<H>) -> &H {
    loaded.maps.get("sockets").expect("the object has it")
}

/// That the map runs this program, as far as the kernel tells; whether it does.
#[track_caller]
fn runs<K: Kernel>(kernel: &K, map: &K::Handle, program: Option<(&K::Handle, &str)>) -> bool {
    let wanted = match program {
        Some((program, name)) => Kept::Program { id: kernel.id(program), name: name.to_owned() },
        None => Kept::Nothing,
    };
    match kernel.kept(map, MESSAGES).expect("the kernel is asked") {
        Kept::Untold => false,
        told => {
            assert_eq!(told, wanted);
            true
        }
    }
}

pub(crate) fn a_map_of_sockets_keeps_programs_without_links<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let loaded = load_only(kernel, "net_hooks", &["on_msg", "on_parse"]);
    let other = load_only(kernel, "net_hooks", &["on_msg"]);
    let (map, old, new) = (sockets(&loaded), loaded.program("on_msg"), other.program("on_msg"));
    runs(kernel, map, None);
    assert_eq!(kernel.let_go(map, MESSAGES, old), Ok(false), "it is not attached");
    kernel.keep(map, MESSAGES, old, None).expect("nobody is there");
    let is_told = runs(kernel, map, Some((old, "on_msg")));
    assert_eq!(kernel.let_go(map, MESSAGES, new), Ok(false), "another program is attached");
    let parser = AttachType::SK_SKB_STREAM_PARSER;
    kernel.keep(map, parser, loaded.program("on_parse"), None).expect("it is another hook");
    if is_told {
        kernel.keep(map, MESSAGES, new, None).expect_err("the other is there");
        kernel.keep(map, MESSAGES, new, Some(new)).expect_err("the other is there");
        runs(kernel, map, Some((old, "on_msg")));
    }
    kernel.keep(map, MESSAGES, new, Some(old)).expect("it takes the place of the other");
    runs(kernel, map, Some((new, "on_msg")));
    kernel.keep(map, MESSAGES, new, Some(new)).expect("again is no harm");
    assert_eq!(kernel.let_go(map, MESSAGES, old), Ok(false), "it lost its place");
    assert_eq!(kernel.let_go(map, MESSAGES, new), Ok(true));
    assert_eq!(kernel.let_go(map, MESSAGES, new), Ok(false), "it is detached");
    if runs(kernel, map, None) {
        kernel.keep(map, MESSAGES, new, Some(old)).expect_err("nothing is there");
    }
    let newest = AttachType::SK_SKB_VERDICT;
    let on_parse = loaded.program("on_parse");
    assert_eq!(
        kernel.let_go(map, newest, on_parse),
        Ok(false),
        "whether the kernel has that hook or not"
    );
    assert_eq!(kernel.let_go(map, parser, on_parse), Ok(true));
    let hits = loaded.maps.get("hits").expect("the object has it");
    kernel.keep(hits, MESSAGES, old, None).expect_err("it holds no sockets");
}

pub(crate) fn what_a_map_of_sockets_keeps_goes_with_it<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let root = host.root();
    let loaded = load_only(kernel, "net_hooks", &["on_msg"]);
    kernel.keep(sockets(&loaded), MESSAGES, loaded.program("on_msg"), None).expect("it is free");
    let program = kernel.id(loaded.program("on_msg"));
    kernel.pin(sockets(&loaded), &root, &pin("sockets")).expect("pin");
    // Whoever attached it is gone.
    drop(loaded);
    let again = kernel.open_program(program).expect("the map keeps it");
    let found = kernel.open(&root, &pin("sockets")).expect("open").and_then(|found| found.handle);
    let map = found.expect("it is pinned");
    runs(kernel, &map, Some((&again, "on_msg")));
    drop(again);
    kernel.unpin(&root, &pin("sockets")).expect("unpin");
    kernel.open_program(program).expect("the handle of the map keeps it");
    drop(map);
    let is_gone = || kernel.open_program(program).is_err();
    // The kernel lets go of a program once nobody can be running it.
    let waited = (0..500).any(|_| is_gone() || (sleep(Duration::from_millis(10)), false).1);
    assert!(waited, "nobody holds the map");
}

pub(crate) fn a_map_of_sockets_has_one_of_two_kinds_of_verdicts<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let loaded = load_only(kernel, "net_hooks", &["on_stream", "on_verdict"]);
    let map = sockets(&loaded);
    let streams = (AttachType::SK_SKB_STREAM_VERDICT, loaded.program("on_stream"));
    let verdicts = (AttachType::SK_SKB_VERDICT, loaded.program("on_verdict"));
    for ((hook, program), (rival, other)) in [(streams, verdicts), (verdicts, streams)] {
        kernel.keep(map, hook, program, None).expect("neither is there");
        let refused = kernel.keep(map, rival, other, None).expect_err("the other kind is there");
        assert_eq!(refused.raw(), Some(Errno::BUSY));
        assert_ne!(
            kernel.kept(map, rival).map(|kept| matches!(kept, Kept::Program { .. })),
            Ok(true)
        );
        assert_eq!(kernel.let_go(map, hook, program), Ok(true));
    }
}
