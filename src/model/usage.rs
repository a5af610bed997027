//! What an object of the kernel has used and done since it was made.

use serde::Serialize;

/// Figures of one map or program. What does not apply to it, or what the kernel does not tell, is
/// absent; a 0 is a 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Bytes of memory it holds (`memlock` of its fdinfo; `map_mem_usage` of each type since 6.4, an
    /// estimate before that).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// How often a program has run, where `kernel.bpf_stats_enabled` has the kernel count it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<u64>,
    /// Nanoseconds that a program has run, where they are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_time_ns: Option<u64>,
    /// Instructions that the verifier has looked at, of all ways through a program (5.16).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified_instructions: Option<u32>,
    /// How many entries a map has, of the types whose entries come and go. One that is written
    /// meanwhile counts or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
    /// How many entries a map can have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_entries: Option<u32>,
}
