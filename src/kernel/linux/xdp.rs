//! What runs as XDP on an interface of this network namespace, by rtnetlink.

use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage, LinkXdp};
use rustix::io::Errno;

use super::netlink;
use super::sys::{Answer, flags as sys_flags};
use crate::model::attach::XdpMode;

/// A program that runs as XDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) program_id: u32,
    /// In which mode; `Auto` where the kernel does not tell.
    mode: XdpMode,
}

impl Running {
    /// How it runs.
    pub(super) fn mode(self) -> XdpMode {
        self.mode
    }

    /// The word of ip-link(8) for its mode.
    pub(super) fn word(self) -> &'static str {
        match self.mode {
            XdpMode::Auto => "xdp",
            XdpMode::Native => "xdpdrv",
            XdpMode::Generic => "xdpgeneric",
            XdpMode::Offload => "xdpoffload",
        }
    }
}

/// How a program was attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Link,
    Netlink,
    /// There is none any more.
    Nothing,
}

/// The bits of `XDP_FLAGS_MODES` that ask for a mode.
pub(super) fn flags(mode: XdpMode) -> u32 {
    match mode {
        XdpMode::Auto => 0,
        XdpMode::Native => sys_flags::XDP_NATIVE,
        XdpMode::Generic => sys_flags::XDP_GENERIC,
        XdpMode::Offload => sys_flags::XDP_OFFLOAD,
    }
}

/// What runs where a program of that mode would: on the card, or on the host, which has one place for
/// the driver and the stack (`dev_xdp_attach`).
pub(super) fn running(index: u32, mode: XdpMode) -> Answer<Option<Running>> {
    let answers = netlink::request(RouteNetlinkMessage::GetLink(message(index)), 0)?;
    let parts = answers.into_iter().find_map(|answer| {
        let RouteNetlinkMessage::NewLink(link) = answer else { return None };
        link.attributes.into_iter().find_map(|attribute| match attribute {
            LinkAttribute::Xdp(parts) => Some(parts),
            _ => None,
        })
    });
    let parts = parts.unwrap_or_default();
    let found = |wanted: &[XdpMode]| {
        let mut all = parts.iter().filter_map(of_mode);
        all.find(|running| wanted.contains(&running.mode))
    };
    if mode == XdpMode::Offload {
        return Ok(found(&[XdpMode::Offload]));
    }
    let on_host = || found(&[XdpMode::Native, XdpMode::Generic]);
    // Beside the id of the mode the kernel tells it once without, as it always did.
    let untold = || found(&[XdpMode::Auto]).filter(|_| found(&[XdpMode::Offload]).is_none());
    Ok(on_host().or_else(untold))
}

/// How `running` was attached, which the kernel tells whoever wants to replace it over netlink: what a
/// link attached, nobody may (`EBUSY`), and only then it compares the program (`EEXIST`).
///
/// The request is to take away nothing where nothing is, so it never changes anything. Before Linux
/// 5.7 there are neither such requests (`EINVAL`) nor links.
pub(super) fn attached_by(index: u32, running: Running) -> Answer<By> {
    const NONE: RawFd = -1;
    let mut message = message(index);
    message.attributes.push(LinkAttribute::Xdp(vec![
        LinkXdp::Fd(NONE),
        LinkXdp::Flags(flags(running.mode) | sys_flags::XDP_REPLACE),
        LinkXdp::ExpectedFd(NONE.cast_unsigned()),
    ]));
    match netlink::request(RouteNetlinkMessage::SetLink(message), 0) {
        Ok(_) => Ok(By::Nothing),
        Err(Errno::BUSY) => Ok(By::Link),
        Err(Errno::EXIST | Errno::INVAL) => Ok(By::Netlink),
        Err(errno) => Err(errno),
    }
}

/// Puts a program in the place of another, without a link, or takes it away: only if that other runs there
/// (`EEXIST`), or none does (`EBUSY`).
pub(super) fn replace(
    index: u32,
    mode: XdpMode,
    new: Option<BorrowedFd<'_>>,
    old: Option<BorrowedFd<'_>>,
) -> Answer<()> {
    let number = |program: Option<BorrowedFd<'_>>| program.map_or(-1, |fd| fd.as_raw_fd());
    let only_if = if old.is_some() { sys_flags::XDP_REPLACE } else { sys_flags::XDP_IF_NONE };
    let mut parts = vec![LinkXdp::Fd(number(new)), LinkXdp::Flags(flags(mode) | only_if)];
    if old.is_some() {
        parts.push(LinkXdp::ExpectedFd(number(old).cast_unsigned()));
    }
    let mut message = message(index);
    message.attributes.push(LinkAttribute::Xdp(parts));
    netlink::request(RouteNetlinkMessage::SetLink(message), 0).map(drop)
}

fn message(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

fn of_mode(part: &LinkXdp) -> Option<Running> {
    let (program_id, mode) = match part {
        LinkXdp::DrvProgId(id) => (*id, XdpMode::Native),
        LinkXdp::SkbProgId(id) => (*id, XdpMode::Generic),
        LinkXdp::HwProgId(id) => (*id, XdpMode::Offload),
        LinkXdp::ProgId(id) => (*id, XdpMode::Auto),
        _ => return None,
    };
    Some(Running { program_id, mode })
}
