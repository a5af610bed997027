//! Which capabilities an operation needs and this process lacks.

use rustix::thread::CapabilitySet;

use crate::model::kinds::{MapType, ProgramType};

/// Advice for `EPERM`: names what is missing, or where else the refusal may come from.
pub(super) fn advice(needed: CapabilitySet) -> String {
    let held = rustix::thread::capabilities(None).map(|sets| sets.effective);
    let names = match held {
        Ok(held) => names(missing(needed, held)),
        Err(_) => names(needed),
    };
    if names.is_empty() {
        "the capabilities are there, so something else denies it: a user namespace (bpf(2) asks \
         the initial one), a security module, kernel lockdown, or before Linux 5.11 \
         RLIMIT_MEMLOCK, which only CAP_SYS_RESOURCE raises"
            .to_owned()
    } else {
        format!("the process lacks {}", names.join(" and "))
    }
}

/// `CAP_SYS_ADMIN` stands for all of them (`bpf_capable`, `perfmon_capable`).
fn missing(needed: CapabilitySet, held: CapabilitySet) -> CapabilitySet {
    if held.contains(CapabilitySet::SYS_ADMIN) {
        CapabilitySet::empty()
    } else {
        needed.difference(held)
    }
}

fn names(set: CapabilitySet) -> Vec<&'static str> {
    [
        (CapabilitySet::BPF, "CAP_BPF"),
        (CapabilitySet::PERFMON, "CAP_PERFMON"),
        (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
        (CapabilitySet::SYS_ADMIN, "CAP_SYS_ADMIN"),
    ]
    .into_iter()
    .filter(|(capability, _)| set.contains(*capability))
    .map(|(_, name)| name)
    .collect()
}

/// What loading a program of that type needs (`is_net_admin_prog_type` and `is_perfmon_prog_type`
/// in `kernel/bpf/syscall.c`).
pub(super) fn for_program(program_type: ProgramType) -> CapabilitySet {
    let bpf = CapabilitySet::BPF;
    match program_type {
        ProgramType::SCHED_CLS
        | ProgramType::SCHED_ACT
        | ProgramType::XDP
        | ProgramType::LWT_IN
        | ProgramType::LWT_OUT
        | ProgramType::LWT_XMIT
        | ProgramType::LWT_SEG6LOCAL
        | ProgramType::SK_SKB
        | ProgramType::SK_MSG
        | ProgramType::FLOW_DISSECTOR
        | ProgramType::CGROUP_DEVICE
        | ProgramType::CGROUP_SOCK
        | ProgramType::CGROUP_SOCK_ADDR
        | ProgramType::CGROUP_SOCKOPT
        | ProgramType::CGROUP_SYSCTL
        | ProgramType::SOCK_OPS
        | ProgramType::NETFILTER => bpf | CapabilitySet::NET_ADMIN,
        ProgramType::KPROBE
        | ProgramType::TRACEPOINT
        | ProgramType::PERF_EVENT
        | ProgramType::RAW_TRACEPOINT
        | ProgramType::RAW_TRACEPOINT_WRITABLE
        | ProgramType::TRACING
        | ProgramType::LSM
        | ProgramType::STRUCT_OPS => bpf | CapabilitySet::PERFMON,
        ProgramType::EXT => bpf | CapabilitySet::PERFMON | CapabilitySet::NET_ADMIN,
        _ => bpf,
    }
}

/// What creating a map of that type needs (`map_create` in `kernel/bpf/syscall.c`).
pub(super) fn for_map(map_type: MapType) -> CapabilitySet {
    match map_type {
        MapType::SOCKMAP
        | MapType::SOCKHASH
        | MapType::DEVMAP
        | MapType::DEVMAP_HASH
        | MapType::XSKMAP => CapabilitySet::BPF | CapabilitySet::NET_ADMIN,
        _ => CapabilitySet::BPF,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_administrators_lack_nothing() {
        let needed = for_program(ProgramType::XDP);
        assert_eq!(missing(needed, CapabilitySet::SYS_ADMIN), CapabilitySet::empty());
        assert_eq!(names(missing(needed, CapabilitySet::BPF)), ["CAP_NET_ADMIN"]);
        assert_eq!(
            names(missing(for_program(ProgramType::TRACING), CapabilitySet::NET_ADMIN)),
            ["CAP_BPF", "CAP_PERFMON"]
        );
    }
}
