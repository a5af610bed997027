/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Two pinned maps of which the including file decides what is easily overlooked: HASHES, the number of
 * hash functions of a bloom filter (`map_extra`), and PORT, the value of a devmap, which is an index of
 * 4 bytes or has a program beside it (8).
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 1024);
	__uint(map_extra, HASHES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(value, __u32);
} seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 8);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, PORT);
} ports SEC(".maps");

SEC("xdp")
int redirect(struct xdp_md *ctx)
{
	__u32 queue = ctx->rx_queue_index;

	return bpf_map_peek_elem(&seen, &queue) ? XDP_PASS : bpf_redirect_map(&ports, queue, XDP_PASS);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
