//! Capabilities (capabilities(7)) that BPF asks for, and which of them what takes.

use std::fmt;

use serde::{Serialize, Serializer};

use super::kinds::{MapType, ProgramType};

/// A capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// `CAP_BPF`: maps, BTF, and programs of every type.
    Bpf,
    /// `CAP_NET_ADMIN`: programs and maps of the network, and traffic control.
    NetAdmin,
    /// `CAP_PERFMON`: programs that read the kernel's memory, and probes.
    Perfmon,
    /// `CAP_SYS_ADMIN`: objects by their kernel ids, and what else is guarded by nothing finer.
    SysAdmin,
    /// `CAP_SYS_RESOURCE`: the hard limit of locked memory.
    SysResource,
    /// `CAP_SYSLOG`: addresses of kernel symbols.
    Syslog,
    /// `CAP_DAC_READ_SEARCH`: files that others keep to themselves, to be read.
    DacReadSearch,
    /// `CAP_DAC_OVERRIDE`: the same, to be written.
    DacOverride,
    /// `CAP_SYS_PTRACE`: what is in the memory of other processes.
    SysPtrace,
}

impl Capability {
    /// Every one of them.
    pub const ALL: [Self; 9] = [
        Self::Bpf,
        Self::NetAdmin,
        Self::Perfmon,
        Self::SysAdmin,
        Self::SysResource,
        Self::Syslog,
        Self::DacReadSearch,
        Self::DacOverride,
        Self::SysPtrace,
    ];

    /// Its name in `linux/capability.h`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bpf => "CAP_BPF",
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::Perfmon => "CAP_PERFMON",
            Self::SysAdmin => "CAP_SYS_ADMIN",
            Self::SysResource => "CAP_SYS_RESOURCE",
            Self::Syslog => "CAP_SYSLOG",
            Self::DacReadSearch => "CAP_DAC_READ_SEARCH",
            Self::DacOverride => "CAP_DAC_OVERRIDE",
            Self::SysPtrace => "CAP_SYS_PTRACE",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Capability {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What loading a program of that type takes (`is_net_admin_prog_type` and `is_perfmon_prog_type` in
/// `kernel/bpf/syscall.c`).
#[must_use]
pub fn of_program(program_type: ProgramType) -> &'static [Capability] {
    use Capability::{Bpf, NetAdmin, Perfmon};
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
        | ProgramType::NETFILTER => &[Bpf, NetAdmin],
        ProgramType::KPROBE
        | ProgramType::TRACEPOINT
        | ProgramType::PERF_EVENT
        | ProgramType::RAW_TRACEPOINT
        | ProgramType::RAW_TRACEPOINT_WRITABLE
        | ProgramType::TRACING
        | ProgramType::LSM
        | ProgramType::STRUCT_OPS => &[Bpf, Perfmon],
        ProgramType::EXT => &[Bpf, NetAdmin, Perfmon],
        _ => &[Bpf],
    }
}

/// What creating a map of that type takes (`map_create` in `kernel/bpf/syscall.c`).
#[must_use]
pub fn of_map(map_type: MapType) -> &'static [Capability] {
    match map_type {
        MapType::SOCKMAP
        | MapType::SOCKHASH
        | MapType::DEVMAP
        | MapType::DEVMAP_HASH
        | MapType::XSKMAP => &[Capability::Bpf, Capability::NetAdmin],
        _ => &[Capability::Bpf],
    }
}
