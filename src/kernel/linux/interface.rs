//! Network interfaces of the network namespace this thread is in.
//!
//! Asked through a socket, never through `/sys/class/net`, which may be another namespace's.

use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkInfo, LinkLayerType, LinkMessage};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};

use super::netlink;
use super::sys::Answer;
use crate::model::pattern::Interface;

/// The index of an interface; `ENODEV` if there is none of that name.
pub(super) fn index(name: &str) -> Answer<u32> {
    // `struct ifreq` has 15 bytes for it (`IFNAMSIZ`).
    if name.is_empty() || name.len() > 15 || name.contains(['\0', '/']) {
        return Err(Errno::NODEV);
    }
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    netdevice::name_to_index(&socket, name)
}

/// The name of an interface; `ENXIO` or `ENODEV` if there is none of that index.
pub(super) fn name(index: u32) -> Answer<String> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    netdevice::index_to_name(&socket, index)
}

/// All interfaces, by name.
pub(super) fn all() -> Answer<Vec<Interface>> {
    let answers =
        netlink::request(RouteNetlinkMessage::GetLink(LinkMessage::default()), NLM_F_DUMP)?;
    let mut all: Vec<Interface> = answers.iter().filter_map(described).collect();
    all.sort();
    Ok(all)
}

/// Interfaces that the kernel makes itself have a kind (`rtnl_link_ops`), but for the loopback, whose
/// layer says it.
fn described(answer: &RouteNetlinkMessage) -> Option<Interface> {
    let RouteNetlinkMessage::NewLink(link) = answer else { return None };
    let mut attributes = link.attributes.iter();
    let name = attributes.find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })?;
    let has_kind = link.attributes.iter().any(|attribute| match attribute {
        LinkAttribute::LinkInfo(parts) => {
            parts.iter().any(|part| matches!(part, LinkInfo::Kind(_)))
        }
        _ => false,
    });
    let physical = !has_kind && link.header.link_layer_type != LinkLayerType::Loopback;
    Some(Interface { name, physical })
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::link::InfoKind;

    use super::*;

    #[test]
    fn what_has_no_kind_is_a_device() {
        let interface = |layer, kind: Option<InfoKind>| {
            let mut link = LinkMessage::default();
            link.header.link_layer_type = layer;
            link.attributes.push(LinkAttribute::IfName("it".to_owned()));
            if let Some(kind) = kind {
                link.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)]));
            }
            described(&RouteNetlinkMessage::NewLink(link)).expect("it has a name").physical
        };
        assert!(interface(LinkLayerType::Ether, None));
        assert!(!interface(LinkLayerType::Ether, Some(InfoKind::Veth)));
        assert!(!interface(LinkLayerType::Loopback, None));
    }
}
