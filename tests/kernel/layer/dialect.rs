//! Every section of the dialect loads.

use std::collections::BTreeMap;

use ebpf_apply::kernel::linux::Linux;
use ebpf_apply::kernel::{Kernel, LoadRequest};
use ebpf_apply::model::program::ProgramSpec;

use super::running::run;
use crate::contract::{create_maps, image, load};
use crate::features::{CALLBACKS, JUMP_TABLES, XDP_FRAGMENTS, goes_without, lacks};
use crate::sandbox::Sandbox;

#[test]
fn every_section_loads() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let image = image("dialect");
        let btf = kernel.load_btf(&image).expect("load BTF");
        let mut refused = Vec::new();
        let without_fragments = goes_without(XDP_FRAGMENTS);
        for program in &image.spec.programs {
            if without_fragments && program.kind.as_ref().is_some_and(|kind| kind.xdp_frags) {
                continue;
            }
            let request = LoadRequest {
                image: &image,
                programs: vec![program],
                maps: BTreeMap::new(),
                btf: btf.as_ref(),
            };
            if let Err(error) = kernel.load_programs(&[request]) {
                refused.push(format!("{}: {error} {:?}", program.section, error.log));
            }
        }
        assert!(image.spec.programs.len() > 40, "the object has the whole dialect");
        assert!(refused.is_empty(), "{}", refused.join("\n"));
    });
}

#[test]
fn many_programs_load_at_once() {
    if lacks(&[XDP_FRAGMENTS]) {
        return;
    }
    Sandbox::run(|_| {
        let loaded = load(&Linux::new(), "dialect");
        let wanted: Vec<&str> = loaded
            .image
            .spec
            .programs
            .iter()
            .filter(|program| program.autoload)
            .map(|program| program.name.as_str())
            .collect();
        assert_eq!(loaded.programs.len(), wanted.len());
        for name in wanted {
            assert!(loaded.programs.contains_key(name), "{name}");
        }
    });
}

#[test]
fn subprograms_are_linked_in() {
    if lacks(&[CALLBACKS]) {
        return;
    }
    Sandbox::run(|_| {
        let loaded = load(&Linux::new(), "subprogs");
        assert!(!loaded.programs.is_empty());
    });
}

#[test]
fn a_refusal_is_of_the_first_program_however_many_load() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let image = image("rejected");
        let maps = create_maps(&kernel, &image, None);
        let bad: &ProgramSpec = image.spec.program("read_blindly").expect("it has one");
        let good: &ProgramSpec = image.spec.program("sound").expect("it has one");
        for programs in [vec![good, bad], vec![bad, good], vec![good, good, bad, bad]] {
            let maps = maps.iter().map(|(name, map)| (name.as_str(), map)).collect();
            let request = LoadRequest { image: &image, programs, maps, btf: None };
            let error = kernel.load_programs(&[request]).expect_err("one is refused");
            assert!(error.to_string().contains("`read_blindly`"), "{error}");
        }
    });
}

#[test]
fn a_refusal_is_of_the_first_object_however_many_load() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let images = [image("rejected"), image("nongpl"), image("bench_small")];
        let refused = ["read_blindly", "gpl_helper", "count_packets"];
        let maps = images.each_ref().map(|image| create_maps(&kernel, image, None));
        let request = |at: usize| LoadRequest {
            image: &images[at],
            programs: vec![images[at].spec.program(refused[at]).expect("it has one")],
            maps: maps[at].iter().map(|(name, map)| (name.as_str(), map)).collect(),
            btf: None,
        };
        for (order, told) in [([2, 0, 1], 0), ([1, 2, 0], 1), ([0, 1, 2], 0)] {
            let error = kernel.load_programs(&order.map(request)).expect_err("two are refused");
            assert!(error.to_string().contains(&format!("`{}`", refused[told])), "{error}");
        }
    });
}

/// Kernels before 6.8 look at the type of the argument, which is another for each of them.
#[test]
fn an_argument_is_the_context_of_whoever_calls() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let loaded = load(&kernel, "context_argument");
        assert_eq!(loaded.programs.len(), 3);
        assert_eq!(run(loaded.program("on_xdp"), &[0; 64]), 1);
        assert_eq!(run(loaded.program("on_tc"), &[0; 64]), 2);
    });
}

#[test]
fn a_program_jumps_by_a_table() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        if !goes_without(JUMP_TABLES) {
            let loaded = load(&kernel, "jump_table");
            let answers =
                [14, 15, 16, 17].map(|length| run(loaded.program("by_length"), &vec![0; length]));
            assert_eq!(answers, [1, 2, 3, 0]);
            return;
        }
        let image = image("jump_table");
        let btf = kernel.load_btf(&image).expect("load BTF");
        let request = LoadRequest {
            image: &image,
            programs: image.spec.programs.iter().collect(),
            maps: BTreeMap::new(),
            btf: btf.as_ref(),
        };
        let error = kernel.load_programs(&[request]).expect_err("the kernel has no such maps");
        let advice = error.advice.expect("it says why");
        assert!(advice.contains("Linux has them since 6.19"), "{advice}");
    });
}
