// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A pinned map of each type whose entries can be carried over into a larger one.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define TABLE(table, map_type, flags, key_type, value_type)                                        \
	struct {                                                                                   \
		__uint(type, map_type);                                                            \
		__uint(max_entries, 64);                                                           \
		__uint(map_flags, flags);                                                          \
		__type(key, key_type);                                                             \
		__type(value, value_type);                                                         \
		__uint(pinning, LIBBPF_PIN_BY_NAME);                                               \
	} table SEC(".maps")

struct prefix {
	__u32 length;
	__u8 address[4];
};

struct guarded {
	struct bpf_spin_lock lock;
	__u32 hits;
	__u64 bytes;
};

TABLE(by_key, BPF_MAP_TYPE_HASH, 0, __u32, __u64);
TABLE(by_key_late, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, __u32, __u64);
TABLE(by_key_locked, BPF_MAP_TYPE_HASH, 0, __u32, struct guarded);
TABLE(by_key_recent, BPF_MAP_TYPE_LRU_HASH, 0, __u32, __u64);
TABLE(by_key_cpu, BPF_MAP_TYPE_PERCPU_HASH, 0, __u32, __u64);
TABLE(by_key_cpu_recent, BPF_MAP_TYPE_LRU_PERCPU_HASH, 0, __u32, __u64);
TABLE(by_index, BPF_MAP_TYPE_ARRAY, 0, __u32, __u64);
TABLE(by_index_locked, BPF_MAP_TYPE_ARRAY, 0, __u32, struct guarded);
TABLE(by_index_cpu, BPF_MAP_TYPE_PERCPU_ARRAY, 0, __u32, __u64);
TABLE(by_prefix, BPF_MAP_TYPE_LPM_TRIE, BPF_F_NO_PREALLOC, struct prefix, __u64);
