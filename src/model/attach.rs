//! Where programs are attached.

use std::fmt;
use std::path::PathBuf;

use super::kinds::AttachType;

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
    /// A cgroup; which attach type, the program's section says.
    Cgroup {
        /// The cgroup's directory.
        path: PathBuf,
    },
    /// A static tracepoint.
    Tracepoint {
        /// The subsystem, `syscalls`.
        category: String,
        /// The event, `sys_enter_execve`.
        name: String,
    },
    /// A tracepoint with its raw arguments.
    RawTracepoint {
        /// The tracepoint.
        name: String,
    },
    /// A tracepoint with BTF-typed arguments.
    TpBtf {
        /// The tracepoint.
        name: String,
    },
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

/// Place among several programs at one hook.
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
pub enum Position {
    /// Before all others.
    First,
    /// After all others.
    Last,
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
            Self::Xdp { .. } => "xdp",
            Self::Tcx { .. } => "tcx",
            Self::Tc { .. } => "tc",
            Self::Cgroup { .. } => "cgroup",
            Self::Tracepoint { .. } => "tracepoint",
            Self::RawTracepoint { .. } => "raw-tracepoint",
            Self::TpBtf { .. } => "tp-btf",
            Self::Freplace { .. } | Self::FreplacePinned { .. } => "freplace",
            Self::StructOps { .. } => "struct-ops",
        }
    }

    /// What, with the hook, tells this attachment of a program from its others; options such as a
    /// mode or a position do not count, so changing one changes the attachment in place.
    #[must_use]
    pub fn target(&self) -> Vec<String> {
        match self {
            Self::Xdp { interface, .. } => vec![interface.clone()],
            Self::Tcx { interface, direction, .. } | Self::Tc { interface, direction, .. } => {
                vec![interface.clone(), direction.as_str().to_owned()]
            }
            Self::Cgroup { path } => vec![path.display().to_string()],
            Self::Tracepoint { category, name } => vec![format!("{category}/{name}")],
            Self::RawTracepoint { name } | Self::TpBtf { name } => vec![name.clone()],
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
            | Self::Tcx { interface, .. }
            | Self::Tc { interface, .. } => Some(interface),
            _ => None,
        }
    }
}

/// `xdp:eth0`, `tcx:eth0:ingress`, `tracepoint:syscalls/sys_enter_execve`.
impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.hook(), self.target().join(":"))
    }
}
