// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Slots that are filled when the object is loaded: a prog array to jump through, an array and a hash
 * of maps. The entry program counts in what the slots lead to, so that a test sees which they are.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define ROOM 4

int first(struct xdp_md *ctx);
int third(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, ROOM);
	__uint(key_size, sizeof(__u32));
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__array(values, int(struct xdp_md *));
} jumps SEC(".maps") = {
	.values = {
		[0] = (void *)&first,
		[2] = (void *)&third,
	},
};

struct counter {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
};

struct counter left SEC(".maps");
struct counter right SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, ROOM);
	__type(key, __u32);
	__array(values, struct counter);
} by_index SEC(".maps") = {
	.values = { [1] = &left, [3] = &right },
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, ROOM);
	__type(key, __u32);
	__array(values, struct counter);
} by_key SEC(".maps") = {
	.values = { [2] = &right },
};

static __always_inline void count(void *outer, __u32 slot, __u64 by)
{
	__u32 zero = 0;
	__u64 *value;
	void *inner = bpf_map_lookup_elem(outer, &slot);

	if (!inner)
		return;
	value = bpf_map_lookup_elem(inner, &zero);
	if (value)
		__sync_fetch_and_add(value, by);
}

SEC("xdp")
int first(struct xdp_md *ctx)
{
	count(&by_index, 1, 1);
	bpf_tail_call(ctx, &jumps, 2);
	return XDP_ABORTED;
}

SEC("xdp")
int third(struct xdp_md *ctx)
{
	count(&by_index, 3, 10);
	count(&by_key, 2, 100);
	return XDP_DROP;
}

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &jumps, 0);
	return XDP_ABORTED;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
