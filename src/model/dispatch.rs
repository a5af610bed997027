//! XDP programs that share an interface: what libxdp's dispatcher calls, in which order, and when it goes
//! on to the next (`lib/libxdp/protocol.org` of xdp-tools).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::attach::XdpMode;

/// Most programs that a dispatcher calls (`MAX_DISPATCHER_ACTIONS`).
pub const PROGRAMS_MAX: usize = 10;

/// The function of a dispatcher that programs are loaded for, wherever they are called then.
pub const FUNCTION: &str = "prog0";

/// The run priority of a program that states none (`XDP_DEFAULT_RUN_PRIO`).
pub const DEFAULT_PRIORITY: u32 = 50;

/// What a program says shall become of a packet (`enum xdp_action`).
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
pub enum XdpAction {
    /// `XDP_ABORTED`: drop it, as an error.
    Aborted,
    /// `XDP_DROP`: drop it.
    Drop,
    /// `XDP_PASS`: up the stack.
    Pass,
    /// `XDP_TX`: back out of the interface.
    Tx,
    /// `XDP_REDIRECT`: elsewhere.
    Redirect,
}

impl XdpAction {
    const ALL: [Self; 5] = [Self::Aborted, Self::Drop, Self::Pass, Self::Tx, Self::Redirect];

    /// The word a manifest uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::Drop => "drop",
            Self::Pass => "pass",
            Self::Tx => "tx",
            Self::Redirect => "redirect",
        }
    }

    /// Its number in the kernel, which is its bit among chain call actions.
    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// When and how a dispatcher calls a program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Run {
    /// Lower runs first; programs of one priority by their names.
    pub priority: u32,
    /// After which actions the next program is called. Any other is final.
    pub chain_actions: BTreeSet<XdpAction>,
}

impl Default for Run {
    fn default() -> Self {
        Self { priority: DEFAULT_PRIORITY, chain_actions: BTreeSet::from([XdpAction::Pass]) }
    }
}

impl Run {
    /// From what a dispatcher has on record.
    #[must_use]
    pub fn new(priority: u32, chain_call_actions: u32) -> Self {
        let set =
            XdpAction::ALL.into_iter().filter(|action| chain_call_actions & action.bit() != 0);
        Self { priority, chain_actions: set.collect() }
    }

    /// The actions as the bits that a dispatcher has on record, of those that have a name.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.chain_actions.iter().fold(0, |all, action| all | action.bit())
    }

    /// `priority 50, goes on after pass`.
    #[must_use]
    pub fn describe(&self) -> String {
        let actions: Vec<&str> = self.chain_actions.iter().map(|action| action.as_str()).collect();
        let actions = if actions.is_empty() { "nothing".to_owned() } else { actions.join(", ") };
        format!("priority {}, goes on after {actions}", self.priority)
    }
}

/// What a dispatcher that runs on an interface calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveDispatcher {
    /// Name of the interface.
    pub interface: String,
    /// Kernel id of its program; 0 if there is none, and only what others have left.
    pub program_id: u32,
    /// How it runs.
    pub mode: XdpMode,
    /// What it calls, in that order.
    pub members: Vec<LiveMember>,
    /// Other dispatchers that have pins for this interface, by kernel id, each with the programs there:
    /// what somebody is about to put in this one's place, or what a run that was cut short has left.
    pub leftovers: BTreeMap<u32, BTreeSet<u32>>,
}

/// A program that a dispatcher calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveMember {
    /// Kernel id of the program.
    pub program_id: u32,
    /// When and how.
    pub run: Run,
    /// Whether it takes packets in several buffers (`xdp.frags`).
    pub frags: bool,
}

impl LiveDispatcher {
    /// The member with that program.
    #[must_use]
    pub fn member(&self, program_id: u32) -> Option<&LiveMember> {
        self.members.iter().find(|member| member.program_id == program_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_the_bits_of_the_kernels_numbers() {
        let run = Run::new(7, 1 << 31 | 1 << 2 | 1 << 1);
        assert_eq!(run.chain_actions, BTreeSet::from([XdpAction::Drop, XdpAction::Pass]));
        assert_eq!(run.bits(), 0b110);
        assert_eq!(run.describe(), "priority 7, goes on after drop, pass");
        assert_eq!(Run::new(50, 1 << 2), Run::default());
        assert_eq!(Run::new(1, 0).describe(), "priority 1, goes on after nothing");
    }
}
