//! Network interfaces of the network namespace this thread is in.
//!
//! Asked through a socket, never through `/sys/class/net`, which may be another namespace's.

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};

use super::sys::Answer;

/// The index of an interface; `ENODEV` if there is none of that name.
pub(super) fn index(name: &str) -> Answer<u32> {
    // `struct ifreq` has 15 bytes for it (`IFNAMSIZ`).
    if name.is_empty() || name.len() > 15 || name.contains(['\0', '/']) {
        return Err(Errno::NODEV);
    }
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    netdevice::name_to_index(&socket, name)
}
