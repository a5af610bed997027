//! Who is already at a hook that takes only one program, as far as the kernel tells.

use std::os::fd::AsFd as _;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage, LinkXdp};

use super::{netlink, sys};

/// Describes what runs as XDP on an interface, as advice for `EBUSY`.
pub(super) fn of_xdp(index: u32) -> String {
    let who = match xdp_program(index) {
        Some(id) => {
            // Needs CAP_SYS_ADMIN; the id alone is a help too.
            let info = sys::open_program(id).and_then(|program| sys::program_info(program.as_fd()));
            match info {
                Ok(info) => format!("program {id} (`{}`) runs there already", info.name),
                Err(_) => format!("program {id} runs there already"),
            }
        }
        None => "another program runs there already".to_owned(),
    };
    format!(
        "{who}, and an interface takes one XDP program; `bpftool net` and `bpftool link` show who \
         attached it"
    )
}

fn xdp_program(index: u32) -> Option<u32> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    let answers = netlink::request(RouteNetlinkMessage::GetLink(message), 0).ok()?;
    answers.iter().find_map(|answer| {
        let RouteNetlinkMessage::NewLink(link) = answer else { return None };
        link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Xdp(parts) => parts.iter().find_map(|part| match part {
                LinkXdp::ProgId(id)
                | LinkXdp::DrvProgId(id)
                | LinkXdp::SkbProgId(id)
                | LinkXdp::HwProgId(id) => Some(*id),
                _ => None,
            }),
            _ => None,
        })
    })
}
