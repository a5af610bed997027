//! The table of helpers, held against the verifier.

use std::collections::BTreeMap;

use ebpf_apply::kernel::linux::Linux;
use ebpf_apply::kernel::{Kernel, LoadRequest};
use ebpf_apply::model::helper::Helper;
use ebpf_apply::model::program::ProgramSpec;
use ebpf_apply::object::Image;

use crate::contract::image;
use crate::sandbox::Sandbox;

/// How the verifier answers a program without a license that calls one helper: before it looks at
/// the arguments it says that there is no such helper, not for this type, or not without a license.
fn answer(kernel: &Linux, image: &Image, program: &ProgramSpec) -> String {
    let request = LoadRequest { image, programs: vec![program], maps: BTreeMap::new(), btf: None };
    match kernel.load_programs(&[request]) {
        Ok(_) => String::new(),
        Err(error) => error.log.map(|log| log.text).unwrap_or_default(),
    }
}

#[test]
fn the_verifier_agrees_with_the_table() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let image = image("helper_calls");
        let mut judged = 0;
        for program in &image.spec.programs {
            let [helper] = program.uses.helpers.iter().copied().collect::<Vec<_>>()[..] else {
                assert!(program.name.ends_with("_212"), "{}: {:?}", program.name, program.uses);
                let log = answer(&kernel, &image, program);
                assert!(log.contains("invalid func"), "no kernel has a helper 212:\n{log}");
                continue;
            };
            let log = answer(&kernel, &image, program);
            let unknown = ["invalid func", "unknown func", "cannot use helper"];
            if log.is_empty() || unknown.iter().any(|words| log.contains(words)) {
                continue;
            }
            judged += 1;
            let refused = log.contains("cannot call GPL-restricted function");
            let kind = program.kind.as_ref().expect("a section of libbpf's");
            assert_eq!(refused, helper.is_gpl_only(kind.program_type), "{}:\n{log}", program.name);
        }
        // Linux 5.10 has helpers for some 200 of these pairs.
        assert!(judged > 150, "{judged} answers");
    });
}

#[test]
fn a_release_has_no_helper_of_a_later_one() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let image = image("helper_calls");
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let running = release.parse().expect("a release");
        let later = |helper: &Helper| helper.since().is_some_and(|since| since > running);
        let programs = image.spec.programs.iter();
        for program in programs.filter(|program| program.uses.helpers.iter().any(later)) {
            let log = answer(&kernel, &image, program);
            let unknown = ["invalid func", "unknown func", "cannot use helper"];
            assert!(unknown.iter().any(|words| log.contains(words)), "{}:\n{log}", program.name);
        }
    });
}
