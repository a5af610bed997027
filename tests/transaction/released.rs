//! Attachments that go before the next come: functions of someone else's program, and structs of
//! operations that the kernel does not swap.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ebpf_apply::apply::ApplyError;
use ebpf_apply::kernel::Kernel as _;
use ebpf_apply::kernel::LoadRequest;
use ebpf_apply::kernel::fake::Killed;
use ebpf_apply::model::pin::{PinPath, PinRoot, SubPath};
use ebpf_apply::object::Image;
use rustix::io::Errno;

use crate::machine::Machine;
use crate::support;

/// Whose names the manifests use, built before they are read.
const OBJECTS: [&str; 4] = ["congestion", "congestion_other", "replacement", "replacement_other"];

const LINKED: &str = r#"
version = 1
name = "edge"
pin-root = "/sys/fs/bpf/edge"

[objects.cc]
path = "congestion.bpf.o"

[objects.cc.programs.linked]
attach = [{ hook = "struct-ops" }]

[objects.extra]
path = "replacement.bpf.o"

[objects.extra.programs.instead]
attach = [{ hook = "freplace", program = "/sys/fs/bpf/theirs/dispatch" }]
"#;

/// The same, with one that is registered without a link.
fn first() -> String {
    format!("{LINKED}\n[objects.cc.programs.plain]\nattach = [{{ hook = \"struct-ops\" }}]\n")
}

fn second(text: &str) -> String {
    text.replace("congestion.bpf.o", "congestion_other.bpf.o")
        .replace("replacement.bpf.o", "replacement_other.bpf.o")
}

/// A host where someone else keeps a program pinned.
fn machine() -> Machine {
    for name in OBJECTS {
        support::object(name);
    }
    let machine = Machine::new();
    let kernel = &machine.kernel;
    let path = support::object("replaceable");
    let bytes = std::fs::read(&path).expect("an object");
    let image = Image::new(path, bytes).expect("an object");
    let programs = image.spec.programs.iter().collect();
    let request = LoadRequest { image: &image, programs, maps: [].into(), btf: None };
    let loaded = kernel.load_programs(&[request]).expect("loads");
    let root = PinRoot::new(Path::new("/sys/fs/bpf/theirs")).expect("a legal root");
    kernel.make_root(&root).expect("make a root");
    let pin = PinPath::public(&SubPath::default(), "dispatch");
    kernel.pin(&loaded[0]["dispatch"], &root, &pin).expect("pin");
    machine
}

fn deployed(text: &str) -> Machine {
    let machine = machine();
    machine.apply(text).expect("applies");
    machine.assert_settled(text);
    machine
}

#[test]
fn what_is_swapped_and_what_goes_first_settle() {
    let machine = deployed(&first());
    machine.apply(&second(&first())).expect("applies");
    machine.assert_settled(&second(&first()));
    // What left the manifest is unregistered.
    machine.apply(LINKED).expect("applies");
    machine.assert_settled(LINKED);
    machine.end(true).expect("ends");
    assert!(machine.kernel.snapshot().links.is_empty());
    let left: Vec<_> = machine.kernel.snapshot().programs.into_values().collect();
    assert_eq!(left, ["dispatch"]);
}

#[test]
fn a_failure_brings_the_links_back() {
    let calls = |machine: &Machine, run: &dyn Fn(&Machine)| {
        let before = machine.kernel.calls().len();
        run(machine);
        machine.kernel.calls().len() - before
    };
    let update = second(LINKED);
    let all = calls(&deployed(LINKED), &|machine| drop(machine.apply(&update).expect("applies")));
    let mut failed = 0;
    for n in 0..all {
        let machine = deployed(LINKED);
        machine.kernel.fail_call(n, Errno::NOMEM);
        if machine.apply(&update).is_ok() {
            // Clearing the stage may wait.
            continue;
        }
        failed += 1;
        machine.kernel.heal();
        machine.assert_settled(LINKED);
    }
    assert!(failed > 20, "{failed} of {all} calls matter");
}

#[test]
fn a_run_that_is_killed_is_made_good_by_the_next() {
    let (text, update) = (first(), second(&first()));
    let apply = |machine: &Machine, text: &str| {
        machine.apply(text).unwrap_or_else(|error| panic!("{error:?}"));
        machine.assert_settled(text);
    };
    let killed = |before: &str, run: &dyn Fn(&Machine), next: &dyn Fn(&Machine, usize)| {
        let mut n = 0;
        loop {
            let machine = if before.is_empty() { machine() } else { deployed(before) };
            machine.kernel.kill_at(n);
            let outcome = catch_unwind(AssertUnwindSafe(|| run(&machine)));
            machine.kernel.heal();
            match outcome {
                Ok(()) => return n,
                Err(payload) => assert!(payload.is::<Killed>(), "call {n}: {payload:?}"),
            }
            next(&machine, n);
            n += 1;
        }
    };
    let run_first = |machine: &Machine| drop(machine.apply(&text).expect("applies"));
    let run_update = |machine: &Machine| drop(machine.apply(&update).expect("applies"));
    let run_end = |machine: &Machine| drop(machine.end(true).expect("ends"));
    let ended = |machine: &Machine, n: usize| {
        match machine.end(true) {
            Ok(_) | Err(ApplyError::Unknown(_)) => {}
            Err(error) => panic!("after a kill at call {n}: {error:?}"),
        }
        let left = machine.kernel.snapshot();
        assert!(left.links.is_empty(), "after a kill at call {n}: {:?}", left.links);
        let left: Vec<_> = left.programs.into_values().collect();
        assert_eq!(left, ["dispatch"], "after a kill at call {n}");
    };
    assert!(killed("", &run_first, &|machine, _| apply(machine, &text)) > 20);
    assert!(killed("", &run_first, &ended) > 20);
    assert!(killed(&text, &run_update, &|machine, _| apply(machine, &update)) > 30);
    assert!(killed(&text, &run_update, &|machine, _| apply(machine, &text)) > 30);
    assert!(killed(&text, &run_update, &ended) > 30);
    assert!(killed(&text, &run_end, &ended) > 10);
    assert!(killed(&text, &run_end, &|machine, _| apply(machine, &text)) > 10);
}
