//! Every section of libbpf's table loads, but for what the running kernel lacks.

use std::collections::{BTreeMap, BTreeSet};

use ebpf_apply::kernel::linux::Linux;
use ebpf_apply::kernel::{Kernel, LoadRequest};
use ebpf_apply::model::kinds::{AttachType, ProgramType};
use ebpf_apply::model::program::ProgramSpec;
use ebpf_apply::object::sections;

use crate::contract::image;
use crate::features::{
    CGROUP_OF_UNIX_SOCKETS, CHANGEABLE_TEST_FUNCTIONS, FENTRY_MULTI, FSESSION, Feature,
    KPROBE_MULTI, KPROBE_SESSION, LIRC_PROGRAMS, LSM_CGROUP, NETFILTER, NETKIT,
    PROGRAMS_AT_FUNCTIONS, SLEEPABLE_LSM_HOOKS, SLEEPABLE_TRACEPOINTS, SLEEPABLE_UPROBES,
    SYSCALL_PROGRAMS, TCX, UPROBE_MULTI, UPROBE_SESSION, XDP_FRAGMENTS, goes_without,
};
use crate::sandbox::Sandbox;

/// Sections whose programs cannot be loaded by themselves, and what they need.
const NOT_ALONE: &[(&str, &str)] = &[
    ("freplace+", "a function of a program to replace"),
    ("struct_ops+", "the struct that it is in"),
    ("struct_ops.s+", "the struct that it is in"),
];

#[test]
fn every_section_of_the_table_loads() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let mut seen: BTreeSet<&str> = NOT_ALONE.iter().map(|(pattern, _)| *pattern).collect();
        let mut refused = Vec::new();
        for object in ["dialect", "sections", "sections_functions"] {
            let image = image(object);
            let btf = kernel.load_btf(&image).expect("load BTF");
            for program in &image.spec.programs {
                seen.extend(sections::pattern(&program.section));
                let request = LoadRequest {
                    image: &image,
                    programs: vec![program],
                    maps: BTreeMap::new(),
                    btf: btf.as_ref(),
                };
                let Err(error) = kernel.load_programs(&[request]) else { continue };
                if !needed(program).into_iter().any(goes_without) {
                    refused.push(format!("{}: {error} {:?}", program.section, error.log));
                }
            }
        }
        assert!(refused.is_empty(), "{}", refused.join("\n"));
        let missing: Vec<_> =
            sections::patterns().filter(|pattern| !seen.contains(pattern)).collect();
        assert!(missing.is_empty(), "no program for {missing:?}");
    });
}

/// What kernels may lack for a program.
fn needed(program: &ProgramSpec) -> Vec<Feature> {
    let kind = program.kind.as_ref().expect("a known section");
    let target = kind.target.as_deref().unwrap_or_default();
    let mut needed = Vec::new();
    needed.extend(kind.attach_type.and_then(of_attach_type));
    needed.extend(kind.xdp_frags.then_some(XDP_FRAGMENTS));
    needed.extend(match kind.program_type {
        ProgramType::SYSCALL => Some(SYSCALL_PROGRAMS),
        ProgramType::LIRC_MODE2 => Some(LIRC_PROGRAMS),
        _ => None,
    });
    needed.extend(match (kind.sleepable, kind.program_type, kind.attach_type) {
        (false, ..) | (_, _, Some(AttachType::TRACE_ITER)) => None,
        (_, ProgramType::KPROBE, _) => Some(SLEEPABLE_UPROBES),
        (_, ProgramType::LSM, _) => Some(SLEEPABLE_LSM_HOOKS),
        (_, _, Some(AttachType::TRACE_RAW_TP))
        | (_, ProgramType::TRACEPOINT | ProgramType::RAW_TRACEPOINT, _) => {
            Some(SLEEPABLE_TRACEPOINTS)
        }
        _ => Some(CHANGEABLE_TEST_FUNCTIONS),
    });
    needed.extend((target == "bpf_modify_return_test").then_some(CHANGEABLE_TEST_FUNCTIONS));
    let at_function = matches!(
        kind.attach_type,
        Some(
            AttachType::TRACE_FENTRY
                | AttachType::TRACE_FEXIT
                | AttachType::MODIFY_RETURN
                | AttachType::LSM_MAC
                | AttachType::LSM_CGROUP
        )
    );
    needed.extend(at_function.then_some(PROGRAMS_AT_FUNCTIONS));
    needed
}

fn of_attach_type(attach_type: AttachType) -> Option<Feature> {
    Some(match attach_type {
        AttachType::CGROUP_UNIX_CONNECT
        | AttachType::CGROUP_UNIX_SENDMSG
        | AttachType::CGROUP_UNIX_RECVMSG
        | AttachType::CGROUP_UNIX_GETPEERNAME
        | AttachType::CGROUP_UNIX_GETSOCKNAME => CGROUP_OF_UNIX_SOCKETS,
        AttachType::LSM_CGROUP => LSM_CGROUP,
        AttachType::NETFILTER => NETFILTER,
        AttachType::NETKIT_PRIMARY | AttachType::NETKIT_PEER => NETKIT,
        AttachType::TCX_INGRESS | AttachType::TCX_EGRESS => TCX,
        AttachType::TRACE_FENTRY_MULTI
        | AttachType::TRACE_FEXIT_MULTI
        | AttachType::TRACE_FSESSION_MULTI => FENTRY_MULTI,
        AttachType::TRACE_FSESSION => FSESSION,
        AttachType::TRACE_KPROBE_MULTI => KPROBE_MULTI,
        AttachType::TRACE_KPROBE_SESSION => KPROBE_SESSION,
        AttachType::TRACE_UPROBE_MULTI => UPROBE_MULTI,
        AttachType::TRACE_UPROBE_SESSION => UPROBE_SESSION,
        _ => return None,
    })
}
