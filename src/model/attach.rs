//! Where programs are attached.

use std::fmt;
use std::path::{Path, PathBuf};

use super::dispatch::Run;
use super::kinds::AttachType;
use super::net_hook::{self, NetfilterAt, NetfilterFamily, NetkitSide};

pub use super::net_hook::Position;
use super::probe::{Iter, KernelFunction, KernelProbe, PerfEvent, Usdt, UserProbe};

use serde::{Deserialize, Serialize};

/// One program at one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "hook", rename_all = "kebab-case")]
pub enum Attachment {
    /// XDP on an interface.
    Xdp {
        /// Interface name.
        interface: String,
        /// How the driver runs it.
        mode: XdpMode,
    },
    /// XDP on an interface, beside others: called by libxdp's dispatcher (kernel 5.10).
    XdpShared {
        /// Interface name.
        interface: String,
        /// How the driver runs the dispatcher.
        mode: XdpMode,
        /// When and how it is called.
        run: Run,
    },
    /// tcx (kernel 6.6): a link at the traffic-control hook.
    Tcx {
        /// Interface name.
        interface: String,
        /// Ingress or egress.
        direction: Direction,
        /// Where among the programs already there; `None` means last.
        position: Option<Position>,
    },
    /// A classifier of the `clsact` qdisc, attached over netlink; it outlives its loader by itself.
    Tc {
        /// Interface name.
        interface: String,
        /// Ingress or egress.
        direction: Direction,
        /// Preference among filters; `None` lets the kernel choose.
        priority: Option<u16>,
        /// The filter's handle; `None` lets the kernel choose.
        handle: Option<u32>,
    },
    /// netkit (kernel 6.7): a link at one end of a netkit pair.
    Netkit {
        /// Name of the primary interface.
        interface: String,
        /// Which end.
        side: NetkitSide,
        /// Where among the programs already there; `None` means last.
        position: Option<Position>,
    },
    /// A cgroup; which attach type, the program's section says.
    Cgroup {
        /// The cgroup's directory.
        path: PathBuf,
    },
    /// The cgroup of a systemd unit, wherever that is now.
    CgroupUnit {
        /// The unit: `nginx.service`.
        unit: String,
    },
    /// The choice of a listening socket in a network namespace.
    SkLookup {
        /// Where the namespace is mounted; `None` means our own.
        netns: Option<PathBuf>,
    },
    /// The dissection of packets in a network namespace.
    FlowDissector {
        /// Where the namespace is mounted; `None` means our own.
        netns: Option<PathBuf>,
    },
    /// The sockets of a sockmap or sockhash; for which of their calls, the program's section says.
    Sockmap {
        /// The map's object in the manifest.
        object: String,
        /// The map.
        map: String,
    },
    /// netfilter (kernel 6.4): a link at a hook of our network namespace.
    Netfilter {
        /// The protocol family.
        family: NetfilterFamily,
        /// The hook.
        at: NetfilterAt,
        /// Place in the hook's order, lower first; the kernel gives each once.
        priority: i32,
        /// Reassemble fragments first.
        defrag: bool,
    },
    /// A static tracepoint.
    Tracepoint {
        /// The subsystem, `syscalls`.
        category: String,
        /// The event, `sys_enter_execve`.
        name: String,
        /// What `bpf_get_attach_cookie` returns.
        #[serde(default)]
        cookie: Option<u64>,
    },
    /// A tracepoint with its raw arguments.
    RawTracepoint {
        /// The tracepoint.
        name: String,
        /// What `bpf_get_attach_cookie` returns.
        #[serde(default)]
        cookie: Option<u64>,
    },
    /// A tracepoint with BTF-typed arguments.
    TpBtf {
        /// The tracepoint.
        name: String,
        /// What `bpf_get_attach_cookie` returns.
        #[serde(default)]
        cookie: Option<u64>,
    },
    /// Entry of a kernel function.
    Fentry(KernelFunction),
    /// Return of a kernel function.
    Fexit(KernelFunction),
    /// Entry and return of a kernel function.
    Fsession(KernelFunction),
    /// A kernel function that lets its return value be replaced.
    FmodRet(KernelFunction),
    /// A hook of the Linux security modules.
    Lsm(KernelFunction),
    /// A hook of the Linux security modules, for the processes of a cgroup.
    LsmCgroup {
        /// The security hook.
        function: String,
        /// The cgroup's directory.
        path: PathBuf,
    },
    /// Entry of kernel functions, or an instruction in one.
    Kprobe(KernelProbe),
    /// Return of kernel functions.
    Kretprobe(KernelProbe),
    /// Entry of functions of a program or library, or an instruction in one.
    Uprobe(UserProbe),
    /// Return of functions of a program or library.
    Uretprobe(UserProbe),
    /// A statically defined probe of a program or library.
    Usdt(Usdt),
    /// A performance counter.
    PerfEvent(PerfEvent),
    /// An iterator over kernel objects.
    Iter(Iter),
    /// A function of another program, replaced.
    Freplace {
        /// That program's object in the manifest.
        object: String,
        /// The program.
        program: String,
        /// Its function.
        function: String,
    },
    /// A struct of operations, registered; what is attached is a map.
    StructOps {
        /// The kernel's struct: `tcp_congestion_ops`.
        ops: String,
        /// The name in it, where the kernel tells several of the struct apart by one.
        name: Option<String>,
        /// By a link. Otherwise it stays registered, whatever becomes of its pin, until it is
        /// unregistered.
        link: bool,
    },
    /// A function of a program that someone else keeps pinned, replaced.
    #[serde(rename = "freplace-pinned")]
    FreplacePinned {
        /// Absolute path of the program's pin.
        pin: PathBuf,
        /// Its function.
        function: String,
    },
}

/// How XDP runs.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum XdpMode {
    /// Native where the driver can, else generic: the kernel chooses.
    #[default]
    Auto,
    /// In the driver.
    Native,
    /// In the stack, after the socket buffer is made.
    Generic,
    /// On the card.
    Offload,
}

/// Which way packets go.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Into the host.
    Ingress,
    /// Out of it.
    Egress,
}

impl XdpMode {
    /// The word a manifest uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Offload => "offload",
        }
    }
}

impl Direction {
    /// The word a manifest uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    /// The attach type of tcx for this side.
    #[must_use]
    pub fn tcx_type(self) -> AttachType {
        match self {
            Self::Ingress => AttachType::TCX_INGRESS,
            Self::Egress => AttachType::TCX_EGRESS,
        }
    }
}

impl Attachment {
    /// The hook's name in a manifest.
    #[must_use]
    pub fn hook(&self) -> &'static str {
        match self {
            Self::Xdp { .. } | Self::XdpShared { .. } => "xdp",
            Self::Tcx { .. } => "tcx",
            Self::Tc { .. } => "tc",
            Self::Netkit { .. } => "netkit",
            Self::Cgroup { .. } | Self::CgroupUnit { .. } => "cgroup",
            Self::SkLookup { .. } => "sk-lookup",
            Self::FlowDissector { .. } => "flow-dissector",
            Self::Sockmap { .. } => "sockmap",
            Self::Netfilter { .. } => "netfilter",
            Self::Tracepoint { .. } => "tracepoint",
            Self::RawTracepoint { .. } => "raw-tracepoint",
            Self::TpBtf { .. } => "tp-btf",
            Self::Fentry(_) => "fentry",
            Self::Fexit(_) => "fexit",
            Self::Fsession(_) => "fsession",
            Self::FmodRet(_) => "fmod-ret",
            Self::Lsm(_) => "lsm",
            Self::LsmCgroup { .. } => "lsm-cgroup",
            Self::Kprobe(_) => "kprobe",
            Self::Kretprobe(_) => "kretprobe",
            Self::Uprobe(_) => "uprobe",
            Self::Uretprobe(_) => "uretprobe",
            Self::Usdt(_) => "usdt",
            Self::PerfEvent(_) => "perf-event",
            Self::Iter(_) => "iter",
            Self::Freplace { .. } | Self::FreplacePinned { .. } => "freplace",
            Self::StructOps { .. } => "struct-ops",
        }
    }

    /// What, with the hook, tells this attachment of a program from its others; options such as a
    /// mode or a position do not count, so changing one changes the attachment in place.
    #[must_use]
    pub fn target(&self) -> Vec<String> {
        match self {
            Self::Xdp { interface, .. } | Self::XdpShared { interface, .. } => {
                vec![interface.clone()]
            }
            Self::Tcx { interface, direction, .. } | Self::Tc { interface, direction, .. } => {
                vec![interface.clone(), direction.as_str().to_owned()]
            }
            Self::Netkit { interface, side, .. } => {
                vec![interface.clone(), side.as_str().to_owned()]
            }
            Self::Cgroup { path } => vec![path.display().to_string()],
            Self::CgroupUnit { unit } => vec![unit.clone()],
            Self::SkLookup { netns } | Self::FlowDissector { netns } => {
                vec![net_hook::netns_name(netns.as_deref())]
            }
            Self::Sockmap { object, map } => vec![format!("{object}.{map}")],
            Self::Netfilter { family, at, priority, .. } => {
                vec![family.as_str().to_owned(), at.as_str().to_owned(), priority.to_string()]
            }
            Self::Tracepoint { category, name, .. } => vec![format!("{category}/{name}")],
            Self::RawTracepoint { name, .. } | Self::TpBtf { name, .. } => vec![name.clone()],
            Self::Fentry(at)
            | Self::Fexit(at)
            | Self::Fsession(at)
            | Self::FmodRet(at)
            | Self::Lsm(at) => vec![at.function.clone()],
            Self::LsmCgroup { function, path } => {
                vec![function.clone(), path.display().to_string()]
            }
            Self::Kprobe(probe) | Self::Kretprobe(probe) => probe.place(),
            Self::Uprobe(probe) | Self::Uretprobe(probe) => probe.place(),
            Self::Usdt(probe) => probe.place(),
            Self::PerfEvent(event) => event.place(),
            Self::Iter(iter) => iter.place(),
            Self::Freplace { object, program, function } => {
                vec![format!("{object}.{program}"), function.clone()]
            }
            Self::StructOps { ops, name, .. } => {
                std::iter::once(ops).chain(name).cloned().collect()
            }
            Self::FreplacePinned { pin, function } => {
                vec![pin.display().to_string(), function.clone()]
            }
        }
    }

    /// The network interface, for the hooks that have one.
    #[must_use]
    pub fn interface(&self) -> Option<&str> {
        match self {
            Self::Xdp { interface, .. }
            | Self::XdpShared { interface, .. }
            | Self::Tcx { interface, .. }
            | Self::Tc { interface, .. }
            | Self::Netkit { interface, .. } => Some(interface),
            _ => None,
        }
    }

    /// The same at another interface.
    #[must_use]
    pub fn at_interface(&self, name: &str) -> Self {
        let mut other = self.clone();
        if let Self::Xdp { interface, .. }
        | Self::XdpShared { interface, .. }
        | Self::Tcx { interface, .. }
        | Self::Tc { interface, .. }
        | Self::Netkit { interface, .. } = &mut other
        {
            name.clone_into(interface);
        }
        other
    }

    /// The path that comes and goes with what it names, for the hooks that name one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Cgroup { path } | Self::LsmCgroup { path, .. } => Some(path),
            Self::FreplacePinned { pin, .. } => Some(pin),
            Self::SkLookup { netns } | Self::FlowDissector { netns } => netns.as_deref(),
            _ => None,
        }
    }

    /// Whether the network namespace of whoever attaches decides what is meant.
    #[must_use]
    pub fn is_of_own_netns(&self) -> bool {
        match self {
            Self::SkLookup { netns } | Self::FlowDissector { netns } => netns.is_none(),
            Self::Netfilter { .. } => true,
            other => other.interface().is_some(),
        }
    }

    /// Where among the programs of its hook, for the hooks that several share.
    #[must_use]
    pub fn position(&self) -> Option<&Position> {
        match self {
            Self::Tcx { position, .. } | Self::Netkit { position, .. } => position.as_ref(),
            _ => None,
        }
    }

    /// What `bpf_get_attach_cookie` returns in the program, if that is set.
    #[must_use]
    pub fn cookie(&self) -> Option<u64> {
        match self {
            Self::Tracepoint { cookie, .. }
            | Self::RawTracepoint { cookie, .. }
            | Self::TpBtf { cookie, .. } => *cookie,
            Self::Fentry(at)
            | Self::Fexit(at)
            | Self::Fsession(at)
            | Self::FmodRet(at)
            | Self::Lsm(at) => at.cookie,
            Self::Kprobe(probe) | Self::Kretprobe(probe) => probe.cookie,
            Self::Uprobe(probe) | Self::Uretprobe(probe) => probe.cookie,
            Self::Usdt(probe) => probe.cookie,
            Self::PerfEvent(event) => event.cookie,
            _ => None,
        }
    }

    /// Whether it is to a perf event: a tracepoint, a counter, or a probe, which may have a link of
    /// another kind where it is of several places.
    #[must_use]
    pub fn is_event(&self) -> bool {
        matches!(
            self,
            Self::Tracepoint { .. }
                | Self::PerfEvent(_)
                | Self::Kprobe(_)
                | Self::Kretprobe(_)
                | Self::Uprobe(_)
                | Self::Uretprobe(_)
                | Self::Usdt(_)
        )
    }

    /// Whether it is of several places by its own words: a list of functions, or a pattern.
    #[must_use]
    pub fn is_several(&self) -> bool {
        match self {
            Self::Kprobe(probe) | Self::Kretprobe(probe) => probe.is_several(),
            Self::Uprobe(probe) | Self::Uretprobe(probe) => probe.is_several(),
            _ => false,
        }
    }
}

/// `xdp:eth0`, `tcx:eth0:ingress`, `tracepoint:syscalls/sys_enter_execve`.
impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.hook(), self.target().join(":"))
    }
}
