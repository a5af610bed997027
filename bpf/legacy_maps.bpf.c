// SPDX-License-Identifier: MIT OR GPL-2.0-only
// cflags: -g0
/*
 * Maps as they were defined before BTF, in an object that has none: with the five numbers all loaders
 * agree on, with the seven of old samples, and as iproute2 has them.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct bpf_map_def {
	__u32 type, key_size, value_size, max_entries, map_flags;
};

struct long_map_def {
	struct bpf_map_def common;
	__u32 inner_map_idx, numa_node;
};

struct bpf_elf_map {
	__u32 type, size_key, size_value, max_elem, flags, id, pinning, inner_id, inner_idx;
};

struct bpf_map_def counters SEC("maps") = { BPF_MAP_TYPE_ARRAY, 4, 8, 2, 0 };
struct long_map_def flows SEC("maps") = { { BPF_MAP_TYPE_HASH, 8, 8, 64, BPF_F_NO_PREALLOC } };
struct bpf_elf_map routes SEC("maps") = {
	.type = BPF_MAP_TYPE_LRU_HASH,
	.size_key = 4,
	.size_value = 4,
	.max_elem = 16,
	.id = 3,
};
struct bpf_map_def own_section SEC("maps/own") = { BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0 };

SEC("xdp")
int count(struct xdp_md *context)
{
	__u32 key = 1, *value;
	__u64 flow = 7, *counter = bpf_map_lookup_elem(&counters, &key);

	if (counter)
		*counter += 1;
	bpf_map_update_elem(&flows, &flow, &flow, BPF_ANY);
	bpf_map_update_elem(&routes, &key, &key, BPF_ANY);
	value = bpf_map_lookup_elem(&own_section, &(__u32){ 0 });
	return value ? XDP_PASS : XDP_ABORTED;
}

char LICENSE[] SEC("license") = "GPL";
