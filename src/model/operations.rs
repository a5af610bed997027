//! Structs of operations: what the planner has to know of each kind.

use super::attach::Attachment;
use super::map::{MapOrigin, MapSpec};

/// The member by which the kernel tells several of one kind apart: two of one name cannot be registered
/// at a time (`tcp_register_congestion_control` in `net/ipv4/tcp_cong.c`, `register_qdisc` in
/// `net/sched/sch_api.c`).
#[must_use]
pub fn name_member(ops: &str) -> Option<&'static str> {
    match ops {
        "tcp_congestion_ops" => Some("name"),
        "Qdisc_ops" => Some("id"),
        _ => None,
    }
}

/// Whether one of a kind is registered at a time (`scx_enable` in `kernel/sched/ext.c`).
#[must_use]
pub fn is_single(ops: &str) -> bool {
    ops == "sched_ext_ops"
}

/// Whether the kernel swaps one of a kind for another under its link (`bpf_struct_ops.update`, which
/// only `net/ipv4/bpf_tcp_ca.c` has).
#[must_use]
pub fn updates_in_place(ops: &str) -> bool {
    ops == "tcp_congestion_ops"
}

impl Attachment {
    /// How a struct of operations is registered; `None` for any other map.
    #[must_use]
    pub fn of_operations(map: &MapSpec) -> Option<Self> {
        let MapOrigin::StructOps { ops, name, link, .. } = &map.origin else { return None };
        Some(Self::StructOps { ops: ops.clone(), name: name.clone(), link: *link })
    }

    /// Whether two of the same hook and target can be there at a time.
    #[must_use]
    pub fn shares_its_place(&self) -> bool {
        match self {
            Self::StructOps { ops, name, .. } => name.is_none() && !is_single(ops),
            _ => true,
        }
    }
}
