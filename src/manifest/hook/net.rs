//! Hooks that see packets and sockets.

use std::num::{NonZeroU16, NonZeroU32};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::manifest::types::Names;
use crate::model::attach::{Direction, Position, XdpMode};

/// Options of `xdp`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Xdp {
    /// The network interface: a name, a list of names, or a pattern such as `eth*`.
    pub interface: Names,
    /// How the program runs.
    #[serde(default)]
    pub mode: XdpMode,
    /// Attach when the interface appears.
    #[serde(default)]
    pub wait: bool,
}

/// Options of `tcx`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tcx {
    /// The network interface: a name, a list of names, or a pattern such as `eth*`.
    pub interface: Names,
    /// Which packets: those into the host or those out of it.
    pub direction: Direction,
    /// Place among the programs already there. Default: `last`.
    pub position: Option<Position>,
    /// Run before this program: `<object>.<program>`.
    pub before: Option<String>,
    /// Run after this program: `<object>.<program>`.
    pub after: Option<String>,
    /// Attach when the interface appears.
    #[serde(default)]
    pub wait: bool,
}

/// Options of `tc`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tc {
    /// The network interface: a name, a list of names, or a pattern such as `eth*`.
    pub interface: Names,
    /// Which packets: those into the host or those out of it.
    pub direction: Direction,
    /// The filter's preference; lower runs first. Default: the kernel chooses.
    pub priority: Option<NonZeroU16>,
    /// The filter's handle. Default: the kernel chooses.
    pub handle: Option<NonZeroU32>,
    /// Attach when the interface appears.
    #[serde(default)]
    pub wait: bool,
}

/// Options of `netkit`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Netkit {
    /// The primary netkit interface: a name, a list of names, or a pattern.
    pub interface: Names,
    /// Which end of the pair.
    pub side: NetkitSide,
    /// Place among the programs already there. Default: `last`.
    pub position: Option<Position>,
    /// Run before this program: `<object>.<program>`.
    pub before: Option<String>,
    /// Run after this program: `<object>.<program>`.
    pub after: Option<String>,
    /// Attach when the interface appears.
    #[serde(default)]
    pub wait: bool,
}

/// One end of a netkit pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NetkitSide {
    /// The end that was created first.
    Primary,
    /// Its peer.
    Peer,
}

/// Options of `sockmap`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sockmap {
    /// The sockmap or sockhash: `<object>.<map>`.
    pub map: String,
    /// Attach when the map appears.
    #[serde(default)]
    pub wait: bool,
}

/// Options of `sk-lookup` and `flow-dissector`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Netns {
    /// The network namespace: a name below `/run/netns`, or a path. Default: our own.
    pub netns: Option<String>,
    /// Attach when the namespace appears.
    #[serde(default)]
    pub wait: bool,
}

/// Options of `netfilter`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Netfilter {
    /// The protocol family.
    pub family: NetfilterFamily,
    /// The place on a packet's way through the host.
    pub at: NetfilterAt,
    /// Order among the hooks at that place; lower runs first. Each may be taken once.
    pub priority: i32,
    /// Reassemble fragments first (kernel 6.6).
    #[serde(default)]
    pub defrag: bool,
    /// Attach when the target appears.
    #[serde(default)]
    pub wait: bool,
}

/// A protocol family of netfilter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NetfilterFamily {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// A place on a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NetfilterAt {
    /// Before the routing decision.
    Prerouting,
    /// Before delivery to this host.
    LocalIn,
    /// Between two interfaces.
    Forward,
    /// As this host sends.
    LocalOut,
    /// Before it leaves.
    Postrouting,
}
