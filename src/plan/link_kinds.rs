//! What the planner has to know of the kernel's kinds of links.

use crate::model::attach::Attachment;
use crate::model::kinds::LinkType;
use crate::model::live::{LinkTarget, LiveLink};

/// The type of the links that make an attachment.
pub(super) fn link_type(attachment: &Attachment) -> Option<LinkType> {
    match attachment {
        Attachment::Xdp { .. } => Some(LinkType::XDP),
        Attachment::Tcx { .. } => Some(LinkType::TCX),
        Attachment::Netkit { .. } => Some(LinkType::NETKIT),
        Attachment::Cgroup { .. } | Attachment::CgroupUnit { .. } => Some(LinkType::CGROUP),
        Attachment::SkLookup { .. } | Attachment::FlowDissector { .. } => Some(LinkType::NETNS),
        Attachment::Sockmap { .. } => Some(LinkType::SOCKMAP),
        Attachment::Netfilter { .. } => Some(LinkType::NETFILTER),
        Attachment::Tracepoint { .. } => Some(LinkType::PERF_EVENT),
        Attachment::RawTracepoint { .. } | Attachment::TpBtf { .. } => {
            Some(LinkType::RAW_TRACEPOINT)
        }
        Attachment::Freplace { .. } => Some(LinkType::TRACING),
        Attachment::Tc { .. } => None,
    }
}

/// Whether a live link no longer hangs where its manifest line points.
pub(super) fn lost_its_target(link: &LiveLink, wanted: u64) -> bool {
    match link.target {
        LinkTarget::Interface { index, .. } => u64::from(index) != wanted,
        LinkTarget::Cgroup { id, .. } => id != wanted,
        LinkTarget::Netns { inode, .. } => inode != wanted,
        LinkTarget::Map { id, .. } => u64::from(id) != wanted,
        LinkTarget::Netfilter { .. } | LinkTarget::Tracepoint { .. } | LinkTarget::Other => false,
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
