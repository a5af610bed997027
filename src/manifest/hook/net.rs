//! Hooks that see packets and sockets.

use std::num::{NonZeroU16, NonZeroU32};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::manifest::types::Names;
use crate::model::attach::{Direction, XdpMode};
use crate::model::dispatch::XdpAction;
use crate::model::net_hook::{NetfilterAt, NetfilterFamily, NetkitSide};

/// Place among several programs at one hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Position {
    /// Before all others.
    First,
    /// After all others.
    Last,
}

/// A place among the programs of a hook that several share, as the options of the hook ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order<'m> {
    /// First or last.
    pub position: Option<Position>,
    /// Right before that program.
    pub before: Option<&'m str>,
    /// Right after that program.
    pub after: Option<&'m str>,
}

/// Options of `xdp`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Xdp {
    /// The network interface: a name, a list of names, or a pattern such as `eth*`.
    pub interface: Names,
    /// How the program runs.
    #[serde(default)]
    pub mode: XdpMode,
    /// Run beside other programs: a dispatcher as libxdp's calls them one after the other (kernel 5.10).
    /// `xdp-loader` shows and unloads such a program, and what it loads may run on the same interface.
    #[serde(default)]
    pub dispatcher: bool,
    /// When a dispatcher calls the program; lower runs first, those of one priority by name. Default: what
    /// the object says of the program in `.xdp_run_config`, or 50.
    pub priority: Option<u32>,
    /// After which actions of the program a dispatcher calls the next one; any other is final. Default:
    /// what the object says of the program in `.xdp_run_config`, or `["pass"]`.
    pub chain_actions: Option<Vec<XdpAction>>,
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
    /// Run right before this program at the same hook: `<object>.<program>` of this manifest, the
    /// name of any other program, or the path of a program's or link's pin.
    pub before: Option<String>,
    /// Run right after this program at the same hook, named as in `before`.
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
    /// Run right before this program at the same hook: `<object>.<program>` of this manifest, the
    /// name of any other program, or the path of a program's or link's pin.
    pub before: Option<String>,
    /// Run right after this program at the same hook, named as in `before`.
    pub after: Option<String>,
    /// Attach when the interface appears.
    #[serde(default)]
    pub wait: bool,
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
