// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The usual reasons for which the verifier refuses a program, one a program: what is said of each
 * is tested. A test loads them one at a time.
 */
#include "vmlinux_min.h"

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("xdp")
int unchecked_packet(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;

	return data[12] == 8 ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int unchecked_value(struct xdp_md *ctx)
{
	__u32 key = ctx->ingress_ifindex;
	__u64 *count = bpf_map_lookup_elem(&counts, &key);

	*count += 1;
	return XDP_PASS;
}

SEC("xdp")
int unreleased_record(struct xdp_md *ctx)
{
	__u64 *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);

	if (record)
		*record = ctx->ingress_ifindex;
	return XDP_PASS;
}

SEC("xdp")
int foreign_helper(struct xdp_md *ctx)
{
	return bpf_skb_store_bytes((void *)ctx, 0, ctx, 0, 0) ? XDP_PASS : XDP_DROP;
}

static __noinline int with_buffer(struct xdp_md *ctx)
{
	volatile __u8 buffer[400] = {};

	buffer[ctx->ingress_ifindex & 255] = 1;
	return buffer[ctx->rx_queue_index & 255];
}

SEC("xdp")
int large_stack(struct xdp_md *ctx)
{
	volatile __u8 buffer[300] = {};

	buffer[ctx->ingress_ifindex & 255] = with_buffer(ctx);
	return buffer[ctx->rx_queue_index & 255];
}

SEC("xdp")
int endless(struct xdp_md *ctx)
{
	volatile __u32 turns = 0;

	while (turns < ctx->ingress_ifindex)
		turns += 1;
	return XDP_PASS;
}

SEC("raw_tracepoint/sched_switch")
int kernel_pointer(struct bpf_raw_tracepoint_args *ctx)
{
	volatile __u32 *task = (void *)(long)ctx->args[1];

	return *task;
}

SEC("xdp")
int beyond_value(struct xdp_md *ctx)
{
	__u32 key = 0;
	__u64 *count = bpf_map_lookup_elem(&counts, &key);

	if (!count)
		return XDP_PASS;
	return count[ctx->ingress_ifindex];
}

SEC("xdp")
int unset_register(struct xdp_md *ctx)
{
	int action;

	asm volatile("%0 = r5" : "=r"(action));
	return action;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
