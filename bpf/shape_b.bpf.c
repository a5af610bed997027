// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A map named `state`, as shape_a.bpf.c has one too, of another shape: pinned by name into one
 * directory the two collide, under a sub-path each they do not.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct usage {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct usage);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} state SEC(".maps");

SEC("xdp")
int count_b(struct xdp_md *ctx)
{
	__u32 queue = ctx->rx_queue_index;
	__u64 length = ctx->data_end - ctx->data;
	struct usage *usage = bpf_map_lookup_elem(&state, &queue);
	struct usage first = { 1, length };

	if (usage) {
		__sync_fetch_and_add(&usage->packets, 1);
		__sync_fetch_and_add(&usage->bytes, length);
	} else {
		bpf_map_update_elem(&state, &queue, &first, BPF_NOEXIST);
	}
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
