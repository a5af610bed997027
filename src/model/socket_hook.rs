//! The hooks of a map of sockets, and what it keeps attached there by itself.

use super::kinds::{AttachType, MapType, ProgramType};

/// A place of a sockmap or sockhash that takes one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketHook {
    /// Kernel id of the map.
    pub map: u32,
    /// For which calls.
    pub attach_type: AttachType,
}

/// What a map of sockets runs at one of its hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nothing.
    Nothing,
    /// A program.
    Program {
        /// Its kernel id.
        id: u32,
        /// Its name, cut to 15 bytes by the kernel; empty to those without `CAP_SYS_ADMIN`.
        name: String,
    },
    /// The kernel does not tell: before Linux 5.18 none does (748cd5729ac7).
    Untold,
}

impl SocketHook {
    /// The hooks that every map of sockets has (`sock_map_prog_link_lookup` in `net/core/sock_map.c`).
    pub const KINDS: [AttachType; 4] = [
        AttachType::SK_MSG_VERDICT,
        AttachType::SK_SKB_STREAM_PARSER,
        AttachType::SK_SKB_STREAM_VERDICT,
        AttachType::SK_SKB_VERDICT,
    ];

    /// The hook that must be free for this one to take a program (`sock_map_prog_link_lookup`).
    #[must_use]
    pub fn rival(self) -> Option<Self> {
        let attach_type = match self.attach_type {
            AttachType::SK_SKB_STREAM_VERDICT => AttachType::SK_SKB_VERDICT,
            AttachType::SK_SKB_VERDICT => AttachType::SK_SKB_STREAM_VERDICT,
            _ => return None,
        };
        Some(Self { attach_type, ..self })
    }

    /// What bpftool(8) calls it since it knows maps of sockets.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self.attach_type {
            AttachType::SK_MSG_VERDICT => "msg_verdict",
            AttachType::SK_SKB_STREAM_PARSER => "stream_parser",
            AttachType::SK_SKB_STREAM_VERDICT => "stream_verdict",
            _ => "skb_verdict",
        }
    }

    /// The command that detaches a program from it that is attached without a link.
    #[must_use]
    pub fn detach_command(self, program: u32) -> String {
        format!("bpftool prog detach id {program} {} id {}", self.word(), self.map)
    }

    /// The type of the programs that it takes.
    #[must_use]
    pub fn program_type(self) -> ProgramType {
        match self.attach_type {
            AttachType::SK_MSG_VERDICT => ProgramType::SK_MSG,
            _ => ProgramType::SK_SKB,
        }
    }
}

/// Whether maps of a type hold sockets whose data programs see.
#[must_use]
pub fn holds_sockets(map_type: MapType) -> bool {
    matches!(map_type, MapType::SOCKMAP | MapType::SOCKHASH)
}
