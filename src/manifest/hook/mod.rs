//! The hooks a program can be attached to, as a manifest writes them: one table per attachment,
//! told apart by its `hook`.
//!
//! The format is complete here; which hooks this version can attach is the validator's knowledge.

mod kernel;
mod net;
mod tracing;

pub use kernel::{Cgroup, Freplace, Iter, LsmCgroup, Section, StructOps};
pub use net::{Netfilter, Netkit, Netns, Order, Position, Sockmap, Tc, Tcx, Xdp};
pub use tracing::{Function, NamedTracepoint, PerfEvent, Probe, Tracepoint, Usdt, UserProbe};

use schemars::JsonSchema;
use serde::Deserialize;

/// One place to attach a program to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "hook", rename_all = "kebab-case")]
pub enum Hook {
    /// XDP: packets as the driver receives them.
    Xdp(Xdp),
    /// tcx: packets at the traffic-control hook, by a link (kernel 6.6).
    Tcx(Tcx),
    /// A classifier of the clsact qdisc, for kernels without tcx.
    Tc(Tc),
    /// Packets through a netkit device (kernel 6.7).
    Netkit(Netkit),
    /// A cgroup; the program's section says which of its hooks.
    Cgroup(Cgroup),
    /// Sockets in a sockmap or sockhash.
    Sockmap(Sockmap),
    /// Choice of the listening socket, per network namespace (kernel 5.9).
    SkLookup(Netns),
    /// Dissection of packets into flows, per network namespace.
    FlowDissector(Netns),
    /// A netfilter hook (kernel 6.4).
    Netfilter(Netfilter),
    /// A static tracepoint.
    Tracepoint(Tracepoint),
    /// A tracepoint with its raw arguments.
    RawTracepoint(NamedTracepoint),
    /// A tracepoint with BTF-typed arguments (kernel 5.7).
    TpBtf(NamedTracepoint),
    /// Entry of a kernel function, by its BTF (kernel 5.7).
    Fentry(Function),
    /// Return of a kernel function, by its BTF (kernel 5.7).
    Fexit(Function),
    /// Entry and return of a kernel function, by its BTF (kernel 7.0).
    Fsession(Function),
    /// A kernel function that lets its return value be replaced (kernel 5.7).
    FmodRet(Function),
    /// A hook of the Linux security modules (kernel 5.7).
    Lsm(Function),
    /// A hook of the Linux security modules, for the processes of a cgroup (kernel 6.0).
    LsmCgroup(LsmCgroup),
    /// Entry of a kernel function or an instruction in it; several functions make it a multi probe
    /// (kernel 5.18).
    Kprobe(Probe),
    /// Return of a kernel function; several functions make it a multi probe (kernel 5.18).
    Kretprobe(Probe),
    /// Entry of a function in a program or library; several make it a multi probe (kernel 6.6).
    Uprobe(UserProbe),
    /// Return of a function in a program or library; several make it a multi probe (kernel 6.6).
    Uretprobe(UserProbe),
    /// A statically defined probe in a program or library.
    Usdt(Usdt),
    /// A performance counter.
    PerfEvent(PerfEvent),
    /// An iterator over kernel objects (kernel 5.8).
    Iter(Iter),
    /// A function of another BPF program, replaced (kernel 5.7; of one that is pinned already, 5.10).
    Freplace(Freplace),
    /// Operations the kernel calls; the entry names the `struct_ops` map instead of a program.
    StructOps(StructOps),
    /// Where the program's `SEC()` says, if it says enough.
    Section(Section),
}

impl Hook {
    /// The word a manifest uses.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Xdp(_) => "xdp",
            Self::Tcx(_) => "tcx",
            Self::Tc(_) => "tc",
            Self::Netkit(_) => "netkit",
            Self::Cgroup(_) => "cgroup",
            Self::Sockmap(_) => "sockmap",
            Self::SkLookup(_) => "sk-lookup",
            Self::FlowDissector(_) => "flow-dissector",
            Self::Netfilter(_) => "netfilter",
            Self::Tracepoint(_) => "tracepoint",
            Self::RawTracepoint(_) => "raw-tracepoint",
            Self::TpBtf(_) => "tp-btf",
            Self::Fentry(_) => "fentry",
            Self::Fexit(_) => "fexit",
            Self::Fsession(_) => "fsession",
            Self::FmodRet(_) => "fmod-ret",
            Self::Lsm(_) => "lsm",
            Self::LsmCgroup(_) => "lsm-cgroup",
            Self::Kprobe(_) => "kprobe",
            Self::Kretprobe(_) => "kretprobe",
            Self::Uprobe(_) => "uprobe",
            Self::Uretprobe(_) => "uretprobe",
            Self::Usdt(_) => "usdt",
            Self::PerfEvent(_) => "perf-event",
            Self::Iter(_) => "iter",
            Self::Freplace(_) => "freplace",
            Self::StructOps(_) => "struct-ops",
            Self::Section(_) => "section",
        }
    }

    /// Whether to attach once the target appears, instead of failing while it is absent.
    #[must_use]
    pub fn wait(&self) -> bool {
        match self {
            Self::Xdp(hook) => hook.wait,
            Self::Tcx(hook) => hook.wait,
            Self::Tc(hook) => hook.wait,
            Self::Netkit(hook) => hook.wait,
            Self::Cgroup(hook) => hook.wait,
            Self::Sockmap(hook) => hook.wait,
            Self::SkLookup(hook) | Self::FlowDissector(hook) => hook.wait,
            Self::Netfilter(hook) => hook.wait,
            Self::Tracepoint(hook) => hook.wait,
            Self::RawTracepoint(hook) | Self::TpBtf(hook) => hook.wait,
            Self::Fentry(hook)
            | Self::Fexit(hook)
            | Self::Fsession(hook)
            | Self::FmodRet(hook)
            | Self::Lsm(hook) => hook.wait,
            Self::LsmCgroup(hook) => hook.wait,
            Self::Kprobe(hook) | Self::Kretprobe(hook) => hook.wait,
            Self::Uprobe(hook) | Self::Uretprobe(hook) => hook.wait,
            Self::Usdt(hook) => hook.wait,
            Self::PerfEvent(hook) => hook.wait,
            Self::Iter(hook) => hook.wait,
            Self::Freplace(hook) => hook.wait,
            Self::StructOps(hook) => hook.wait,
            Self::Section(hook) => hook.wait,
        }
    }

    /// The place among the programs that are there, for the hooks that have one.
    #[must_use]
    pub fn order(&self) -> Option<Order<'_>> {
        let (position, before, after) = match self {
            Self::Tcx(hook) => (hook.position, &hook.before, &hook.after),
            Self::Netkit(hook) => (hook.position, &hook.before, &hook.after),
            _ => return None,
        };
        Some(Order { position, before: before.as_deref(), after: after.as_deref() })
    }

    /// The value `bpf_get_attach_cookie` returns in the program, for the hooks that have one.
    #[must_use]
    pub fn cookie(&self) -> Option<u64> {
        match self {
            Self::Tracepoint(hook) => hook.cookie,
            Self::RawTracepoint(hook) | Self::TpBtf(hook) => hook.cookie,
            Self::Fentry(hook)
            | Self::Fexit(hook)
            | Self::Fsession(hook)
            | Self::FmodRet(hook)
            | Self::Lsm(hook) => hook.cookie,
            Self::Kprobe(hook) | Self::Kretprobe(hook) => hook.cookie,
            Self::Uprobe(hook) | Self::Uretprobe(hook) => hook.cookie,
            Self::Usdt(hook) => hook.cookie,
            Self::PerfEvent(hook) => hook.cookie,
            Self::Section(hook) => hook.cookie,
            _ => None,
        }
    }
}
