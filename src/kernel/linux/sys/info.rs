//! `BPF_OBJ_GET_INFO_BY_FD`, and the kind of an object before its info is trusted.

use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::{Answer, abi, address_mut, bpf, length, number, own, text};
use crate::model::identity::ObjectKind;
use crate::model::kinds::{AttachType, LinkType, MapType, ProgramType};
use crate::model::map::MapShape;
use abi::Command;

/// What the kernel says of a map.
#[derive(Clone, Debug)]
pub(in crate::kernel::linux) struct MapInfo {
    pub(in crate::kernel::linux) id: u32,
    pub(in crate::kernel::linux) name: String,
    pub(in crate::kernel::linux) shape: MapShape,
    /// Id of its BTF; 0 for none.
    pub(in crate::kernel::linux) btf_id: u32,
    pub(in crate::kernel::linux) key_type_id: u32,
    pub(in crate::kernel::linux) value_type_id: u32,
}

/// What the kernel says of a program.
#[derive(Clone, Debug)]
pub(in crate::kernel::linux) struct ProgramInfo {
    pub(in crate::kernel::linux) id: u32,
    pub(in crate::kernel::linux) name: String,
    pub(in crate::kernel::linux) program_type: ProgramType,
    pub(in crate::kernel::linux) tag: [u8; 8],
    /// How many maps it uses.
    pub(in crate::kernel::linux) maps: u32,
    /// Id of its BTF; 0 for none.
    pub(in crate::kernel::linux) btf_id: u32,
}

/// What the kernel has counted of a program.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernel::linux) struct ProgramStatistics {
    /// 0 while `kernel.bpf_stats_enabled` was never set.
    pub(in crate::kernel::linux) runs: u64,
    pub(in crate::kernel::linux) run_time_ns: u64,
    /// 0 before 5.16.
    pub(in crate::kernel::linux) verified_instructions: u32,
}

/// What the kernel says of a link. Which of the details mean something depends on the type.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernel::linux) struct LinkInfo {
    pub(in crate::kernel::linux) id: u32,
    pub(in crate::kernel::linux) link_type: LinkType,
    pub(in crate::kernel::linux) program_id: u32,
    detail: [u64; 4],
}

/// Where in a link's info the kernel puts a name, and how long that may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernel::linux) enum LinkName {
    /// `raw_tracepoint.tp_name`.
    RawTracepoint,
    /// `perf_event.tracepoint.tp_name` (6.6).
    PerfTracepoint,
}

/// Which kind of object `fd` is, by the name of its anonymous inode; `None` for any other file.
///
/// New links are `bpf_link` (`bpf_link_prime`), reopened ones `bpf-link` (`bpf_link_new_fd`).
pub(in crate::kernel::linux) fn kind(fd: BorrowedFd<'_>) -> Answer<Option<ObjectKind>> {
    let path = format!("/proc/thread-self/fd/{}", fd.as_raw_fd());
    let target = rustix::fs::readlink(path, Vec::new())?;
    let name = target.to_bytes();
    Ok(match name.strip_prefix(b"anon_inode:").unwrap_or_default() {
        b"bpf-map" => Some(ObjectKind::Map),
        b"bpf-prog" => Some(ObjectKind::Program),
        b"bpf-link" | b"bpf_link" => Some(ObjectKind::Link),
        b"btf" => Some(ObjectKind::Btf),
        _ => None,
    })
}

/// What the kernel says of `map`; of another object, numbers that mean something else.
pub(in crate::kernel::linux) fn map_info(map: BorrowedFd<'_>) -> Answer<MapInfo> {
    let raw = plain_info::<abi::MapInfo>(map)?;
    Ok(MapInfo {
        id: raw.id,
        name: text(&raw.name),
        shape: MapShape {
            map_type: MapType(raw.map_type),
            key_size: raw.key_size,
            value_size: raw.value_size,
            max_entries: raw.max_entries,
            map_flags: raw.map_flags,
            map_extra: raw.map_extra,
        },
        btf_id: raw.btf_id,
        key_type_id: raw.btf_key_type_id,
        value_type_id: raw.btf_value_type_id,
    })
}

/// What the kernel says of `program`; of another object, numbers that mean something else.
pub(in crate::kernel::linux) fn program_info(program: BorrowedFd<'_>) -> Answer<ProgramInfo> {
    let raw = plain_info::<abi::ProgInfo>(program)?;
    Ok(ProgramInfo {
        id: raw.id,
        name: text(&raw.name),
        program_type: ProgramType(raw.prog_type),
        tag: raw.tag,
        maps: raw.nr_map_ids,
        btf_id: raw.btf_id,
    })
}

/// What the kernel has counted of `program`; of another object, numbers that mean something else.
pub(in crate::kernel::linux) fn program_statistics(
    program: BorrowedFd<'_>,
) -> Answer<ProgramStatistics> {
    let raw = plain_info::<abi::ProgInfo>(program)?;
    Ok(ProgramStatistics {
        runs: raw.run_cnt,
        run_time_ns: raw.run_time_ns,
        verified_instructions: raw.verified_insns,
    })
}

/// Ids of the `count` maps a program uses.
pub(in crate::kernel::linux) fn program_map_ids(
    program: BorrowedFd<'_>,
    count: u32,
) -> Answer<Vec<u32>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    expect_kind(program, ObjectKind::Program)?;
    // `MAX_USED_MAPS` is 64; nothing a kernel could answer is larger than this.
    let mut ids = vec![0; usize::try_from(count.min(4096)).unwrap_or_default()];
    let mut raw = abi::ProgInfo {
        nr_map_ids: length(&ids)?,
        map_ids: address_mut(&mut ids),
        ..abi::ProgInfo::default()
    };
    // SAFETY: `program` is a program, and `map_ids` has room for `nr_map_ids` numbers.
    unsafe { info(program, &mut raw) }?;
    ids.truncate(usize::try_from(raw.nr_map_ids).unwrap_or_default());
    Ok(ids)
}

/// What the kernel says of `link`; of another object, numbers that mean something else.
pub(in crate::kernel::linux) fn link_info(link: BorrowedFd<'_>) -> Answer<LinkInfo> {
    let raw = plain_info::<abi::LinkInfo>(link)?;
    Ok(LinkInfo {
        id: raw.id,
        link_type: LinkType(raw.link_type),
        program_id: raw.prog_id,
        detail: raw.detail,
    })
}

/// The name of the tracepoint of a link whose info holds one at `place`.
pub(in crate::kernel::linux) fn link_name(link: BorrowedFd<'_>, place: LinkName) -> Answer<String> {
    expect_kind(link, ObjectKind::Link)?;
    let (link_type, at) = match place {
        LinkName::RawTracepoint => (LinkType::RAW_TRACEPOINT, 0),
        LinkName::PerfTracepoint => (LinkType::PERF_EVENT, 1),
    };
    if link_info(link)?.link_type != link_type {
        return Err(Errno::INVAL);
    }
    let mut name = [0_u8; 256];
    let mut raw = abi::LinkInfo::default();
    raw.detail[at] = address_mut(&mut name);
    let [a, b, c, d] = length(&name)?.to_ne_bytes();
    raw.detail[at + 1] = u64::from_ne_bytes([a, b, c, d, 0, 0, 0, 0]);
    // SAFETY: a link of this type takes the address of a buffer and its length (a `u32`) at `place`,
    // and `name` has that length. Of all perf events only tracepoints, kprobes and uprobes read the
    // place, and each takes it as address and length.
    unsafe { info(link, &mut raw) }?;
    Ok(text(&name))
}

impl LinkInfo {
    fn low(word: u64) -> u32 {
        let bytes = word.to_ne_bytes();
        u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    fn high(word: u64) -> u32 {
        let bytes = word.to_ne_bytes();
        u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]])
    }

    /// `xdp.ifindex`, `tcx.ifindex`, `netkit.ifindex`; 0 once the interface is gone.
    pub(in crate::kernel::linux) fn interface(&self) -> u32 {
        Self::low(self.detail[0])
    }

    /// `tcx.attach_type`, `netkit.attach_type`.
    pub(in crate::kernel::linux) fn interface_attach_type(&self) -> AttachType {
        AttachType(Self::high(self.detail[0]))
    }

    /// `cgroup.cgroup_id`; 0 once the cgroup is gone.
    pub(in crate::kernel::linux) fn cgroup(&self) -> u64 {
        self.detail[0]
    }

    /// `cgroup.attach_type`.
    pub(in crate::kernel::linux) fn cgroup_attach_type(&self) -> AttachType {
        AttachType(Self::low(self.detail[1]))
    }

    /// `netns.netns_ino`; 0 once the namespace is gone.
    pub(in crate::kernel::linux) fn netns(&self) -> u32 {
        Self::low(self.detail[0])
    }

    /// `netns.attach_type`.
    pub(in crate::kernel::linux) fn netns_attach_type(&self) -> AttachType {
        AttachType(Self::high(self.detail[0]))
    }

    /// `sockmap.map_id`; 0 once it is detached.
    pub(in crate::kernel::linux) fn map(&self) -> u32 {
        Self::low(self.detail[0])
    }

    /// `sockmap.attach_type`.
    pub(in crate::kernel::linux) fn map_attach_type(&self) -> AttachType {
        AttachType(Self::high(self.detail[0]))
    }

    /// `netfilter.pf`, `netfilter.hooknum` and `netfilter.priority`.
    pub(in crate::kernel::linux) fn netfilter(&self) -> (u32, u32, i32) {
        let [family, hook] = [Self::low(self.detail[0]), Self::high(self.detail[0])];
        (family, hook, Self::low(self.detail[1]).cast_signed())
    }

    /// `struct_ops.map_id`; 0 once the link is detached.
    pub(in crate::kernel::linux) fn operations(&self) -> u32 {
        Self::low(self.detail[0])
    }

    /// `tracing.target_obj_id` of a program that replaces a function: the id of the program that has
    /// it; `None` for other links of this type, and before 5.13.
    pub(in crate::kernel::linux) fn replaced_program(&self) -> Option<u32> {
        // `tracing.attach_type`: what replaces functions has none.
        let replaces = self.link_type == LinkType::TRACING && Self::low(self.detail[0]) == 0;
        Some(Self::high(self.detail[0])).filter(|id| replaces && *id != 0)
    }

    /// `perf_event.type`, of `enum bpf_perf_event_type`: 5 is a tracepoint; 0 before 6.6.
    pub(in crate::kernel::linux) fn is_perf_tracepoint(&self) -> bool {
        self.link_type == LinkType::PERF_EVENT && Self::low(self.detail[0]) == 5
    }
}

/// Id of `btf`; of another object, a number that means something else.
pub(in crate::kernel::linux) fn btf_id(btf: BorrowedFd<'_>) -> Answer<u32> {
    Ok(plain_info::<abi::BtfInfo>(btf)?.id)
}

/// The bytes of a BTF of the kernel.
pub(in crate::kernel::linux) fn btf_bytes(btf: BorrowedFd<'_>) -> Answer<Vec<u8>> {
    expect_kind(btf, ObjectKind::Btf)?;
    let size = plain_info::<abi::BtfInfo>(btf)?.btf_size;
    let mut bytes = vec![0_u8; usize::try_from(size).unwrap_or_default()];
    let mut raw = abi::BtfInfo {
        btf: address_mut(&mut bytes),
        btf_size: length(&bytes)?,
        ..abi::BtfInfo::default()
    };
    // SAFETY: `btf` is a BTF, and `bytes` has room for `btf_size` bytes.
    unsafe { info(btf, &mut raw) }?;
    Ok(bytes)
}

/// The name of a BTF that the kernel made itself: `vmlinux`, or that of a module; `None` for one that
/// somebody loaded (Linux 5.11).
pub(in crate::kernel::linux) fn kernel_btf_name(btf: BorrowedFd<'_>) -> Answer<Option<String>> {
    expect_kind(btf, ObjectKind::Btf)?;
    // `MODULE_NAME_LEN` is less than this.
    let mut name = [0_u8; 64];
    let mut raw = abi::BtfInfo {
        name: address_mut(&mut name),
        name_len: length(&name)?,
        ..abi::BtfInfo::default()
    };
    // SAFETY: `btf` is a BTF, and `name` has room for `name_len` bytes.
    unsafe { info(btf, &mut raw) }?;
    Ok((raw.kernel_btf != 0).then(|| text(&name)))
}

/// The id of the BTF that comes after `id`; `None` after the last. Needs `CAP_SYS_ADMIN`.
pub(in crate::kernel::linux) fn next_btf_id(id: u32) -> Answer<Option<u32>> {
    let mut attr = abi::GetById { id, ..abi::GetById::default() };
    // SAFETY: `GetById` is what `BPF_BTF_GET_NEXT_ID` takes; it holds no address.
    match unsafe { bpf(Command::BtfGetNextId, &mut attr) } {
        Ok(_) => Ok(Some(attr.next_id)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Opens a BTF by its id; needs `CAP_SYS_ADMIN`.
pub(in crate::kernel::linux) fn open_btf(id: u32) -> Answer<OwnedFd> {
    open_by_id(Command::BtfGetFdById, id)
}

/// Opens a map by its id; needs `CAP_SYS_ADMIN`.
pub(in crate::kernel::linux) fn open_map(id: u32) -> Answer<OwnedFd> {
    open_by_id(Command::MapGetFdById, id)
}

/// Opens a program by its id; needs `CAP_SYS_ADMIN`.
pub(in crate::kernel::linux) fn open_program(id: u32) -> Answer<OwnedFd> {
    open_by_id(Command::ProgGetFdById, id)
}

/// Opens a link by its id; needs `CAP_SYS_ADMIN`.
pub(in crate::kernel::linux) fn open_link(id: u32) -> Answer<OwnedFd> {
    open_by_id(Command::LinkGetFdById, id)
}

/// The id of the next link after `id`, `ENOENT` after the last; needs `CAP_SYS_ADMIN`.
pub(in crate::kernel::linux) fn next_link(id: u32) -> Answer<u32> {
    let mut attr = abi::GetById { id, ..abi::GetById::default() };
    // SAFETY: `GetById` is what the commands that go from id to id take; it holds no address.
    unsafe { bpf(Command::LinkGetNextId, &mut attr) }?;
    Ok(attr.next_id)
}

fn open_by_id(command: Command, id: u32) -> Answer<OwnedFd> {
    let mut attr = abi::GetById { id, ..abi::GetById::default() };
    // SAFETY: `GetById` is what the commands that open by id take; it holds no address.
    let fd = unsafe { bpf(command, &mut attr) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { own(fd) })
}

fn expect_kind(fd: BorrowedFd<'_>, wanted: ObjectKind) -> Answer<()> {
    if kind(fd)? == Some(wanted) { Ok(()) } else { Err(Errno::INVAL) }
}

/// What the kernel says of `fd`, where no room is given for anything of variable length.
fn plain_info<I: abi::Info>(fd: BorrowedFd<'_>) -> Answer<I> {
    let mut raw = I::default();
    // SAFETY: every byte of `raw` is zero, so that whatever kind of object `fd` is, the kernel finds
    // in it no address to write to and no length (`bpf_obj_get_info_by_fd` in `kernel/bpf/syscall.c`
    // and what it calls).
    unsafe { info(fd, &mut raw) }?;
    Ok(raw)
}

/// Fills `raw` with what the kernel says of `fd`.
///
/// # Safety
/// `I` is the beginning of the info of objects of the kind `fd` is, and every address in `raw` is
/// valid for the length beside it.
unsafe fn info<I>(fd: BorrowedFd<'_>, raw: &mut I) -> Answer<()> {
    let mut attr = abi::InfoByFd {
        bpf_fd: number(fd),
        info_len: u32::try_from(size_of::<I>()).map_err(|_beyond| Errno::TOOBIG)?,
        info: std::ptr::from_mut(raw).expose_provenance() as u64,
    };
    // SAFETY: `info` is the address of `info_len` writable bytes; any bytes are an `I`, which is made
    // of integers. The rest is the caller's promise.
    unsafe { bpf(Command::ObjGetInfoByFd, &mut attr) }.map(drop)
}
