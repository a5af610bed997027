//! Classifiers of the `clsact` qdisc, in direct-action mode, over rtnetlink.
//!
//! Such a filter is no link: it stays until it is deleted or its interface goes.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_ECHO, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcAttribute, TcBpfFlags, TcFilterBpfOption, TcHandle, TcHeader, TcMessage, TcOption,
};
use rustix::io::Errno;

use super::super::{AttachedFilter, KernelError, Result};
use super::handle::Handle;
use super::netlink;
use super::sys::{self, Answer};
use super::{interface, target};
use crate::model::attach::{Attachment, Direction};
use crate::model::identity::ObjectKind;
use crate::model::live::{FilterKey, LiveFilter};
use crate::model::program::ProgramSpec;

/// `ETH_P_ALL`: the filter sees every protocol.
const EVERY_PROTOCOL: u16 = 0x0003;

/// Adds the filter that `attachment` describes; the kernel chooses what it leaves open.
pub(super) fn attach(
    program: &Handle,
    spec: &ProgramSpec,
    attachment: &Attachment,
) -> Result<AttachedFilter> {
    let operation = format!("attach program `{}` to {attachment}", spec.name);
    let failed = |errno| refused(&operation, errno);
    let Attachment::Tc { interface, direction, priority, handle } = attachment else {
        return Err(KernelError::reason(operation, "this hook is attached by a link"));
    };
    let index = interface::index(interface)
        .map_err(|errno| target::interface_error(&operation, interface, errno))?;
    let wanted = FilterKey {
        interface: interface.clone(),
        index,
        direction: *direction,
        priority: priority.unwrap_or(0),
        handle: handle.unwrap_or(0),
    };
    let options = options(program).map_err(failed)?;
    let made_clsact = add_clsact(index).map_err(failed)?;
    let added = add_filter(&wanted, options, NLM_F_CREATE | NLM_F_EXCL);
    match added {
        Ok(key) => Ok(AttachedFilter { key, made_clsact }),
        Err(errno) => {
            if made_clsact {
                let _best_effort = remove_clsact_if_unused(index);
            }
            Err(failed(errno))
        }
    }
}

/// Puts `program` in the place of the filter's, or the filter back where it was.
pub(super) fn replace(program: &Handle, key: &FilterKey) -> Result<()> {
    let operation = format!("replace the program of {}", show(key));
    let failed = |errno| refused(&operation, errno);
    let options = options(program).map_err(failed)?;
    add_clsact(key.index).map_err(failed)?;
    add_filter(key, options, NLM_F_CREATE | NLM_F_REPLACE).map(drop).map_err(failed)
}

/// Removes the filter if it is there, and the qdisc if `with_clsact` and no other filter uses it.
pub(super) fn remove(key: &FilterKey, with_clsact: bool) -> Result<()> {
    let operation = format!("remove {}", show(key));
    let request = RouteNetlinkMessage::DelTrafficFilter(message(key, vec![kind("bpf")]));
    gone_is_none(netlink::request(request, 0)).map_err(|errno| refused(&operation, errno))?;
    // The filter is gone; an empty qdisc that stays behind changes nothing.
    if with_clsact && let Err(errno) = remove_clsact_if_unused(key.index) {
        tracing::warn!(interface = key.interface, %errno, "the `clsact` qdisc stays");
    }
    Ok(())
}

/// The filter, if it is there and runs a BPF program.
pub(super) fn get(key: &FilterKey) -> Result<Option<LiveFilter>> {
    let request = RouteNetlinkMessage::GetTrafficFilter(message(key, vec![kind("bpf")]));
    let answers = gone_is_none(netlink::request(request, 0))
        .map_err(|errno| refused(&format!("look at {}", show(key)), errno))?;
    Ok(answers
        .unwrap_or_default()
        .iter()
        .find_map(program_id)
        .map(|program_id| LiveFilter { program_id }))
}

/// Every BPF filter at one hook of an interface.
pub(super) fn list(
    interface: &str,
    direction: Direction,
) -> Result<BTreeMap<FilterKey, LiveFilter>> {
    let operation = format!("list the filters of {interface} {}", direction.as_str());
    let Ok(index) = interface::index(interface) else { return Ok(BTreeMap::new()) };
    let found = dump(index, direction).map_err(|errno| refused(&operation, errno))?;
    let filter = |answer: &RouteNetlinkMessage| {
        let program_id = program_id(answer)?;
        let RouteNetlinkMessage::NewTrafficFilter(filter) = answer else { return None };
        let (priority, handle) = preference(&filter.header);
        let interface = interface.to_owned();
        let key = FilterKey { interface, index, direction, priority, handle };
        Some((key, LiveFilter { program_id }))
    };
    Ok(found.iter().filter_map(filter).collect())
}

/// Whether the interface has the qdisc.
pub(super) fn has_clsact(interface: &str) -> Result<bool> {
    let operation = format!("look at the qdiscs of {interface}");
    let Ok(index) = interface::index(interface) else { return Ok(false) };
    let request = clsact(index).map(RouteNetlinkMessage::GetQueueDiscipline);
    let answers = request
        .and_then(|request| netlink::request(request, NLM_F_DUMP))
        .map_err(|errno| refused(&operation, errno))?;
    // Kernels answer with the qdiscs of every interface.
    Ok(answers.iter().any(|answer| match answer {
        RouteNetlinkMessage::NewQueueDiscipline(found) => {
            u32::try_from(found.header.index) == Ok(index)
                && found.attributes.contains(&kind("clsact"))
        }
        _ => false,
    }))
}

/// Every filter at one hook, of whichever kind.
fn dump(index: u32, direction: Direction) -> Answer<Vec<RouteNetlinkMessage>> {
    let place = TcMessage::from_parts(
        TcHeader { index: signed(index)?, parent: parent(direction), ..TcHeader::default() },
        Vec::new(),
    );
    let request = RouteNetlinkMessage::GetTrafficFilter(place);
    Ok(gone_is_none(netlink::request(request, NLM_F_DUMP))?.unwrap_or_default())
}

/// Adds the qdisc; says whether it was missing.
fn add_clsact(index: u32) -> Answer<bool> {
    let request = RouteNetlinkMessage::NewQueueDiscipline(clsact(index)?);
    match netlink::request(request, NLM_F_CREATE | NLM_F_EXCL) {
        Ok(_) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Removes the qdisc unless a filter is left on either side of it.
fn remove_clsact_if_unused(index: u32) -> Answer<()> {
    for direction in [Direction::Ingress, Direction::Egress] {
        if !dump(index, direction)?.is_empty() {
            return Ok(());
        }
    }
    let request = RouteNetlinkMessage::DelQueueDiscipline(clsact(index)?);
    gone_is_none(netlink::request(request, 0)).map(drop)
}

/// Adds or replaces; returns the key with what the kernel chose.
fn add_filter(key: &FilterKey, options: Vec<TcOption>, flags: u16) -> Answer<FilterKey> {
    let attributes = vec![kind("bpf"), TcAttribute::Options(options)];
    let request = RouteNetlinkMessage::NewTrafficFilter(message(key, attributes));
    let answers = netlink::request(request, flags | NLM_F_ECHO)?;
    let chosen = answers.iter().find_map(|answer| match answer {
        RouteNetlinkMessage::NewTrafficFilter(filter) => Some(&filter.header),
        _ => None,
    });
    let (priority, handle) = preference(chosen.ok_or(Errno::BADMSG)?);
    Ok(FilterKey { priority, handle, ..key.clone() })
}

/// Priority and handle of a filter.
fn preference(header: &TcHeader) -> (u16, u32) {
    let [high, low, ..] = header.info.to_be_bytes();
    (u16::from_be_bytes([high, low]), u32::from(header.handle))
}

/// What the filter runs, named as libbpf's `bpf_tc_attach` names it.
fn options(program: &Handle) -> Answer<Vec<TcOption>> {
    let fd = program.expect(ObjectKind::Program)?;
    let info = sys::program_info(fd.as_fd())?;
    Ok([
        TcFilterBpfOption::ProgFd(sys::number(fd)),
        TcFilterBpfOption::ProgName(format!("{}:[{}]", info.name, info.id)),
        TcFilterBpfOption::Flags(TcBpfFlags::DirectAction),
    ]
    .map(TcOption::Bpf)
    .to_vec())
}

fn program_id(answer: &RouteNetlinkMessage) -> Option<u32> {
    let RouteNetlinkMessage::NewTrafficFilter(filter) = answer else { return None };
    filter.attributes.iter().find_map(|attribute| match attribute {
        TcAttribute::Options(options) => options.iter().find_map(|option| match option {
            TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => Some(*id),
            _ => None,
        }),
        _ => None,
    })
}

fn message(key: &FilterKey, attributes: Vec<TcAttribute>) -> TcMessage {
    let protocol = u32::from(EVERY_PROTOCOL.to_be());
    let header = TcHeader {
        // An index beyond `i32` belongs to no interface; -1 (a block) must not be asked for either.
        index: signed(key.index).unwrap_or(0),
        handle: TcHandle::from(key.handle),
        parent: parent(key.direction),
        info: (u32::from(key.priority) << 16) | protocol,
        ..TcHeader::default()
    };
    TcMessage::from_parts(header, attributes)
}

fn clsact(index: u32) -> Answer<TcMessage> {
    let header = TcHeader {
        index: signed(index)?,
        handle: TcHandle { major: TcHandle::CLSACT.major, minor: 0 },
        parent: TcHandle::CLSACT,
        ..TcHeader::default()
    };
    Ok(TcMessage::from_parts(header, vec![kind("clsact")]))
}

fn parent(direction: Direction) -> TcHandle {
    let minor = match direction {
        Direction::Ingress => TcHandle::MIN_INGRESS,
        Direction::Egress => TcHandle::MIN_EGRESS,
    };
    TcHandle { major: TcHandle::CLSACT.major, minor }
}

fn kind(name: &str) -> TcAttribute {
    TcAttribute::Kind(name.to_owned())
}

fn signed(index: u32) -> Answer<i32> {
    i32::try_from(index).map_err(|_beyond| Errno::NODEV)
}

/// No such filter (`ENOENT`), no such interface (`ENODEV`), no such qdisc or chain (`EINVAL`; see
/// `__tcf_qdisc_find` and `tc_get_tfilter` in `net/sched/cls_api.c`): it is not there.
fn gone_is_none<T>(answer: Answer<T>) -> Answer<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::NODEV | Errno::INVAL) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn show(key: &FilterKey) -> String {
    format!(
        "filter {} {} priority {} handle {:#x}",
        key.interface,
        key.direction.as_str(),
        key.priority,
        key.handle
    )
}

fn refused(operation: &str, errno: Errno) -> KernelError {
    let error = KernelError::errno(operation, errno);
    match errno {
        Errno::PERM => error.advice(super::capability::advice(
            rustix::thread::CapabilitySet::NET_ADMIN,
        )),
        Errno::EXIST => error.advice(
            "a filter with this priority and handle is there already; choose another `handle`, or \
             leave it to the kernel",
        ),
        Errno::NODEV => error.advice("the interface has gone meanwhile"),
        Errno::NOENT | Errno::OPNOTSUPP => {
            error.advice("the kernel has no `clsact` (CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_BPF)")
        }
        Errno::INVAL => error.advice(
            "the interface has an `ingress` qdisc where `clsact` belongs, or another kind of filter \
             has this priority",
        ),
        _ => error,
    }
}
