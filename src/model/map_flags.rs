//! Flags with which maps are created: their names, since when each is there, and which types of maps
//! take it.
//!
//! Source: `BPF_F_*` of `include/uapi/linux/bpf.h`, and the mask of each type under `kernel/bpf/` and in
//! `net/`, named at its row. `tests/kernel/layer/shapes.rs` asks a kernel about every pair of the two.

use std::fmt;

use super::kinds::MapType as T;
use super::release::Release;

/// `BPF_F_NO_PREALLOC`.
pub const NO_PREALLOC: u32 = 1;
/// `BPF_F_NO_COMMON_LRU`.
pub const NO_COMMON_LRU: u32 = 1 << 1;
/// `BPF_F_NUMA_NODE`.
pub const NUMA_NODE: u32 = 1 << 2;
/// `BPF_F_RDONLY`: by system calls.
pub const RDONLY: u32 = 1 << 3;
/// `BPF_F_WRONLY`: by system calls.
pub const WRONLY: u32 = 1 << 4;
/// `BPF_F_STACK_BUILD_ID`.
pub const STACK_BUILD_ID: u32 = 1 << 5;
/// `BPF_F_ZERO_SEED`.
pub const ZERO_SEED: u32 = 1 << 6;
/// `BPF_F_RDONLY_PROG`: by programs.
pub const RDONLY_PROG: u32 = 1 << 7;
/// `BPF_F_WRONLY_PROG`: by programs.
pub const WRONLY_PROG: u32 = 1 << 8;
/// `BPF_F_CLONE`.
pub const CLONE: u32 = 1 << 9;
/// `BPF_F_MMAPABLE`.
pub const MMAPABLE: u32 = 1 << 10;
/// `BPF_F_PRESERVE_ELEMS`.
pub const PRESERVE_ELEMS: u32 = 1 << 11;
/// `BPF_F_INNER_MAP`: inner arrays of different lengths.
pub const INNER_MAP: u32 = 1 << 12;
/// `BPF_F_LINK`: struct ops that are attached by a link.
pub const LINK: u32 = 1 << 13;
/// `BPF_F_VTYPE_BTF_OBJ_FD`: struct ops of a module.
pub const VTYPE_BTF_OBJ_FD: u32 = 1 << 15;
/// `BPF_F_SEGV_ON_FAULT`.
pub const SEGV_ON_FAULT: u32 = 1 << 17;
/// `BPF_F_NO_USER_CONV`.
pub const NO_USER_CONV: u32 = 1 << 18;
/// `BPF_F_RB_OVERWRITE`.
pub const RB_OVERWRITE: u32 = 1 << 19;

/// Bits below this one are known here, whether or not they are of any use to a definition in C.
const UNKNOWN_FROM: u32 = 1 << 20;

/// Name and first release of each flag.
const KNOWN: [(u32, &str, (u16, u16)); 20] = [
    // 6c9059817432, 29ba732acbee, 96eabe7a40aa.
    (NO_PREALLOC, "BPF_F_NO_PREALLOC", (4, 6)),
    (NO_COMMON_LRU, "BPF_F_NO_COMMON_LRU", (4, 10)),
    (NUMA_NODE, "BPF_F_NUMA_NODE", (4, 14)),
    // 6e71b04a8224.
    (RDONLY, "BPF_F_RDONLY", (4, 15)),
    (WRONLY, "BPF_F_WRONLY", (4, 15)),
    // 615755a77b24, 96b3b6c9091d.
    (STACK_BUILD_ID, "BPF_F_STACK_BUILD_ID", (4, 17)),
    (ZERO_SEED, "BPF_F_ZERO_SEED", (5, 0)),
    // 591fe9888d78.
    (RDONLY_PROG, "BPF_F_RDONLY_PROG", (5, 2)),
    (WRONLY_PROG, "BPF_F_WRONLY_PROG", (5, 2)),
    // 8f51dfc73bf1, fc9702273e2e, 792caccc4526, 4a8f87e60f6d, 68b04864ca42.
    (CLONE, "BPF_F_CLONE", (5, 4)),
    (MMAPABLE, "BPF_F_MMAPABLE", (5, 5)),
    (PRESERVE_ELEMS, "BPF_F_PRESERVE_ELEMS", (5, 10)),
    (INNER_MAP, "BPF_F_INNER_MAP", (5, 10)),
    (LINK, "BPF_F_LINK", (6, 4)),
    // Says how to open a pin, and is no flag of a new map: cb8edce28073.
    (1 << 14, "BPF_F_PATH_FD", (6, 5)),
    // fcc2c1fb0651, a177fc2bf6fd.
    (VTYPE_BTF_OBJ_FD, "BPF_F_VTYPE_BTF_OBJ_FD", (6, 9)),
    (1 << 16, "BPF_F_TOKEN_FD", (6, 9)),
    // 317460317a02.
    (SEGV_ON_FAULT, "BPF_F_SEGV_ON_FAULT", (6, 9)),
    (NO_USER_CONV, "BPF_F_NO_USER_CONV", (6, 9)),
    // feeaf1346f80.
    (RB_OVERWRITE, "BPF_F_RB_OVERWRITE", (6, 19)),
];

/// Flags by name, those without one in hexadecimal: `BPF_F_RDONLY|0x100000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapFlags(pub u32);

impl fmt::Display for MapFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        for (bit, name, _) in KNOWN.iter().filter(|(bit, ..)| self.0 & bit != 0) {
            rest &= !bit;
            let more = if self.0 & (bit - 1) == 0 { "" } else { "|" };
            write!(f, "{more}{name}")?;
        }
        match rest {
            0 if self.0 != 0 => Ok(()),
            rest => {
                let more = if rest == self.0 { "" } else { "|" };
                write!(f, "{more}{rest:#x}")
            }
        }
    }
}

/// The release that has all of these flags; `None` if there are none.
#[must_use]
pub fn since(flags: u32) -> Option<Release> {
    let present = KNOWN.iter().filter(|(bit, ..)| flags & bit != 0);
    present.map(|(.., (major, minor))| Release::new(*major, *minor)).max()
}

/// The flag among these that came last, and when; `None` if there are none.
#[must_use]
pub fn newest(flags: u32) -> Option<(MapFlags, Release)> {
    let present = KNOWN.iter().filter(|(bit, ..)| flags & bit != 0);
    let last = present.max_by_key(|(.., since)| *since)?;
    let (bit, _, (major, minor)) = *last;
    Some((MapFlags(bit), Release::new(major, minor)))
}

/// Those of the flags that no kernel known here has.
#[must_use]
pub fn unknown(flags: u32) -> u32 {
    flags & !(UNKNOWN_FROM - 1)
}

/// By system calls and by programs: `BPF_F_ACCESS_MASK`.
const ACCESS: u32 = RDONLY | WRONLY | RDONLY_PROG | WRONLY_PROG;

/// The flags that a type of map takes, as far as they are known here; `None` for a type not listed.
#[must_use]
pub fn taken(map_type: T) -> Option<u32> {
    Some(match map_type {
        // `HTAB_CREATE_FLAG_MASK` and `htab_map_alloc_check`: values for each CPU are of no node.
        T::HASH | T::HASH_OF_MAPS => NO_PREALLOC | NUMA_NODE | ACCESS | ZERO_SEED,
        T::PERCPU_HASH => NO_PREALLOC | ACCESS | ZERO_SEED,
        T::LRU_HASH => NO_COMMON_LRU | NUMA_NODE | ACCESS | ZERO_SEED,
        T::LRU_PERCPU_HASH => NO_COMMON_LRU | ACCESS | ZERO_SEED,
        // `ARRAY_CREATE_FLAG_MASK` and `array_map_alloc_check`.
        T::ARRAY => NUMA_NODE | MMAPABLE | ACCESS | INNER_MAP,
        T::PERCPU_ARRAY => ACCESS,
        T::PERF_EVENT_ARRAY => NUMA_NODE | RDONLY | WRONLY | PRESERVE_ELEMS,
        // `array_map_alloc_check`, `QUEUE_STACK_CREATE_FLAG_MASK`, `LOCAL_STORAGE_CREATE_FLAG_MASK`.
        T::REUSEPORT_SOCKARRAY
        | T::QUEUE
        | T::STACK
        | T::CGROUP_STORAGE
        | T::PERCPU_CGROUP_STORAGE => NUMA_NODE | ACCESS,
        // `fd_array_map_alloc_check`, `DEV_CREATE_FLAG_MASK`, `SOCK_CREATE_FLAG_MASK` in
        // `net/core/sock_map.c`, `xsk_map_alloc` in `net/xdp/xskmap.c`.
        T::PROG_ARRAY
        | T::CGROUP_ARRAY
        | T::ARRAY_OF_MAPS
        | T::DEVMAP
        | T::DEVMAP_HASH
        | T::SOCKMAP
        | T::SOCKHASH
        | T::XSKMAP => NUMA_NODE | RDONLY | WRONLY,
        // `STACK_CREATE_FLAG_MASK`, `LPM_CREATE_FLAG_MASK`, `BLOOM_CREATE_FLAG_MASK`,
        // `rhtab_map_alloc_check`.
        T::STACK_TRACE => NUMA_NODE | RDONLY | WRONLY | STACK_BUILD_ID,
        T::LPM_TRIE | T::RHASH => NO_PREALLOC | NUMA_NODE | ACCESS,
        T::BLOOM_FILTER => NUMA_NODE | ZERO_SEED | ACCESS,
        // `RINGBUF_CREATE_FLAG_MASK` and `ringbuf_map_alloc`, `cpu_map_alloc`.
        T::RINGBUF => NUMA_NODE | RB_OVERWRITE,
        T::USER_RINGBUF | T::CPUMAP => NUMA_NODE,
        // `BPF_LOCAL_STORAGE_CREATE_FLAG_MASK`.
        T::SK_STORAGE | T::INODE_STORAGE | T::TASK_STORAGE | T::CGRP_STORAGE => NO_PREALLOC | CLONE,
        // `bpf_struct_ops_map_alloc_check`, `arena_map_alloc`, `insn_array_alloc_check`.
        T::STRUCT_OPS => LINK | VTYPE_BTF_OBJ_FD,
        T::ARENA => SEGV_ON_FAULT | MMAPABLE | NO_USER_CONV,
        T::INSN_ARRAY => 0,
        _ => return None,
    })
}

/// Flags of which a map has one or the other: who may not write may read, and the reverse
/// (`bpf_get_file_flag` and `bpf_map_flags_access_ok`); LRU lists for each CPU are of no node
/// (`htab_map_alloc_check`).
pub const EXCLUSIVE: [u32; 3] =
    [RDONLY | WRONLY, RDONLY_PROG | WRONLY_PROG, NO_COMMON_LRU | NUMA_NODE];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_shown_by_name() {
        for (flags, shown) in [
            (0, "0x0"),
            (1, "BPF_F_NO_PREALLOC"),
            (RDONLY | MMAPABLE, "BPF_F_RDONLY|BPF_F_MMAPABLE"),
            (1 << 20, "0x100000"),
            (RB_OVERWRITE | 1 << 31, "BPF_F_RB_OVERWRITE|0x80000000"),
        ] {
            assert_eq!(MapFlags(flags).to_string(), shown);
        }
    }

    #[test]
    fn each_known_bit_has_a_row_and_no_other_has() {
        let bits = KNOWN.iter().fold(0, |bits, (bit, ..)| bits | bit);
        assert_eq!(bits, UNKNOWN_FROM - 1);
        assert_eq!(unknown(bits | UNKNOWN_FROM), UNKNOWN_FROM);
        assert!(KNOWN.is_sorted_by_key(|(bit, ..)| *bit));
        assert!(KNOWN.is_sorted_by_key(|(.., since)| *since), "they came in that order");
    }

    #[test]
    fn every_known_type_has_its_flags() {
        for (map_type, name) in T::KNOWN.iter().skip(1) {
            assert!(taken(*map_type).is_some(), "{name}");
        }
    }

    #[test]
    fn the_newest_flag_decides() {
        assert_eq!(since(0), None);
        assert_eq!(since(NUMA_NODE | RB_OVERWRITE), Some(Release::new(6, 19)));
    }
}
