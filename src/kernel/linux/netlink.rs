//! Requests to rtnetlink and their answers, one socket a request.

use std::num::NonZeroI32;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::io::Errno;

use super::sys::Answer;

/// Largest datagram the kernel builds for one read of a dump (`NLMSG_GOODSIZE` is at most 8 KiB, and
/// a reader with a larger buffer gets up to 32 KiB).
pub(super) const DATAGRAM: usize = 32 * 1024;

/// Most messages one request is answered with; a dump that never ends is cut off.
const MESSAGES_MAX: usize = 1 << 16;

/// Sends one request and returns the messages that answer it, up to its acknowledgement or, for a
/// dump, its end.
pub(super) fn request(
    message: RouteNetlinkMessage,
    flags: u16,
) -> Answer<Vec<RouteNetlinkMessage>> {
    let failed = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let mut socket = Socket::new(NETLINK_ROUTE).map_err(failed)?;
    socket.bind_auto().map_err(failed)?;
    socket.connect(&SocketAddr::new(0, 0)).map_err(failed)?;

    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    header.sequence_number = 1;
    let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
    packet.finalize();
    let mut bytes = vec![0; packet.buffer_len()];
    packet.serialize(&mut bytes);
    socket.send(&bytes, 0).map_err(failed)?;

    let mut answers = Vec::new();
    while answers.len() < MESSAGES_MAX {
        let mut datagram = Vec::with_capacity(DATAGRAM);
        socket.recv(&mut datagram, 0).map_err(failed)?;
        if take(&datagram, &mut answers)? {
            return Ok(answers);
        }
    }
    Err(Errno::MSGSIZE)
}

/// Takes the messages of one datagram; says whether the last was among them.
pub(super) fn take(mut datagram: &[u8], answers: &mut Vec<RouteNetlinkMessage>) -> Answer<bool> {
    while !datagram.is_empty() {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(datagram)
            .map_err(|_malformed| Errno::BADMSG)?;
        match message.payload {
            NetlinkPayload::InnerMessage(inner) => answers.push(inner),
            NetlinkPayload::Error(error) => return error.code.map_or(Ok(true), refusal),
            NetlinkPayload::Done(done) => {
                return NonZeroI32::new(done.code).map_or(Ok(true), refusal);
            }
            NetlinkPayload::Overrun(_) => return Err(Errno::NOBUFS),
            _ => {}
        }
        // Messages lie at multiples of 4 bytes.
        let length = usize::try_from(message.header.length).unwrap_or(usize::MAX);
        let next = length.checked_next_multiple_of(4).unwrap_or(usize::MAX);
        datagram = datagram.get(next.max(4)..).unwrap_or_default();
    }
    Ok(false)
}

fn refusal(code: NonZeroI32) -> Answer<bool> {
    Err(Errno::from_raw_os_error(code.get().saturating_abs()))
}
