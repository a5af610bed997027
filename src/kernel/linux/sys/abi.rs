//! The structures and numbers of `include/uapi/linux/bpf.h` that are used here.
//!
//! Each structure is the part of `union bpf_attr` that one command takes, up to the last field we
//! set, padded by hand so that no byte of it is uninitialised.

/// `enum bpf_cmd`.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(super) enum Command {
    MapCreate = 0,
    MapLookupElem = 1,
    MapUpdateElem = 2,
    MapDeleteElem = 3,
    MapGetNextKey = 4,
    ProgLoad = 5,
    ObjPin = 6,
    ObjGet = 7,
    ProgAttach = 8,
    ProgDetach = 9,
    ProgGetFdById = 13,
    MapGetFdById = 14,
    ObjGetInfoByFd = 15,
    ProgQuery = 16,
    RawTracepointOpen = 17,
    BtfLoad = 18,
    BtfGetFdById = 19,
    TaskFdQuery = 20,
    MapFreeze = 22,
    BtfGetNextId = 23,
    MapLookupBatch = 24,
    MapUpdateBatch = 26,
    LinkCreate = 28,
    LinkUpdate = 29,
    LinkGetFdById = 30,
    LinkGetNextId = 31,
    LinkDetach = 34,
    ProgBindMap = 35,
}

/// Flags of the commands, and of the XDP hook.
pub(in crate::kernel::linux) mod flags {
    /// `BPF_NOEXIST`: write an entry only if the map has none of that key.
    pub(in crate::kernel::linux) const NOEXIST: u64 = 1;
    /// `BPF_EXIST`: write an entry only if the map has one of that key.
    pub(in crate::kernel::linux) const EXIST: u64 = 2;
    /// `BPF_F_LOCK`: read or write a value under its spin lock.
    pub(in crate::kernel::linux) const LOCK: u64 = 4;
    /// `BPF_F_NO_COMMON_LRU`: an LRU map has lists of its own for each CPU.
    pub(in crate::kernel::linux) const NO_COMMON_LRU: u32 = 1 << 1;
    /// `BPF_F_REPLACE`: update a link only if it runs the program named.
    pub(in crate::kernel::linux) const REPLACE: u32 = 1 << 2;
    /// `BPF_F_BEFORE`: insert before a program, or before all.
    pub(in crate::kernel::linux) const BEFORE: u32 = 1 << 3;
    /// `BPF_F_AFTER`: insert after a program, or after all.
    pub(in crate::kernel::linux) const AFTER: u32 = 1 << 4;
    /// `BPF_F_ID`: the program to be relative to is named by its id.
    pub(in crate::kernel::linux) const ID: u32 = 1 << 5;
    /// `BPF_F_LINK`: what to be relative to is a link.
    pub(in crate::kernel::linux) const LINK: u32 = 1 << 13;
    /// `BPF_F_NETFILTER_IP_DEFRAG`: reassemble fragments first.
    pub(in crate::kernel::linux) const NETFILTER_DEFRAG: u32 = 1;
    /// `BPF_F_SLEEPABLE`: the program may sleep.
    pub(in crate::kernel::linux) const SLEEPABLE: u32 = 1 << 4;
    /// `BPF_F_VTYPE_BTF_OBJ_FD`: the type of a struct of operations is in the BTF named.
    pub(in crate::kernel::linux) const VALUE_TYPE_BTF: u32 = 1 << 15;
    /// `BPF_F_XDP_HAS_FRAGS`: the program understands packets of several buffers.
    pub(in crate::kernel::linux) const XDP_HAS_FRAGS: u32 = 1 << 5;
    /// `XDP_FLAGS_UPDATE_IF_NOEXIST`: attach only where nothing runs.
    pub(in crate::kernel::linux) const XDP_IF_NONE: u32 = 1;
    /// `XDP_FLAGS_SKB_MODE` (`include/uapi/linux/if_link.h`).
    pub(in crate::kernel::linux) const XDP_GENERIC: u32 = 1 << 1;
    /// `XDP_FLAGS_DRV_MODE`.
    pub(in crate::kernel::linux) const XDP_NATIVE: u32 = 1 << 2;
    /// `XDP_FLAGS_HW_MODE`.
    pub(in crate::kernel::linux) const XDP_OFFLOAD: u32 = 1 << 3;
    /// `XDP_FLAGS_REPLACE`: replace the program only if it is the one named.
    pub(in crate::kernel::linux) const XDP_REPLACE: u32 = 1 << 4;
}

/// `BPF_OBJ_NAME_LEN`: bytes of an object's name with the NUL that ends it.
pub(super) const NAME_LEN: usize = 16;

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MapCreate {
    pub(super) map_type: u32,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) max_entries: u32,
    pub(super) map_flags: u32,
    pub(super) inner_map_fd: u32,
    pub(super) numa_node: u32,
    pub(super) map_name: [u8; NAME_LEN],
    pub(super) map_ifindex: u32,
    pub(super) btf_fd: u32,
    pub(super) btf_key_type_id: u32,
    pub(super) btf_value_type_id: u32,
    pub(super) btf_vmlinux_value_type_id: u32,
    pub(super) map_extra: u64,
    pub(super) value_type_btf_obj_fd: u32,
    pub(super) map_token_fd: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MapElement {
    pub(super) map_fd: u32,
    pub(super) pad: u32,
    pub(super) key: u64,
    pub(super) value: u64,
    pub(super) flags: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MapBatch {
    pub(super) in_batch: u64,
    pub(super) out_batch: u64,
    pub(super) keys: u64,
    pub(super) values: u64,
    pub(super) count: u32,
    pub(super) map_fd: u32,
    pub(super) elem_flags: u64,
    pub(super) flags: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MapFreeze {
    pub(super) map_fd: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProgLoad {
    pub(super) prog_type: u32,
    pub(super) insn_cnt: u32,
    pub(super) insns: u64,
    pub(super) license: u64,
    pub(super) log_level: u32,
    pub(super) log_size: u32,
    pub(super) log_buf: u64,
    pub(super) kern_version: u32,
    pub(super) prog_flags: u32,
    pub(super) prog_name: [u8; NAME_LEN],
    pub(super) prog_ifindex: u32,
    pub(super) expected_attach_type: u32,
    pub(super) prog_btf_fd: u32,
    pub(super) func_info_rec_size: u32,
    pub(super) func_info: u64,
    pub(super) func_info_cnt: u32,
    pub(super) line_info_rec_size: u32,
    pub(super) line_info: u64,
    pub(super) line_info_cnt: u32,
    pub(super) attach_btf_id: u32,
    /// `attach_prog_fd`, or in its place `attach_btf_obj_fd`.
    pub(super) attach_object_fd: u32,
    pub(super) core_relo_cnt: u32,
    pub(super) fd_array: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Object {
    pub(super) pathname: u64,
    pub(super) bpf_fd: u32,
    pub(super) file_flags: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InfoByFd {
    pub(super) bpf_fd: u32,
    pub(super) info_len: u32,
    pub(super) info: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct GetById {
    pub(super) id: u32,
    pub(super) next_id: u32,
    pub(super) open_flags: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BtfLoad {
    pub(super) btf: u64,
    pub(super) btf_log_buf: u64,
    pub(super) btf_size: u32,
    pub(super) btf_log_size: u32,
    pub(super) btf_log_level: u32,
    pub(super) pad: u32,
}

/// With the members for tcx; for other types they are zero.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LinkCreate {
    pub(super) prog_fd: u32,
    pub(super) target: u32,
    pub(super) attach_type: u32,
    pub(super) flags: u32,
    pub(super) relative_fd: u32,
    pub(super) pad: u32,
    pub(super) expected_revision: u64,
}

/// With the members for netfilter.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NetfilterLinkCreate {
    pub(super) prog_fd: u32,
    pub(super) target: u32,
    pub(super) attach_type: u32,
    pub(super) flags: u32,
    pub(super) family: u32,
    pub(super) hook: u32,
    pub(super) priority: i32,
    pub(super) netfilter_flags: u32,
}

/// With the member for perf events.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LinkCreatePerfEvent {
    pub(super) prog_fd: u32,
    pub(super) target_fd: u32,
    pub(super) attach_type: u32,
    pub(super) flags: u32,
    pub(super) bpf_cookie: u64,
}

/// With the members for programs that are loaded for a function.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LinkCreateTracing {
    pub(super) prog_fd: u32,
    pub(super) target_fd: u32,
    pub(super) attach_type: u32,
    pub(super) flags: u32,
    pub(super) target_btf_id: u32,
    pub(super) pad: u32,
    pub(super) cookie: u64,
}

/// With the members for iterators.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LinkCreateIter {
    pub(super) prog_fd: u32,
    pub(super) target_fd: u32,
    pub(super) attach_type: u32,
    pub(super) flags: u32,
    pub(super) iter_info: u64,
    pub(super) iter_info_len: u32,
    pub(super) pad: u32,
}

/// `union bpf_iter_link_info`: of a map its descriptor, of a task its ids, of a cgroup the order and
/// its descriptor.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IterInfo {
    pub(super) first: u32,
    pub(super) second: u32,
    pub(super) third: u64,
}

/// With the members for `kprobe_multi`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LinkCreateKprobes {
    pub(super) prog_fd: u32,
    pub(super) target_fd: u32,
    pub(super) attach_type: u32,
    pub(super) flags: u32,
    pub(super) kprobe_flags: u32,
    pub(super) cnt: u32,
    pub(super) syms: u64,
    pub(super) addrs: u64,
    pub(super) cookies: u64,
}

/// With the members for `uprobe_multi`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LinkCreateUprobes {
    pub(super) prog_fd: u32,
    pub(super) target_fd: u32,
    pub(super) attach_type: u32,
    pub(super) flags: u32,
    pub(super) path: u64,
    pub(super) offsets: u64,
    pub(super) ref_ctr_offsets: u64,
    pub(super) cookies: u64,
    pub(super) cnt: u32,
    pub(super) uprobe_flags: u32,
    pub(super) pid: u32,
    pub(super) pad: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LinkUpdate {
    pub(super) link_fd: u32,
    pub(super) new_prog_fd: u32,
    pub(super) flags: u32,
    pub(super) old_prog_fd: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LinkDetach {
    pub(super) link_fd: u32,
}

/// With the members for tcx.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProgQuery {
    pub(super) target: u32,
    pub(super) attach_type: u32,
    pub(super) query_flags: u32,
    pub(super) attach_flags: u32,
    pub(super) prog_ids: u64,
    pub(super) count: u32,
    pub(super) pad: u32,
    pub(super) prog_attach_flags: u64,
    pub(super) link_ids: u64,
    pub(super) link_attach_flags: u64,
    pub(super) revision: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProgAttach {
    pub(super) target_fd: u32,
    pub(super) attach_bpf_fd: u32,
    pub(super) attach_type: u32,
    pub(super) attach_flags: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProgBindMap {
    pub(super) prog_fd: u32,
    pub(super) map_fd: u32,
    pub(super) flags: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RawTracepointOpen {
    pub(super) name: u64,
    pub(super) prog_fd: u32,
    pub(super) pad: u32,
    pub(super) cookie: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TaskFdQuery {
    pub(super) pid: u32,
    pub(super) fd: u32,
    pub(super) flags: u32,
    pub(super) buf_len: u32,
    pub(super) buf: u64,
    pub(super) prog_id: u32,
    pub(super) fd_type: u32,
    pub(super) probe_offset: u64,
    pub(super) probe_addr: u64,
}

/// The beginning of what `BPF_OBJ_GET_INFO_BY_FD` fills: numbers, all of them zero at first.
pub(super) trait Info: Default {}

impl Info for MapInfo {}
impl Info for ProgInfo {}
impl Info for LinkInfo {}
impl Info for BtfInfo {}

/// The beginning of `struct bpf_map_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MapInfo {
    pub(super) map_type: u32,
    pub(super) id: u32,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) max_entries: u32,
    pub(super) map_flags: u32,
    pub(super) name: [u8; NAME_LEN],
    pub(super) ifindex: u32,
    pub(super) btf_vmlinux_value_type_id: u32,
    pub(super) netns_dev: u64,
    pub(super) netns_ino: u64,
    pub(super) btf_id: u32,
    pub(super) btf_key_type_id: u32,
    pub(super) btf_value_type_id: u32,
    pub(super) btf_vmlinux_id: u32,
    pub(super) map_extra: u64,
}

/// The beginning of `struct bpf_prog_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProgInfo {
    pub(super) prog_type: u32,
    pub(super) id: u32,
    pub(super) tag: [u8; 8],
    pub(super) jited_prog_len: u32,
    pub(super) xlated_prog_len: u32,
    pub(super) jited_prog_insns: u64,
    pub(super) xlated_prog_insns: u64,
    pub(super) load_time: u64,
    pub(super) created_by_uid: u32,
    pub(super) nr_map_ids: u32,
    pub(super) map_ids: u64,
    pub(super) name: [u8; NAME_LEN],
    pub(super) ifindex: u32,
    pub(super) gpl_compatible: u32,
    pub(super) netns_dev: u64,
    pub(super) netns_ino: u64,
    pub(super) nr_jited_ksyms: u32,
    pub(super) nr_jited_func_lens: u32,
    pub(super) jited_ksyms: u64,
    pub(super) jited_func_lens: u64,
    pub(super) btf_id: u32,
    pub(super) func_info_rec_size: u32,
    pub(super) func_info: u64,
    pub(super) nr_func_info: u32,
    pub(super) nr_line_info: u32,
    pub(super) line_info: u64,
    pub(super) jited_line_info: u64,
    pub(super) nr_jited_line_info: u32,
    pub(super) line_info_rec_size: u32,
    pub(super) jited_line_info_rec_size: u32,
    pub(super) nr_prog_tags: u32,
    pub(super) prog_tags: u64,
    pub(super) run_time_ns: u64,
    pub(super) run_cnt: u64,
    pub(super) recursion_misses: u64,
    pub(super) verified_insns: u32,
    pub(super) attach_btf_obj_id: u32,
}

/// The beginning of `struct bpf_link_info`; what `detail` holds depends on the type.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LinkInfo {
    pub(super) link_type: u32,
    pub(super) id: u32,
    pub(super) prog_id: u32,
    pub(super) pad: u32,
    pub(super) detail: [u64; 4],
}

/// The beginning of `struct bpf_btf_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BtfInfo {
    pub(super) btf: u64,
    pub(super) btf_size: u32,
    pub(super) id: u32,
    pub(super) name: u64,
    pub(super) name_len: u32,
    pub(super) kernel_btf: u32,
}

/// `struct perf_event_attr` as of `PERF_ATTR_SIZE_VER1` (`include/uapi/linux/perf_event.h`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PerfEvent {
    pub(super) event_type: u32,
    pub(super) size: u32,
    pub(super) config: u64,
    pub(super) sample_period: u64,
    pub(super) sample_type: u64,
    pub(super) read_format: u64,
    pub(super) flags: u64,
    pub(super) wakeup_events: u32,
    pub(super) bp_type: u32,
    pub(super) config1: u64,
    pub(super) config2: u64,
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use aya_obj::generated::{self, bpf_attr, bpf_cmd};

    use super::*;

    #[test]
    fn commands_are_those_of_the_header() {
        let pairs = [
            (Command::MapCreate, bpf_cmd::BPF_MAP_CREATE),
            (Command::MapLookupElem, bpf_cmd::BPF_MAP_LOOKUP_ELEM),
            (Command::MapUpdateElem, bpf_cmd::BPF_MAP_UPDATE_ELEM),
            (Command::MapDeleteElem, bpf_cmd::BPF_MAP_DELETE_ELEM),
            (Command::MapGetNextKey, bpf_cmd::BPF_MAP_GET_NEXT_KEY),
            (Command::ProgLoad, bpf_cmd::BPF_PROG_LOAD),
            (Command::ObjPin, bpf_cmd::BPF_OBJ_PIN),
            (Command::ObjGet, bpf_cmd::BPF_OBJ_GET),
            (Command::ProgGetFdById, bpf_cmd::BPF_PROG_GET_FD_BY_ID),
            (Command::MapGetFdById, bpf_cmd::BPF_MAP_GET_FD_BY_ID),
            (Command::ObjGetInfoByFd, bpf_cmd::BPF_OBJ_GET_INFO_BY_FD),
            (Command::ProgAttach, bpf_cmd::BPF_PROG_ATTACH),
            (Command::ProgDetach, bpf_cmd::BPF_PROG_DETACH),
            (Command::ProgQuery, bpf_cmd::BPF_PROG_QUERY),
            (Command::RawTracepointOpen, bpf_cmd::BPF_RAW_TRACEPOINT_OPEN),
            (Command::BtfLoad, bpf_cmd::BPF_BTF_LOAD),
            (Command::BtfGetFdById, bpf_cmd::BPF_BTF_GET_FD_BY_ID),
            (Command::TaskFdQuery, bpf_cmd::BPF_TASK_FD_QUERY),
            (Command::MapFreeze, bpf_cmd::BPF_MAP_FREEZE),
            (Command::BtfGetNextId, bpf_cmd::BPF_BTF_GET_NEXT_ID),
            (Command::MapLookupBatch, bpf_cmd::BPF_MAP_LOOKUP_BATCH),
            (Command::MapUpdateBatch, bpf_cmd::BPF_MAP_UPDATE_BATCH),
            (Command::LinkCreate, bpf_cmd::BPF_LINK_CREATE),
            (Command::LinkUpdate, bpf_cmd::BPF_LINK_UPDATE),
            (Command::LinkDetach, bpf_cmd::BPF_LINK_DETACH),
            (Command::ProgBindMap, bpf_cmd::BPF_PROG_BIND_MAP),
        ];
        for (ours, theirs) in pairs {
            assert_eq!(ours as u32, theirs as u32, "{ours:?}");
        }
    }

    #[test]
    fn flags_are_those_of_the_header() {
        assert_eq!(flags::NOEXIST, u64::from(generated::BPF_NOEXIST));
        assert_eq!(flags::EXIST, u64::from(generated::BPF_EXIST));
        assert_eq!(flags::LOCK, u64::from(generated::BPF_F_LOCK));
        assert_eq!(flags::NO_COMMON_LRU, generated::BPF_F_NO_COMMON_LRU);
        assert_eq!(flags::REPLACE, generated::BPF_F_REPLACE);
        assert_eq!(flags::BEFORE, generated::BPF_F_BEFORE);
        assert_eq!(flags::AFTER, generated::BPF_F_AFTER);
        assert_eq!(flags::ID, generated::BPF_F_ID);
        assert_eq!(flags::NETFILTER_DEFRAG, generated::BPF_F_NETFILTER_IP_DEFRAG);
        assert_eq!(flags::SLEEPABLE, generated::BPF_F_SLEEPABLE);
        assert_eq!(flags::XDP_HAS_FRAGS, generated::BPF_F_XDP_HAS_FRAGS);
        assert_eq!(flags::XDP_GENERIC, generated::XDP_FLAGS_SKB_MODE);
        assert_eq!(flags::XDP_NATIVE, generated::XDP_FLAGS_DRV_MODE);
        assert_eq!(flags::XDP_OFFLOAD, generated::XDP_FLAGS_HW_MODE);
        assert_eq!(flags::XDP_REPLACE, generated::XDP_FLAGS_REPLACE);
    }

    #[test]
    fn structures_have_the_layout_of_the_header() {
        assert_eq!(offset_of!(MapInfo, map_extra), offset_of!(generated::bpf_map_info, map_extra));
        assert_eq!(offset_of!(MapInfo, btf_id), offset_of!(generated::bpf_map_info, btf_id));
        assert_eq!(offset_of!(ProgInfo, map_ids), offset_of!(generated::bpf_prog_info, map_ids));
        assert_eq!(offset_of!(ProgInfo, name), offset_of!(generated::bpf_prog_info, name));
        assert_eq!(offset_of!(ProgInfo, btf_id), offset_of!(generated::bpf_prog_info, btf_id));
        assert_eq!(offset_of!(BtfInfo, id), offset_of!(generated::bpf_btf_info, id));
        assert_eq!(
            offset_of!(BtfInfo, kernel_btf),
            offset_of!(generated::bpf_btf_info, kernel_btf)
        );
        assert_eq!(offset_of!(LinkInfo, prog_id), offset_of!(generated::bpf_link_info, prog_id));
        assert_eq!(
            offset_of!(LinkInfo, detail),
            offset_of!(generated::bpf_link_info, __bindgen_anon_1)
        );
        // The commands' structures are anonymous there, so their ends are compared: each is no
        // longer than the union, and has the offsets that uapi's comments and pahole give.
        assert!(size_of::<ProgLoad>() <= size_of::<bpf_attr>());
        assert_eq!(offset_of!(MapCreate, map_name), 28);
        assert_eq!(offset_of!(MapCreate, map_extra), 64);
        assert_eq!(offset_of!(MapCreate, value_type_btf_obj_fd), 72);
        assert_eq!(offset_of!(ProgLoad, prog_name), 48);
        assert_eq!(offset_of!(ProgLoad, func_info), 80);
        assert_eq!(offset_of!(ProgLoad, attach_btf_id), 108);
        assert_eq!(offset_of!(ProgLoad, fd_array), 120);
        assert_eq!(offset_of!(LinkCreate, expected_revision), 24);
        assert_eq!(offset_of!(ProgQuery, link_ids), 40);
        assert_eq!(offset_of!(ProgQuery, revision), 56);
    }

    #[test]
    fn structures_have_no_hidden_padding() {
        assert_eq!(size_of::<MapCreate>(), 80);
        assert_eq!(size_of::<MapElement>(), 32);
        assert_eq!(size_of::<MapBatch>(), 56);
        assert_eq!(size_of::<ProgLoad>(), 128);
        assert_eq!(size_of::<Object>(), 16);
        assert_eq!(size_of::<InfoByFd>(), 16);
        assert_eq!(size_of::<GetById>(), 12);
        assert_eq!(size_of::<BtfInfo>(), 32);
        assert_eq!(size_of::<ProgInfo>(), 224);
        assert_eq!(size_of::<BtfLoad>(), 32);
        assert_eq!(size_of::<LinkCreate>(), 32);
        assert_eq!(size_of::<NetfilterLinkCreate>(), 32);
        assert_eq!(size_of::<LinkUpdate>(), 16);
        assert_eq!(size_of::<LinkDetach>(), 4);
        assert_eq!(size_of::<ProgAttach>(), 16);
        assert_eq!(size_of::<ProgBindMap>(), 12);
        assert_eq!(size_of::<ProgQuery>(), 64);
        assert_eq!(size_of::<RawTracepointOpen>(), 24);
        assert_eq!(size_of::<TaskFdQuery>(), 48);
        assert_eq!(size_of::<PerfEvent>(), 72);
        assert_eq!(size_of::<LinkCreatePerfEvent>(), 24);
        assert_eq!(size_of::<LinkCreateTracing>(), 32);
        assert_eq!(size_of::<LinkCreateIter>(), 32);
        assert_eq!(size_of::<IterInfo>(), 16);
        assert_eq!(size_of::<LinkCreateKprobes>(), 48);
        assert_eq!(size_of::<LinkCreateUprobes>(), 64);
    }
}
