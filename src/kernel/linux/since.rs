//! Since which Linux the kernel has a type of program or map.
//!
//! Source: `docs/kernel-versions.md` of bcc, row by row; and where that has none, the release of the
//! commit that brought the constant to `include/uapi/linux/bpf.h`: netfilter 84601d6ee68a, cgroup
//! storage c4bcfb38a95e, arenas 317460317a02. For programs that call bpf(2), bcc says 5.15; their
//! commit 79a7f8bdb159 of May 2021 was in 5.14.

use super::super::KernelError;
use crate::model::kinds::{AttachType, MapType, ProgramType};
use crate::model::map::MapShape;
use crate::model::program::ProgramKind;

/// `BPF_F_LINK`: struct ops that are attached by a link.
const LINK: u32 = 1 << 13;

/// Tags of arguments that are a program's context (`arg:ctx`, 94e1c70a3452).
pub(super) const TAGGED_CONTEXTS: Release = (6, 8);

/// Major and minor number of a release.
pub(super) type Release = (u8, u8);

/// The release that brought a type of program; `None` for a type not listed.
fn of_program(program_type: ProgramType) -> Option<Release> {
    Some(match program_type {
        ProgramType::SOCKET_FILTER => (3, 19),
        ProgramType::KPROBE | ProgramType::SCHED_CLS | ProgramType::SCHED_ACT => (4, 1),
        ProgramType::TRACEPOINT => (4, 7),
        ProgramType::XDP => (4, 8),
        ProgramType::PERF_EVENT => (4, 9),
        ProgramType::CGROUP_SKB
        | ProgramType::CGROUP_SOCK
        | ProgramType::LWT_IN
        | ProgramType::LWT_OUT
        | ProgramType::LWT_XMIT => (4, 10),
        ProgramType::SOCK_OPS => (4, 13),
        ProgramType::SK_SKB => (4, 14),
        ProgramType::CGROUP_DEVICE => (4, 15),
        ProgramType::SK_MSG | ProgramType::RAW_TRACEPOINT | ProgramType::CGROUP_SOCK_ADDR => {
            (4, 17)
        }
        ProgramType::LWT_SEG6LOCAL | ProgramType::LIRC_MODE2 => (4, 18),
        ProgramType::SK_REUSEPORT => (4, 19),
        ProgramType::FLOW_DISSECTOR => (4, 20),
        ProgramType::CGROUP_SYSCTL | ProgramType::RAW_TRACEPOINT_WRITABLE => (5, 2),
        ProgramType::CGROUP_SOCKOPT => (5, 3),
        ProgramType::TRACING => (5, 5),
        ProgramType::STRUCT_OPS | ProgramType::EXT => (5, 6),
        ProgramType::LSM => (5, 7),
        ProgramType::SK_LOOKUP => (5, 9),
        ProgramType::SYSCALL => (5, 14),
        ProgramType::NETFILTER => (6, 4),
        _ => return None,
    })
}

/// The release that brought a type of program with what its section asks for.
pub(super) fn of_kind(kind: &ProgramKind) -> Option<Release> {
    // `BPF_F_XDP_HAS_FRAGS`; `BPF_F_SLEEPABLE`, and where the verifier took it later (`can_be_sleepable`).
    let frags = kind.xdp_frags.then_some((5, 18));
    let sleepable = kind.sleepable.then_some(match (kind.program_type, kind.attach_type) {
        (ProgramType::KPROBE, _) => (6, 0),
        (ProgramType::TRACEPOINT | ProgramType::RAW_TRACEPOINT, _)
        | (_, Some(AttachType::TRACE_RAW_TP)) => (7, 1),
        _ => (5, 10),
    });
    of_program(kind.program_type).max(frags).max(sleepable)
}

/// The release that brought a type of map with its flags.
pub(super) fn of_shape(shape: &MapShape) -> Option<Release> {
    let linked = shape.map_type == MapType::STRUCT_OPS && shape.map_flags & LINK != 0;
    of_map(shape.map_type).max(linked.then_some((6, 4)))
}

/// The release that brought a type of map; `None` for a type not listed.
fn of_map(map_type: MapType) -> Option<Release> {
    Some(match map_type {
        MapType::HASH | MapType::ARRAY => (3, 19),
        MapType::PROG_ARRAY => (4, 2),
        MapType::PERF_EVENT_ARRAY => (4, 3),
        MapType::PERCPU_HASH | MapType::PERCPU_ARRAY | MapType::STACK_TRACE => (4, 6),
        MapType::CGROUP_ARRAY => (4, 8),
        MapType::LRU_HASH | MapType::LRU_PERCPU_HASH => (4, 10),
        MapType::LPM_TRIE => (4, 11),
        MapType::ARRAY_OF_MAPS | MapType::HASH_OF_MAPS => (4, 12),
        MapType::DEVMAP | MapType::SOCKMAP => (4, 14),
        MapType::CPUMAP => (4, 15),
        MapType::XSKMAP | MapType::SOCKHASH => (4, 18),
        MapType::CGROUP_STORAGE | MapType::REUSEPORT_SOCKARRAY => (4, 19),
        MapType::PERCPU_CGROUP_STORAGE | MapType::QUEUE | MapType::STACK => (4, 20),
        MapType::SK_STORAGE => (5, 2),
        MapType::DEVMAP_HASH => (5, 4),
        MapType::STRUCT_OPS => (5, 6),
        MapType::RINGBUF => (5, 8),
        MapType::INODE_STORAGE => (5, 10),
        MapType::TASK_STORAGE => (5, 11),
        MapType::BLOOM_FILTER => (5, 16),
        MapType::USER_RINGBUF => (6, 1),
        MapType::CGRP_STORAGE => (6, 2),
        MapType::ARENA => (6, 9),
        MapType::INSN_ARRAY => (6, 19),
        _ => return None,
    })
}

/// The release that brought a struct of operations, and the option it is built with: the first tags
/// with `net/ipv4/bpf_tcp_ca.c`, `net/bpf/bpf_dummy_struct_ops.c`, `hid_bpf_struct_ops.c`,
/// `kernel/sched/ext.c` and `net/sched/bpf_qdisc.c`.
fn of_operations(ops: &str) -> Option<(Release, &'static str)> {
    Some(match ops {
        "tcp_congestion_ops" => ((5, 6), "CONFIG_BPF_JIT"),
        "bpf_dummy_ops" => ((5, 16), "CONFIG_NET"),
        "hid_bpf_ops" => ((6, 11), "CONFIG_HID_BPF"),
        "sched_ext_ops" => ((6, 12), "CONFIG_SCHED_CLASS_EXT"),
        "Qdisc_ops" => ((6, 16), "CONFIG_NET_SCH_BPF"),
        _ => return None,
    })
}

/// Says since when the kernel has a struct of operations that it lacks.
pub(super) fn explain_operations(error: KernelError, ops: &str) -> KernelError {
    match of_operations(ops) {
        Some((since, option)) => error.advice(format!("{} ({option})", compare(since, running()))),
        None => error,
    }
}

/// The release that runs.
pub(super) fn running() -> Option<Release> {
    let code = aya::util::KernelVersion::current().ok()?.code();
    let [_, major, minor, _] = code.to_be_bytes();
    Some((major, minor))
}

/// "which Linux has since 6.4, and this is 5.15"; that it was built without, if it is new enough.
pub(super) fn compare(since: Release, running: Option<Release>) -> String {
    let (major, minor) = since;
    match running {
        Some(running) if running < since => {
            format!("Linux has them since {major}.{minor}, and this is {}.{}", running.0, running.1)
        }
        Some((a, b)) => {
            format!("Linux has them since {major}.{minor}, so this one ({a}.{b}) was built without")
        }
        None => format!("Linux has them since {major}.{minor}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_type_has_a_release_and_later_types_no_earlier_one() {
        // Types are numbered in the order in which they came. The first, `unspec`, is none.
        let programs = ProgramType::KNOWN.iter().map(|(known, name)| (of_program(*known), name));
        let mut last = (0, 0);
        for (since, name) in programs.skip(1) {
            let since = since.expect(name);
            assert!(since >= last, "{name} is said to be older than the type before it");
            last = since;
        }
        let maps = MapType::KNOWN.iter().filter(|(known, _)| *known <= MapType::ARENA);
        let mut last = (0, 0);
        for (since, name) in maps.map(|(known, name)| (of_map(*known), name)).skip(1) {
            let since = since.expect(name);
            assert!(since >= last, "{name} is said to be older than the type before it");
            last = since;
        }
    }

    #[test]
    fn what_a_section_or_a_flag_asks_for_counts() {
        let kind =
            |section: &str| crate::object::sections::program_kind(section).expect("a section");
        assert_eq!(of_kind(&kind("xdp")), Some((4, 8)));
        assert_eq!(of_kind(&kind("xdp.frags")), Some((5, 18)));
        assert_eq!(of_kind(&kind("fentry.s/f")), Some((5, 10)));
        assert_eq!(of_kind(&kind("tp.s/a/b")), Some((7, 1)));
        let shape = |map_flags| MapShape {
            map_type: MapType::STRUCT_OPS,
            key_size: 4,
            value_size: 0,
            max_entries: 1,
            map_flags,
            map_extra: 0,
        };
        assert_eq!([0, LINK].map(|flags| of_shape(&shape(flags))), [Some((5, 6)), Some((6, 4))]);
    }

    #[test]
    fn too_old_is_told_from_built_without() {
        assert_eq!(compare((6, 4), Some((5, 15))), "Linux has them since 6.4, and this is 5.15");
        assert!(compare((6, 4), Some((6, 18))).ends_with("this one (6.18) was built without"));
        assert!(compare((5, 8), Some((5, 8))).contains("built without"));
    }

    #[test]
    fn the_running_release_is_known() {
        assert!(running().is_some_and(|release| release > (4, 0)));
    }
}
