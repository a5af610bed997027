//! What the kernel says of an open object, as plain data.

use std::os::fd::AsFd as _;

use rustix::io::Errno;

use super::handle::Handle;
use super::sys::{self, Answer, LinkName, MapInfo};
use crate::btf::Btf;
use crate::model::ctype::CType;
use crate::model::identity::ObjectKind;
use crate::model::kinds::LinkType;
use crate::model::live::{LinkTarget, LiveLink, LiveMap, LiveObject, LiveProgram};
use crate::object::expand_types;

/// Describes a map, program or link.
pub(super) fn object(handle: &Handle) -> Answer<LiveObject> {
    Ok(match handle.kind() {
        ObjectKind::Map => LiveObject::Map(map(handle)?),
        ObjectKind::Program => LiveObject::Program(program(handle)?),
        ObjectKind::Link => LiveObject::Link(link(handle)?),
        ObjectKind::Btf => return Err(Errno::INVAL),
    })
}

fn map(handle: &Handle) -> Answer<LiveMap> {
    let info = sys::map_info(handle.as_fd())?;
    let [key, value] = types(&info);
    Ok(LiveMap { id: info.id, name: info.name, shape: info.shape, key, value })
}

/// The types of key and value, where the map has BTF and it may be read (`CAP_SYS_ADMIN`).
fn types(info: &MapInfo) -> [Option<CType>; 2] {
    if info.btf_id == 0 {
        return [None, None];
    }
    let bytes = sys::open_btf(info.btf_id).and_then(|btf| sys::btf_bytes(btf.as_fd()));
    match bytes {
        Ok(bytes) => match Btf::parse(&bytes) {
            Ok(btf) => expand_types(&btf, [info.key_type_id, info.value_type_id]),
            Err(error) => {
                tracing::debug!(map = info.name, %error, "the BTF of a map cannot be read");
                [None, None]
            }
        },
        Err(errno) => {
            tracing::debug!(map = info.name, %errno, "the BTF of a map may not be read");
            [None, None]
        }
    }
}

fn program(handle: &Handle) -> Answer<LiveProgram> {
    let info = sys::program_info(handle.as_fd())?;
    let map_ids = sys::program_map_ids(handle.as_fd(), info.maps)?;
    Ok(LiveProgram {
        id: info.id,
        name: info.name,
        program_type: info.program_type,
        tag: info.tag,
        map_ids,
    })
}

fn link(handle: &Handle) -> Answer<LiveLink> {
    let info = sys::link_info(handle.as_fd())?;
    let named = |place| LinkTarget::Tracepoint {
        // Best effort: the name is for messages and for telling two tracepoints apart.
        name: sys::link_name(handle.as_fd(), place).ok().filter(|name| !name.is_empty()),
    };
    let target = match info.link_type {
        LinkType::XDP => LinkTarget::Interface { index: info.interface(), attach_type: None },
        LinkType::TCX | LinkType::NETKIT => LinkTarget::Interface {
            index: info.interface(),
            attach_type: Some(info.interface_attach_type()),
        },
        LinkType::CGROUP => {
            LinkTarget::Cgroup { id: info.cgroup(), attach_type: info.cgroup_attach_type() }
        }
        LinkType::NETNS => LinkTarget::Netns {
            inode: u64::from(info.netns()),
            attach_type: info.netns_attach_type(),
        },
        LinkType::SOCKMAP => {
            LinkTarget::Map { id: info.map(), attach_type: info.map_attach_type() }
        }
        LinkType::NETFILTER => {
            let (family, hook, priority) = info.netfilter();
            LinkTarget::Netfilter { family, hook, priority }
        }
        LinkType::RAW_TRACEPOINT => named(LinkName::RawTracepoint),
        LinkType::PERF_EVENT if info.is_perf_tracepoint() => named(LinkName::PerfTracepoint),
        // Before 6.6 the kernel does not say what kind of event it is.
        LinkType::PERF_EVENT => LinkTarget::Tracepoint { name: None },
        LinkType::STRUCT_OPS => LinkTarget::StructOps { map: info.operations() },
        LinkType::TRACING => match info.replaced_program() {
            Some(id) => LinkTarget::Program { id },
            None => LinkTarget::Other,
        },
        _ => LinkTarget::Other,
    };
    Ok(LiveLink { id: info.id, link_type: info.link_type, program_id: info.program_id, target })
}
