//! Who is already at a hook, as far as the kernel tells.

use std::os::fd::AsFd as _;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage, LinkXdp};
use rustix::io::Errno;

use super::super::{KernelError, Result};
use super::handle::Handle;
use super::sys::{self, Answer, ObjectKind};
use super::{netlink, observe, target};
use crate::model::attach::Attachment;
use crate::model::kinds::LinkType;
use crate::model::live::{LinkTarget, LiveLink, LiveObject, Occupant, TargetState};

/// Every program at what `attachment` names that a link of its kind attaches; for XDP, the one that
/// netlink attached too.
pub(super) fn all(attachment: &Attachment) -> Result<Vec<Occupant>> {
    let link_type = match attachment {
        Attachment::Xdp { .. } => LinkType::XDP,
        Attachment::Tcx { .. } => LinkType::TCX,
        Attachment::Cgroup { .. } => LinkType::CGROUP,
        _ => return Ok(Vec::new()),
    };
    let TargetState::Present(wanted) = target::state(attachment)? else { return Ok(Vec::new()) };
    let here = |link: &LiveLink| match link.target {
        LinkTarget::Interface { index, .. } => u64::from(index) == wanted,
        LinkTarget::Cgroup { id, .. } => id == wanted,
        LinkTarget::Tracepoint { .. } | LinkTarget::Other => false,
    };
    let links = links(link_type).map_err(|errno| {
        let error = KernelError::errno(format!("look for links at {attachment}"), errno);
        match errno {
            Errno::PERM => error.advice("to find links of others by their ids needs CAP_SYS_ADMIN"),
            _ => error,
        }
    })?;
    let mut found: Vec<Occupant> = links
        .into_iter()
        .filter(here)
        .map(|link| Occupant::Linked { program: program_name(link.program_id), link })
        .collect();
    if let (Attachment::Xdp { interface, .. }, true) = (attachment, found.is_empty())
        && let Ok(index) = u32::try_from(wanted)
        && let Some(Xdp { program_id, word }) = xdp(index)
    {
        let free = format!("ip link set dev {interface} {word} off");
        found.push(Occupant::Bare { program_id, program: program_name(program_id), free });
    }
    Ok(found)
}

/// Opens a link or a program by its id.
pub(super) fn open(id: u32, kind: ObjectKind) -> Result<Handle> {
    let (what, opened) = match kind {
        ObjectKind::Link => ("link", sys::open_link(id)),
        _ => ("program", sys::open_program(id)),
    };
    opened.and_then(|fd| Handle::of_kind(fd, kind)).map_err(|errno| {
        let error = KernelError::errno(format!("open {what} {id}"), errno);
        match errno {
            Errno::NOENT => error.advice("it has gone meanwhile"),
            Errno::PERM => error.advice("opening what others made by its id needs CAP_SYS_ADMIN"),
            _ => error,
        }
    })
}

/// Every link of a type. One that goes meanwhile is left out.
fn links(link_type: LinkType) -> Answer<Vec<LiveLink>> {
    let mut all = Vec::new();
    let mut last = 0;
    loop {
        last = match sys::next_link(last) {
            Ok(id) => id,
            Err(Errno::NOENT) => return Ok(all),
            Err(errno) => return Err(errno),
        };
        let handle = match sys::open_link(last) {
            Ok(fd) => Handle::of_kind(fd, ObjectKind::Link)?,
            // Gone, or on its way (`bpf_link_by_id`).
            Err(Errno::NOENT | Errno::AGAIN) => continue,
            Err(errno) => return Err(errno),
        };
        if sys::link_info(handle.as_fd())?.link_type == link_type
            && let LiveObject::Link(link) = observe::object(&handle)?
        {
            all.push(link);
        }
    }
}

/// Empty for a program that has gone.
fn program_name(id: u32) -> String {
    let info = sys::open_program(id).and_then(|program| sys::program_info(program.as_fd()));
    info.map(|info| info.name).unwrap_or_default()
}

/// Describes what runs as XDP on an interface, as advice for `EBUSY`.
pub(super) fn of_xdp(index: u32) -> String {
    let who = match xdp(index) {
        // The name needs CAP_SYS_ADMIN; the id alone is a help too.
        Some(Xdp { program_id, .. }) => match program_name(program_id).as_str() {
            "" => format!("program {program_id} runs there already"),
            name => format!("program {program_id} (`{name}`) runs there already"),
        },
        None => "another program runs there already".to_owned(),
    };
    format!(
        "{who}, and an interface takes one XDP program; `bpftool net` and `bpftool link` show who \
         attached it, and `ebpf-apply adopt` takes a link over"
    )
}

/// What runs as XDP on an interface.
struct Xdp {
    program_id: u32,
    /// The word of ip-link(8) for its mode.
    word: &'static str,
}

fn xdp(index: u32) -> Option<Xdp> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    let answers = netlink::request(RouteNetlinkMessage::GetLink(message), 0).ok()?;
    let parts = answers.iter().find_map(|answer| {
        let RouteNetlinkMessage::NewLink(link) = answer else { return None };
        link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Xdp(parts) => Some(parts),
            _ => None,
        })
    })?;
    // The kernel tells the id twice: with its mode, and without.
    let of_mode = parts.iter().find_map(|part| match part {
        LinkXdp::DrvProgId(id) => Some((*id, "xdpdrv")),
        LinkXdp::SkbProgId(id) => Some((*id, "xdpgeneric")),
        LinkXdp::HwProgId(id) => Some((*id, "xdpoffload")),
        _ => None,
    });
    let any = || {
        parts.iter().find_map(|part| match part {
            LinkXdp::ProgId(id) => Some((*id, "xdp")),
            _ => None,
        })
    };
    of_mode.or_else(any).map(|(program_id, word)| Xdp { program_id, word })
}
