//! What the kernel takes for each type of map: sizes, entries, flags.
//!
//! Source: the `map_alloc_check` of each type under `kernel/bpf/` and in `net/`, and `map_create` in
//! `kernel/bpf/syscall.c`. `tests/kernel/layer/shapes.rs` asks a kernel about every shape of a grid.

use super::kinds::MapType as T;
use super::map::MapShape;
use super::map_flags::{self, MMAPABLE, MapFlags, NO_PREALLOC, STACK_BUILD_ID};

/// Most bytes of a value for each CPU: `PCPU_MIN_UNIT_SIZE` in `include/linux/percpu.h` where pages have
/// no more bytes than that. Larger ones were ENOMEM, and are E2BIG since `array_map_alloc_check` and
/// `htab_map_alloc_check` look at it.
const PER_CPU_MAX: u32 = 32 << 10;
/// Most buckets of a hash (`htab_map_alloc`, `stack_map_alloc`, `dev_map_init_map`), and the largest power
/// of two that a ring buffer's size can be.
const BUCKETS_MAX: u32 = 1 << 31;
/// A value of local storage lies behind its header in 64 KiB (`BPF_LOCAL_STORAGE_MAX_VALUE_SIZE`).
const LOCAL_MAX: u32 = u16::MAX as u32;
/// Bytes of a key of a resizable hash table (`rhtab_map_alloc_check` in `kernel/bpf/hashtab.c`).
const RHASH_KEY_MAX: u32 = 65535;
/// Entries that such a table can be told to have room for from the beginning, likewise.
const RHASH_HINT_MAX: u64 = 65535;

/// Bytes of a `struct bpf_stack_build_id`.
const BUILD_ID: u32 = 32;

/// Why no kernel creates a map of this shape; empty if none of the reasons known here applies.
#[must_use]
pub fn refused(shape: &MapShape) -> Vec<String> {
    let MapShape { map_type, key_size: key, value_size: value, max_entries, map_flags, .. } =
        *shape;
    let mut reasons = Vec::new();
    let mut needs = |holds: bool, what: &str, has: u32| {
        if !holds {
            reasons.push(format!("{what}, not {has}"));
        }
    };
    match map_type {
        T::ARRAY | T::PERCPU_ARRAY => {
            needs(key == 4, "has keys of 4 bytes", key);
            needs(value > 0, "has values of at least 1 byte", value);
        }
        T::PROG_ARRAY | T::PERF_EVENT_ARRAY | T::CGROUP_ARRAY | T::ARRAY_OF_MAPS | T::XSKMAP => {
            needs(key == 4, "has keys of 4 bytes", key);
            needs(value == 4, "has values of 4 bytes", value);
        }
        T::DEVMAP | T::DEVMAP_HASH | T::CPUMAP | T::SOCKMAP | T::REUSEPORT_SOCKARRAY => {
            needs(key == 4, "has keys of 4 bytes", key);
            needs(value == 4 || value == 8, "has values of 4 or 8 bytes", value);
        }
        T::SOCKHASH => {
            needs(key > 0, "has keys of at least 1 byte", key);
            needs(value == 4 || value == 8, "has values of 4 or 8 bytes", value);
        }
        T::HASH | T::PERCPU_HASH | T::LRU_HASH | T::LRU_PERCPU_HASH => {
            needs(key > 0, "has keys of at least 1 byte", key);
            needs(value > 0, "has values of at least 1 byte", value);
        }
        T::RHASH => {
            needs((1..=RHASH_KEY_MAX).contains(&key), "has keys of 1 to 65535 bytes", key);
            needs(value > 0, "has values of at least 1 byte", value);
        }
        T::HASH_OF_MAPS => {
            needs(key > 0, "has keys of at least 1 byte", key);
            needs(value == 4, "has values of 4 bytes", value);
        }
        T::LPM_TRIE => {
            let prefix = "has keys of a `__u32` prefix length and 1 to 256 bytes";
            needs((5..=260).contains(&key), prefix, key);
            needs(value > 0, "has values of at least 1 byte", value);
        }
        T::STACK_TRACE => {
            let frame = if map_flags & STACK_BUILD_ID == 0 { 8 } else { BUILD_ID };
            let frames = format!("has values of a whole number of {frame} bytes");
            needs(key == 4, "has keys of 4 bytes", key);
            needs(value > 0 && value % frame == 0, &frames, value);
        }
        T::QUEUE | T::STACK | T::BLOOM_FILTER => {
            needs(key == 0, "has no keys", key);
            needs(value > 0, "has values of at least 1 byte", value);
        }
        T::RINGBUF | T::USER_RINGBUF | T::ARENA => {
            needs(key == 0, "has no keys", key);
            needs(value == 0, "has no values", value);
        }
        T::CGROUP_STORAGE | T::PERCPU_CGROUP_STORAGE => {
            let keys = "has keys of type `struct bpf_cgroup_storage_key` or `__u64`";
            needs(key == 16 || key == 8, keys, key);
            needs(value > 0, "has values of at least 1 byte", value);
        }
        _ if is_local_storage(map_type) => {
            needs(key == 4, "has keys of type `int`", key);
            needs(value > 0, "has values of at least 1 byte", value);
        }
        _ => return reasons,
    }
    if has_no_entries(map_type) {
        needs(max_entries == 0, "has no `max_entries`", max_entries);
    } else if map_type != T::PERF_EVENT_ARRAY {
        needs(max_entries > 0, "has `max_entries` of at least 1", max_entries);
    }
    reasons.extend(too_large(shape));
    reasons.extend(flags(shape));
    reasons.extend(extra(shape));
    reasons
}

/// What is wrong with `map_extra`, which each type that has it takes for something else.
fn extra(shape: &MapShape) -> Option<String> {
    let extra = shape.map_extra;
    match shape.map_type {
        T::BLOOM_FILTER if extra > 15 => {
            Some(format!("has at most 15 hash functions (`map_extra`), not {extra}"))
        }
        T::RHASH if extra > u64::from(shape.max_entries).min(RHASH_HINT_MAX) => Some(format!(
            "has room at first (`map_extra`) for at most 65535 entries, and no more than `max_entries`, not {extra}"
        )),
        T::BLOOM_FILTER | T::ARENA | T::RHASH => None,
        _ if extra != 0 => Some("has no `map_extra`".to_owned()),
        _ => None,
    }
}

/// Sizes that overflow something, whatever memory there is.
fn too_large(shape: &MapShape) -> Vec<String> {
    let MapShape { map_type, value_size: value, max_entries, .. } = *shape;
    let mut reasons = Vec::new();
    let per_cpu = matches!(map_type, T::PERCPU_ARRAY | T::PERCPU_HASH | T::LRU_PERCPU_HASH);
    if per_cpu && value > PER_CPU_MAX {
        reasons
            .push(format!("has values of at most {PER_CPU_MAX} bytes for each CPU, not {value}"));
    }
    if is_local_storage(map_type) && value > LOCAL_MAX {
        reasons.push(format!("has values of less than {} bytes, not {value}", LOCAL_MAX + 1));
    }
    let rounds = matches!(
        map_type,
        T::HASH
            | T::PERCPU_HASH
            | T::LRU_HASH
            | T::LRU_PERCPU_HASH
            | T::HASH_OF_MAPS
            | T::RHASH
            | T::DEVMAP_HASH
            | T::STACK_TRACE
            | T::RINGBUF
            | T::USER_RINGBUF
    );
    if rounds && max_entries > BUCKETS_MAX {
        reasons.push(format!("has `max_entries` of at most {BUCKETS_MAX}, not {max_entries}"));
    }
    reasons
}

/// Why a type of map is no inner map (`bpf_map_meta_alloc` in `kernel/bpf/map_in_map.c`: those without
/// `map_meta_equal`, and maps of maps).
#[must_use]
pub fn refused_as_inner(map_type: T) -> Option<&'static str> {
    match map_type {
        T::ARRAY_OF_MAPS | T::HASH_OF_MAPS => {
            Some("is not taken as an inner map, because it has inner maps itself")
        }
        T::PROG_ARRAY | T::CGROUP_STORAGE | T::PERCPU_CGROUP_STORAGE | T::STRUCT_OPS => {
            Some("is not taken as an inner map")
        }
        _ => None,
    }
}

/// Flags that are missing, or are of no use to the type. Of those that no kernel known here has, a newer
/// one may take some.
fn flags(shape: &MapShape) -> Vec<String> {
    let has = |flag| shape.map_flags & flag != 0;
    let missing = match shape.map_type {
        T::LPM_TRIE | T::RHASH if !has(NO_PREALLOC) => Some(NO_PREALLOC),
        T::ARENA if !has(MMAPABLE) => Some(MMAPABLE),
        map_type if is_local_storage(map_type) && !has(NO_PREALLOC) => Some(NO_PREALLOC),
        _ => None,
    };
    let mut reasons = Vec::new();
    reasons.extend(missing.map(|flag| format!("needs the flag `{}`", MapFlags(flag))));
    let known = shape.map_flags & !map_flags::unknown(shape.map_flags);
    let taken = map_flags::taken(shape.map_type).unwrap_or(u32::MAX);
    if known & !taken != 0 {
        let useless = known & !taken;
        let flags = if useless.is_power_of_two() { "flag" } else { "flags" };
        reasons.push(format!("does not take the {flags} `{}`", MapFlags(useless)));
    }
    for pair in map_flags::EXCLUSIVE {
        if known & taken & pair == pair {
            reasons.push(format!("takes only one flag of `{}`", MapFlags(pair)));
        }
    }
    reasons
}

/// Whether the kernel keeps the values with what they belong to.
#[must_use]
pub fn is_local_storage(map_type: T) -> bool {
    matches!(map_type, T::SK_STORAGE | T::INODE_STORAGE | T::TASK_STORAGE | T::CGRP_STORAGE)
}

/// Whether every key is a number of 32 bits that the kernel gives a meaning: an index, a CPU, an
/// interface, the id of a stack, a descriptor. What C calls it makes no difference.
#[must_use]
pub fn has_numbers_for_keys(map_type: T) -> bool {
    is_local_storage(map_type)
        || matches!(
            map_type,
            T::ARRAY
                | T::PERCPU_ARRAY
                | T::PROG_ARRAY
                | T::PERF_EVENT_ARRAY
                | T::CGROUP_ARRAY
                | T::ARRAY_OF_MAPS
                | T::STACK_TRACE
                | T::DEVMAP
                | T::DEVMAP_HASH
                | T::CPUMAP
                | T::XSKMAP
                | T::SOCKMAP
                | T::REUSEPORT_SOCKARRAY
                | T::INSN_ARRAY
        )
}

fn has_no_entries(map_type: T) -> bool {
    is_local_storage(map_type) || matches!(map_type, T::CGROUP_STORAGE | T::PERCPU_CGROUP_STORAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_given_with_what_is_there() {
        let shape = |map_type, key_size, value_size, max_entries, map_flags| MapShape {
            map_type,
            key_size,
            value_size,
            max_entries,
            map_flags,
            map_extra: 0,
        };
        assert_eq!(refused(&shape(T::HASH, 8, 8, 16, 0)), [""; 0]);
        assert_eq!(refused(&shape(T::PERF_EVENT_ARRAY, 4, 4, 0, 0)), [""; 0]);
        assert_eq!(
            refused(&shape(T::ARRAY, 8, 0, 0, 0)),
            [
                "has keys of 4 bytes, not 8",
                "has values of at least 1 byte, not 0",
                "has `max_entries` of at least 1, not 0"
            ]
        );
        assert_eq!(
            refused(&shape(T::LPM_TRIE, 8, 4, 16, 0)),
            ["needs the flag `BPF_F_NO_PREALLOC`"]
        );
        assert_eq!(
            refused(&MapShape { map_extra: 3, ..shape(T::HASH, 4, 4, 1, 0) }),
            ["has no `map_extra`"]
        );
        let bloom = |map_extra| MapShape { map_extra, ..shape(T::BLOOM_FILTER, 0, 4, 1, 0) };
        assert_eq!(refused(&bloom(15)), [""; 0]);
        assert_eq!(refused(&bloom(16)), ["has at most 15 hash functions (`map_extra`), not 16"]);
        let rhash = |map_extra| MapShape {
            map_extra,
            ..shape(T::RHASH, 4, 4, 100_000, map_flags::NO_PREALLOC)
        };
        assert_eq!(refused(&rhash(65_535)), [""; 0]);
        assert_eq!(refused(&MapShape { max_entries: 8, ..rhash(8) }), [""; 0]);
        for too_much in [rhash(65_536), MapShape { max_entries: 8, ..rhash(9) }] {
            assert_eq!(refused(&too_much).len(), 1, "{too_much:?}");
        }
        assert_eq!(
            refused(&shape(T::HASH, 4, 4, 1, map_flags::NO_COMMON_LRU | MMAPABLE)),
            ["does not take the flags `BPF_F_NO_COMMON_LRU|BPF_F_MMAPABLE`"]
        );
        assert_eq!(
            refused(&shape(T::ARRAY, 4, 4, 1, map_flags::RDONLY | map_flags::WRONLY)),
            ["takes only one flag of `BPF_F_RDONLY|BPF_F_WRONLY`"]
        );
        assert_eq!(refused(&shape(T::HASH, 4, 4, 1, 1 << 20)), [""; 0], "of a kernel to come");
        assert_eq!(refused(&shape(T::PERCPU_HASH, 4, 32 << 10, 1, 0)), [""; 0]);
        assert_eq!(
            refused(&shape(T::PERCPU_HASH, 4, (32 << 10) + 1, (1 << 31) + 1, 0)),
            [
                "has values of at most 32768 bytes for each CPU, not 32769",
                "has `max_entries` of at most 2147483648, not 2147483649"
            ]
        );
        for map_type in [T::DEVMAP, T::DEVMAP_HASH] {
            assert_eq!(refused(&shape(map_type, 4, 4, 8, 0)), [""; 0], "an index");
            assert_eq!(refused(&shape(map_type, 4, 8, 8, 0)), [""; 0], "and a program");
            assert_eq!(
                refused(&shape(map_type, 4, 12, 8, 0)),
                ["has values of 4 or 8 bytes, not 12"]
            );
        }
        assert_eq!(refused(&shape(T(999), 0, 0, 0, 0)), [""; 0], "what is not known is not judged");
    }
}
