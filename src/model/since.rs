//! Since which release Linux has what: types of programs and maps, flags, hooks, instructions.
//!
//! Sources: `docs/kernel-versions.md` of bcc, row by row; where that has none, the release of the
//! commit that brought the constant to `include/uapi/linux/bpf.h`, which is then named at its row.
//! For programs that call bpf(2), bcc says 5.15; their commit 79a7f8bdb159 of May 2021 was in 5.14.
//! The table of `tests/support/features.rs`, which is held to running kernels, agrees.

use super::ctype::CType;
use super::kinds::{AttachType, MapType, ProgramType};
use super::map::{MapOrigin, MapShape, MapSpec};
use super::map_flags;
use super::program::{Instruction, ProgramKind};
use super::release::Release;

/// The first release that can be asked about. Its links tell what they are (f2e10bff16a0), by which what
/// is pinned is known again, and openat2(2) is there since 5.6 (fddb5d430ad9). No test is on one before
/// 5.10.
pub const FIRST: Release = at(5, 8);

const fn at(major: u16, minor: u16) -> Release {
    Release::new(major, minor)
}

/// The release that brought a type of program; `None` for a type not listed.
#[must_use]
pub fn of_program(program_type: ProgramType) -> Option<Release> {
    Some(match program_type {
        ProgramType::SOCKET_FILTER => at(3, 19),
        ProgramType::KPROBE | ProgramType::SCHED_CLS | ProgramType::SCHED_ACT => at(4, 1),
        ProgramType::TRACEPOINT => at(4, 7),
        ProgramType::XDP => at(4, 8),
        ProgramType::PERF_EVENT => at(4, 9),
        ProgramType::CGROUP_SKB
        | ProgramType::CGROUP_SOCK
        | ProgramType::LWT_IN
        | ProgramType::LWT_OUT
        | ProgramType::LWT_XMIT => at(4, 10),
        ProgramType::SOCK_OPS => at(4, 13),
        ProgramType::SK_SKB => at(4, 14),
        ProgramType::CGROUP_DEVICE => at(4, 15),
        ProgramType::SK_MSG | ProgramType::RAW_TRACEPOINT | ProgramType::CGROUP_SOCK_ADDR => {
            at(4, 17)
        }
        ProgramType::LWT_SEG6LOCAL | ProgramType::LIRC_MODE2 => at(4, 18),
        ProgramType::SK_REUSEPORT => at(4, 19),
        ProgramType::FLOW_DISSECTOR => at(4, 20),
        ProgramType::CGROUP_SYSCTL | ProgramType::RAW_TRACEPOINT_WRITABLE => at(5, 2),
        ProgramType::CGROUP_SOCKOPT => at(5, 3),
        ProgramType::TRACING => at(5, 5),
        ProgramType::STRUCT_OPS | ProgramType::EXT => at(5, 6),
        ProgramType::LSM => at(5, 7),
        ProgramType::SK_LOOKUP => at(5, 9),
        ProgramType::SYSCALL => at(5, 14),
        // 84601d6ee68a.
        ProgramType::NETFILTER => at(6, 4),
        _ => return None,
    })
}

/// The release that brought a type of program with what its section asks for.
#[must_use]
pub fn of_kind(kind: &ProgramKind) -> Option<Release> {
    // `BPF_F_XDP_HAS_FRAGS`; `BPF_F_SLEEPABLE`, and where the verifier took it later (`can_be_sleepable`).
    let frags = kind.xdp_frags.then_some(at(5, 18));
    let sleepable = kind.sleepable.then_some(match (kind.program_type, kind.attach_type) {
        (ProgramType::KPROBE, _) => at(6, 0),
        (ProgramType::TRACEPOINT | ProgramType::RAW_TRACEPOINT, _)
        | (_, Some(AttachType::TRACE_RAW_TP)) => at(7, 1),
        // b77fb25dcb34, 1e12d3ef47d2.
        (_, Some(AttachType::TRACE_ITER)) => at(5, 18),
        (ProgramType::STRUCT_OPS, _) => at(6, 3),
        _ => at(5, 10),
    });
    of_program(kind.program_type).max(frags).max(sleepable)
}

/// The release that brought an attach type, where it came later than the type of program.
#[must_use]
pub fn of_attach_type(attach_type: AttachType) -> Option<Release> {
    Some(match attach_type {
        // 4fbac77d2d09, d74bad4e74ee, aac3fc320d94.
        AttachType::CGROUP_INET4_BIND
        | AttachType::CGROUP_INET6_BIND
        | AttachType::CGROUP_INET4_CONNECT
        | AttachType::CGROUP_INET6_CONNECT
        | AttachType::CGROUP_INET4_POST_BIND
        | AttachType::CGROUP_INET6_POST_BIND => at(4, 17),
        // 1cedee13d25a.
        AttachType::CGROUP_UDP4_SENDMSG | AttachType::CGROUP_UDP6_SENDMSG => at(4, 18),
        // 983695fa6765.
        AttachType::CGROUP_UDP4_RECVMSG | AttachType::CGROUP_UDP6_RECVMSG => at(5, 2),
        AttachType::TRACE_RAW_TP | AttachType::TRACE_FENTRY | AttachType::TRACE_FEXIT => at(5, 5),
        // ae24082331d9, 9e4e01dfd325.
        AttachType::MODIFY_RETURN | AttachType::LSM_MAC => at(5, 7),
        // 15d83c4d7cef, 1b66d253610c, fbee97feed9b.
        AttachType::TRACE_ITER
        | AttachType::CGROUP_INET4_GETPEERNAME
        | AttachType::CGROUP_INET6_GETPEERNAME
        | AttachType::CGROUP_INET4_GETSOCKNAME
        | AttachType::CGROUP_INET6_GETSOCKNAME
        | AttachType::XDP_DEVMAP => at(5, 8),
        // f5836749c9c0, 9216477449f3, e9ddbb7707ff.
        AttachType::CGROUP_INET_SOCK_RELEASE | AttachType::XDP_CPUMAP | AttachType::SK_LOOKUP => {
            at(5, 9)
        }
        // a7ba4558e69a.
        AttachType::SK_SKB_VERDICT => at(5, 13),
        // d5e4ddaeb6ab.
        AttachType::SK_REUSEPORT_SELECT_OR_MIGRATE => at(5, 14),
        // 0dcac2725406.
        AttachType::TRACE_KPROBE_MULTI => at(5, 18),
        // 69fd337a975c.
        AttachType::LSM_CGROUP => at(6, 0),
        AttachType::NETFILTER => at(6, 4),
        // e420bed02507, 89ae89f53d20.
        AttachType::TCX_INGRESS | AttachType::TCX_EGRESS | AttachType::TRACE_UPROBE_MULTI => {
            at(6, 6)
        }
        // 859051dd165e, 35dfaad7188c.
        AttachType::CGROUP_UNIX_CONNECT
        | AttachType::CGROUP_UNIX_SENDMSG
        | AttachType::CGROUP_UNIX_RECVMSG
        | AttachType::CGROUP_UNIX_GETPEERNAME
        | AttachType::CGROUP_UNIX_GETSOCKNAME
        | AttachType::NETKIT_PRIMARY
        | AttachType::NETKIT_PEER => at(6, 7),
        // 535a3692ba72.
        AttachType::TRACE_KPROBE_SESSION => at(6, 10),
        // d920179b3d48.
        AttachType::TRACE_UPROBE_SESSION => at(6, 13),
        AttachType::TRACE_FSESSION => at(7, 0),
        AttachType::TRACE_FENTRY_MULTI
        | AttachType::TRACE_FEXIT_MULTI
        | AttachType::TRACE_FSESSION_MULTI => at(7, 2),
        _ => return None,
    })
}

/// The release since which a hook takes programs the way it is attached to here; `None` for a hook
/// not listed. The link types of `enum bpf_link_type`, and for `tc` the direct action of `clsact`.
#[must_use]
pub fn of_hook(hook: &str) -> Option<Release> {
    Some(match hook {
        "tc" => at(4, 5),
        "struct-ops" => at(5, 6),
        // 70ed506c3bbc: before, what is attached by `BPF_RAW_TRACEPOINT_OPEN` cannot be pinned.
        // af6eea57437a: links of cgroups.
        "raw-tracepoint" | "tp-btf" | "fentry" | "fexit" | "freplace" | "cgroup" | "fmod-ret"
        | "lsm" => at(5, 7),
        // 7f045a49fee0: links of network namespaces.
        "iter" | "flow-dissector" => at(5, 8),
        // aa8d3a716b59: links of XDP.
        "xdp" | "sk-lookup" => at(5, 9),
        // b89fbfbb854c: links of perf events. Older kernels detach a program with whoever attached it.
        "kprobe" | "kretprobe" | "uprobe" | "uretprobe" | "usdt" | "tracepoint" | "perf-event" => {
            at(5, 15)
        }
        "lsm-cgroup" => at(6, 0),
        "netfilter" => at(6, 4),
        "tcx" => at(6, 6),
        "netkit" => at(6, 7),
        // 699c23f02c65: links of sockmaps.
        "sockmap" => at(6, 10),
        "fsession" => at(7, 0),
        _ => return None,
    })
}

/// `BPF_F_NETFILTER_IP_DEFRAG`: 91721c2d02d3.
pub const NETFILTER_DEFRAG: Release = at(6, 6);
/// A function of a program that is there already, pinned or a dispatcher of libxdp, which takes a link by that
/// program and its function (`link_create.target_btf_id`): 4a1e7c0c63e0.
pub const FREPLACE_BY_LINK: Release = at(5, 10);
/// Iterators over one task, and over the cgroups at one (`bpf_iter_link_info`): f0d74c4da1f0 and
/// d4ccaf58a847.
pub const LIMITED_ITERATORS: Release = at(6, 1);

/// The release that brought what an iterator goes over; `None` for what is not listed. The commits that
/// called `bpf_iter_reg_target` for it first.
#[must_use]
pub fn of_iterator(over: &str) -> Option<Release> {
    Some(match over {
        "bpf_map" | "ipv6_route" | "netlink" | "task" | "task_file" => at(5, 8),
        // a228a64fc1e4, a5cbe05a6673, 5ce6e77c7edf, 52d87d5f6418, 5788b3a07fc5.
        "bpf_prog" | "bpf_map_elem" | "bpf_sk_storage_map" | "tcp" | "udp" => at(5, 9),
        "sockmap" => at(5, 10),
        // 3d7d562c3f21.
        "task_vma" => at(5, 12),
        // 2c860a43dd77.
        "unix" => at(5, 15),
        // 9f8836127308.
        "bpf_link" => at(5, 19),
        // 647cafa22349.
        "ksym" => at(6, 0),
        "cgroup" => at(6, 1),
        // 4971266e1595.
        "kmem_cache" => at(6, 13),
        // 76ea95534995.
        "dmabuf" => at(6, 16),
        _ => return None,
    })
}

/// The release since which an attachment at a hook takes a cookie; `None` where none is taken. That of
/// `usdt` is an entry of a map, beside the arguments.
#[must_use]
pub fn of_cookie(hook: &str) -> Option<Release> {
    Some(match hook {
        // 82e6b1eee6a8.
        "kprobe" | "kretprobe" | "uprobe" | "uretprobe" | "tracepoint" | "perf-event" => at(5, 15),
        // 2fcc82411e74.
        "fentry" | "fexit" | "fmod-ret" | "lsm" => at(5, 19),
        "fsession" => at(7, 0),
        // 68ca5d4eebb8.
        "raw-tracepoint" | "tp-btf" => at(6, 10),
        _ => return None,
    })
}

/// The release that brought a type of map with its flags.
#[must_use]
pub fn of_shape(shape: &MapShape) -> Option<Release> {
    of_map(shape.map_type).max(map_flags::since(shape.map_flags))
}

/// The release that brought all that a map needs: its type and flags, what its values hold, and what
/// its inner maps need; and what it is that came last, `None` for the type. Flags that the type takes on
/// no kernel do not count.
#[must_use]
pub fn of_spec(map: &MapSpec) -> Option<(Release, Option<String>)> {
    let shape = &map.shape;
    let map_type = of_map(shape.map_type).map(|since| (since, None));
    let taken = map_flags::taken(shape.map_type).unwrap_or(u32::MAX);
    let flag = map_flags::newest(shape.map_flags & taken);
    let flag = flag.map(|(flag, since)| (since, Some(format!("the flag `{flag}`"))));
    // 9216477449f3: a program for each CPU.
    let programs = shape.map_type == MapType::CPUMAP && shape.value_size == 8;
    let programs = programs.then(|| (at(5, 9), Some("values of 8 bytes".to_owned())));
    // d8eca5bbb2be: direct access to values, by which programs reach their global variables.
    let section = matches!(map.origin, MapOrigin::Section { .. })
        .then(|| (at(5, 2), Some("global variables".to_owned())));
    let inside = map.value.as_ref().and_then(of_value);
    let inside = inside.map(|(name, since)| (since, Some(format!("`{name}` in its value"))));
    let inner = map.inner.as_deref().and_then(|inner| {
        let (since, cause) = of_spec(inner)?;
        let cause = cause.unwrap_or_else(|| format!("the type `{}`", inner.shape.map_type));
        Some((since, Some(format!("an inner map with {cause}"))))
    });
    let all = [map_type, flag, programs, section, inside, inner];
    all.into_iter().flatten().reduce(|newest, one| if one.0 > newest.0 { one } else { newest })
}

/// What in a value the kernel itself looks after, by the names of the types.
const SPECIAL: &[(&str, Release)] = &[
    // d83525ca62cf.
    ("struct bpf_spin_lock", at(5, 1)),
    // b00628b1c7d5.
    ("struct bpf_timer", at(5, 15)),
    // f0c5941ff5b2.
    ("struct bpf_list_head", at(6, 2)),
    // 9c395c1b99bd.
    ("struct bpf_rb_root", at(6, 3)),
    // d54730b50bae.
    ("struct bpf_refcount", at(6, 4)),
    // d56b63cf0c0f.
    ("struct bpf_wq", at(6, 10)),
    // 0de2046137f9.
    ("struct bpf_res_spin_lock", at(6, 15)),
    ("struct bpf_task_work", at(6, 18)),
];

fn of_value(value: &CType) -> Option<(&'static str, Release)> {
    let found = SPECIAL.iter().filter(|(name, _)| value.contains(&|inside| inside == *name));
    found.max_by_key(|(_, since)| *since).copied()
}

/// The release that brought a type of map; `None` for a type not listed.
#[must_use]
pub fn of_map(map_type: MapType) -> Option<Release> {
    Some(match map_type {
        MapType::HASH | MapType::ARRAY => at(3, 19),
        MapType::PROG_ARRAY => at(4, 2),
        MapType::PERF_EVENT_ARRAY => at(4, 3),
        MapType::PERCPU_HASH | MapType::PERCPU_ARRAY | MapType::STACK_TRACE => at(4, 6),
        MapType::CGROUP_ARRAY => at(4, 8),
        MapType::LRU_HASH | MapType::LRU_PERCPU_HASH => at(4, 10),
        MapType::LPM_TRIE => at(4, 11),
        MapType::ARRAY_OF_MAPS | MapType::HASH_OF_MAPS => at(4, 12),
        MapType::DEVMAP | MapType::SOCKMAP => at(4, 14),
        MapType::CPUMAP => at(4, 15),
        MapType::XSKMAP | MapType::SOCKHASH => at(4, 18),
        MapType::CGROUP_STORAGE | MapType::REUSEPORT_SOCKARRAY => at(4, 19),
        MapType::PERCPU_CGROUP_STORAGE | MapType::QUEUE | MapType::STACK => at(4, 20),
        MapType::SK_STORAGE => at(5, 2),
        MapType::DEVMAP_HASH => at(5, 4),
        MapType::STRUCT_OPS => at(5, 6),
        MapType::RINGBUF => at(5, 8),
        MapType::INODE_STORAGE => at(5, 10),
        MapType::TASK_STORAGE => at(5, 11),
        MapType::BLOOM_FILTER => at(5, 16),
        MapType::USER_RINGBUF => at(6, 1),
        // c4bcfb38a95e.
        MapType::CGRP_STORAGE => at(6, 2),
        // 317460317a02.
        MapType::ARENA => at(6, 9),
        // b4ce5923e780.
        MapType::INSN_ARRAY => at(6, 19),
        // 87d119abc42f.
        MapType::RHASH => at(7, 2),
        _ => return None,
    })
}

/// The release whose verifier first took an instruction.
#[must_use]
pub fn of_instruction(instruction: Instruction) -> Release {
    match instruction {
        // 092ed0968bb6.
        Instruction::Jump32 => at(5, 1),
        // 5ffa25502b5a.
        Instruction::AtomicFetch => at(5, 12),
        // 1f9a1ea821ff, 8100928c8814, ec0e2da95f72, 4cd58e9af8b9.
        Instruction::Version4 => at(6, 6),
        // 011832b97b31, 6082b6c328b5.
        Instruction::MayGoto | Instruction::AddressSpaceCast => at(6, 9),
        // 880442305a39.
        Instruction::LoadAcquire => at(6, 15),
        // 69c087ba6225 and e6ac2450d6de.
        Instruction::Callback | Instruction::KernelFunction => at(5, 13),
        // cc8b0b92a169.
        Instruction::Call => at(4, 16),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_type_has_a_release_and_later_types_no_earlier_one() {
        // Types are numbered in the order in which they came. The first, `unspec`, is none.
        let programs = ProgramType::KNOWN.iter().map(|(known, name)| (of_program(*known), name));
        let mut last = at(0, 0);
        for (since, name) in programs.skip(1) {
            let since = since.expect(name);
            assert!(since >= last, "{name} is said to be older than the type before it");
            last = since;
        }
        let maps = MapType::KNOWN.iter().map(|(known, name)| (of_map(*known), name));
        let mut last = at(0, 0);
        for (since, name) in maps.skip(1) {
            let since = since.expect(name);
            assert!(since >= last, "{name} is said to be older than the type before it");
            last = since;
        }
    }

    #[test]
    fn later_attach_types_are_no_older_than_those_before_them() {
        let listed = AttachType::KNOWN.iter().filter_map(|(known, name)| {
            let optional = [AttachType::SK_SKB_VERDICT, AttachType::TRACE_RAW_TP];
            let since = of_attach_type(*known).filter(|_| !optional.contains(known));
            Some((since?, name))
        });
        let mut last = at(0, 0);
        for (since, name) in listed {
            assert!(since >= last, "{name} is said to be older than the type before it");
            last = since;
        }
    }

    #[test]
    fn what_a_section_or_a_flag_asks_for_counts() {
        let kind =
            |section: &str| crate::object::sections::program_kind(section).expect("a section");
        assert_eq!(of_kind(&kind("xdp")), Some(at(4, 8)));
        assert_eq!(of_kind(&kind("xdp.frags")), Some(at(5, 18)));
        assert_eq!(of_kind(&kind("fentry.s/f")), Some(at(5, 10)));
        assert_eq!(of_kind(&kind("iter/task")), Some(at(5, 5)));
        assert_eq!(of_kind(&kind("iter.s/task")), Some(at(5, 18)));
        assert_eq!(of_kind(&kind("struct_ops.s/f")), Some(at(6, 3)));
        assert_eq!(of_kind(&kind("tp.s/a/b")), Some(at(7, 1)));
        let shape = |map_flags| MapShape {
            map_type: MapType::STRUCT_OPS,
            key_size: 4,
            value_size: 0,
            max_entries: 1,
            map_flags,
            map_extra: 0,
        };
        assert_eq!(
            [0, map_flags::LINK].map(|flags| of_shape(&shape(flags))),
            [Some(at(5, 6)), Some(at(6, 4))]
        );
    }
}
