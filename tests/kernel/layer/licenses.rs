//! What the validator says the kernel keeps for GPL-compatible programs, held against the verifier.

use std::collections::BTreeMap;

use ebpf_apply::kernel::linux::Linux;
use ebpf_apply::kernel::{Kernel, KernelError, LoadRequest};
use ebpf_apply::model::license::{Reserved, reserved};
use ebpf_apply::model::program::ProgramSpec;
use ebpf_apply::object::Image;

use crate::contract::image;
use crate::features::{
    BPF_SECURITY_MODULE, Feature, LSM_CGROUP, PROGRAMS_AT_FUNCTIONS, RCU_FUNCTIONS,
    SYSCALL_PROGRAMS, lacks,
};
use crate::sandbox::Sandbox;

/// How loading a program ends, with the map that says what it is for, if it is one of a struct of
/// operations.
fn load(kernel: &Linux, image: &Image, program: &ProgramSpec) -> Result<(), KernelError> {
    let btf = kernel.load_btf(image)?;
    let ops = image.spec.map("unfree").filter(|_| program.section.contains("struct_ops"));
    let map = ops.map(|ops| kernel.create_map(image, ops, btf.as_ref())).transpose()?;
    let maps: BTreeMap<_, _> = map.iter().map(|map| ("unfree", map)).collect();
    let request = LoadRequest { image, programs: vec![program], maps, btf: btf.as_ref() };
    kernel.load_programs(&[request]).map(drop)
}

#[test]
fn the_verifier_agrees_about_licenses() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let image = image("unlicensed");
        let mut judged = [0, 0];
        for program in &image.spec.programs {
            let needs: &[Feature] = match program.name.as_str() {
                "on_hook" => &[PROGRAMS_AT_FUNCTIONS, BPF_SECURITY_MODULE],
                "in_cgroup" => &[PROGRAMS_AT_FUNCTIONS, BPF_SECURITY_MODULE, LSM_CGROUP],
                "on_entry" | "on_return" | "instead" => &[PROGRAMS_AT_FUNCTIONS],
                "on_demand" => &[SYSCALL_PROGRAMS],
                "calls_function" => &[RCU_FUNCTIONS],
                _ => &[],
            };
            if lacks(needs) {
                continue;
            }
            let has_functions = !lacks(&[RCU_FUNCTIONS]);
            let refused = match reserved(program) {
                Some(Reserved::Type | Reserved::Functions) => true,
                Some(Reserved::WeakFunctions) => has_functions,
                None => false,
            };
            judged[usize::from(refused)] += 1;
            match load(&kernel, &image, program) {
                Ok(()) => assert!(!refused, "{} is loaded", program.name),
                Err(error) => {
                    let log = error.log.as_ref().map_or("", |log| log.text.as_str());
                    let is_license = log.contains("non-GPL") || log.contains("GPL compatible");
                    assert!(refused && is_license, "{}: {error}\n{log}", program.name);
                    let advice = error.advice.as_deref().unwrap_or_default();
                    assert!(advice.contains("no `license` section"), "{}: {advice}", program.name);
                }
            }
        }
        assert!(judged[0] >= 8 && judged[1] >= 3, "{judged:?}");
    });
}
