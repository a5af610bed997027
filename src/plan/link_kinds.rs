//! What the planner has to know of the kernel's kinds of links.

use crate::model::attach::Attachment;
use crate::model::kinds::LinkType;
use crate::model::live::{LinkTarget, LiveLink};

use super::draft::Phase;

/// The types of links that can make an attachment.
pub(super) fn link_types(attachment: &Attachment) -> &'static [LinkType] {
    match attachment {
        Attachment::Xdp { .. } => &[LinkType::XDP],
        Attachment::Tcx { .. } => &[LinkType::TCX],
        Attachment::Netkit { .. } => &[LinkType::NETKIT],
        Attachment::Cgroup { .. }
        | Attachment::CgroupUnit { .. }
        | Attachment::LsmCgroup { .. } => &[LinkType::CGROUP],
        Attachment::SkLookup { .. } | Attachment::FlowDissector { .. } => &[LinkType::NETNS],
        Attachment::Sockmap { .. } => &[LinkType::SOCKMAP],
        Attachment::Netfilter { .. } => &[LinkType::NETFILTER],
        Attachment::Tracepoint { .. } | Attachment::PerfEvent(_) => &[LinkType::PERF_EVENT],
        Attachment::Kprobe(_) | Attachment::Kretprobe(_) => {
            &[LinkType::PERF_EVENT, LinkType::KPROBE_MULTI]
        }
        Attachment::Uprobe(_) | Attachment::Uretprobe(_) | Attachment::Usdt(_) => {
            &[LinkType::PERF_EVENT, LinkType::UPROBE_MULTI]
        }
        Attachment::Iter(_) => &[LinkType::ITER],
        Attachment::RawTracepoint { .. } | Attachment::TpBtf { .. } => &[LinkType::RAW_TRACEPOINT],
        Attachment::Freplace { .. }
        | Attachment::FreplacePinned { .. }
        | Attachment::Fentry(_)
        | Attachment::Fexit(_)
        | Attachment::Fsession(_)
        | Attachment::FmodRet(_)
        | Attachment::Lsm(_) => &[LinkType::TRACING],
        Attachment::StructOps { link: true, .. } => &[LinkType::STRUCT_OPS],
        Attachment::Tc { .. } | Attachment::XdpShared { .. } | Attachment::StructOps { .. } => &[],
    }
}

/// Whether a live link no longer hangs where its manifest line points.
pub(super) fn lost_its_target(link: &LiveLink, wanted: u64) -> bool {
    match link.target {
        LinkTarget::Interface { index, .. } => u64::from(index) != wanted,
        LinkTarget::Cgroup { id, .. } => id != wanted,
        LinkTarget::Netns { inode, .. } => inode != wanted,
        LinkTarget::Map { id, .. } => u64::from(id) != wanted,
        // Whose function one of the same manifest replaces is settled by what is loaded with it.
        LinkTarget::Program { id } => wanted != 0 && u64::from(id) != wanted,
        LinkTarget::StructOps { map } => map == 0,
        LinkTarget::Netfilter { .. } | LinkTarget::Tracepoint { .. } | LinkTarget::Other => false,
    }
}

/// What is said of a link that lost its target.
pub(super) fn lost_reason(attachment: &Attachment) -> &'static str {
    match attachment {
        Attachment::FreplacePinned { .. } => {
            "another program is pinned there now: its function is replaced, and then that of the old one \
             is as it was"
        }
        Attachment::Sockmap { .. } => {
            "it was detached, or its map is another one now: attached anew"
        }
        _ => "it was detached, or what it was attached to went away and came back: attached anew",
    }
}

/// When a link is made.
pub(super) fn phase(attachment: &Attachment) -> Phase {
    match attachment {
        Attachment::Freplace { .. } | Attachment::FreplacePinned { .. } => Phase::Replacements,
        _ => Phase::Links,
    }
}

/// Whether `BPF_LINK_UPDATE` can swap the program (`bpf_link_ops.update_prog` of each type).
pub(super) fn updates_in_place(link_type: LinkType) -> bool {
    [
        LinkType::XDP,
        LinkType::TCX,
        LinkType::CGROUP,
        LinkType::NETNS,
        LinkType::ITER,
        LinkType::NETKIT,
        LinkType::SOCKMAP,
    ]
    .contains(&link_type)
}
