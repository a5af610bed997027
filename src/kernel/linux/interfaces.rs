//! What rtnetlink tells unasked of interfaces and of the filters on them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::io::Errno;

use super::netlink::{DATAGRAM, take};

/// `RTMGRP_LINK` and `RTMGRP_TC` (`linux/rtnetlink.h`).
const GROUPS: u32 = 0x1 | 0x8;

/// Follows the interfaces of this network namespace.
#[derive(Debug)]
pub struct Interfaces(Socket);

/// What was noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noticed {
    /// Something changed.
    pub any: bool,
    /// An interface may be new.
    pub new: bool,
}

impl Interfaces {
    /// Begins to follow them.
    ///
    /// # Errors
    /// If there is no netlink socket to be had.
    pub fn follow() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.set_non_blocking(true)?;
        socket.bind(&SocketAddr::new(0, GROUPS))?;
        Ok(Self(socket))
    }

    /// Takes in what was told since the last time.
    #[must_use]
    pub fn drain(&self) -> Noticed {
        let mut noticed = Noticed::default();
        loop {
            let mut datagram = Vec::with_capacity(DATAGRAM);
            match self.0.recv(&mut datagram, 0).map_err(|error| Errno::from_io_error(&error)) {
                Ok(0) | Err(Some(Errno::AGAIN)) => return noticed,
                Ok(_) => {
                    let mut messages = Vec::new();
                    // One that cannot be read ends it; those before it count.
                    let _ = take(&datagram, &mut messages);
                    noticed.any = true;
                    noticed.new |= messages.iter().any(is_new_interface);
                }
                Err(Some(Errno::INTR)) => {}
                // More came than the socket holds (`ENOBUFS`), or it says something else.
                Err(Some(Errno::NOBUFS)) => noticed = Noticed { any: true, new: true },
                Err(_) => return Noticed { any: true, new: true },
            }
        }
    }
}

/// An interface that is registered, or comes from another namespace, is told with every bit of
/// `ifi_change` set (`register_netdevice` and `__dev_change_net_namespace` of `net/core/dev.c`), a
/// change of one with those that changed.
fn is_new_interface(message: &RouteNetlinkMessage) -> bool {
    let RouteNetlinkMessage::NewLink(link) = message else { return false };
    link.header.change_mask.bits() == u32::MAX
}

impl AsFd for Interfaces {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
