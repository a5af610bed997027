// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The mistake ebpf-apply grew from: somebody means `flows` to be pinned, and the object does not
 * say so. A manifest that gives it a pinned policy is refused, with the line that is missing here.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "ipv4.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __be32);
	__type(value, __u64);
} flows SEC(".maps");

SEC("xdp")
int count_flows(struct xdp_md *ctx)
{
	struct iphdr *ip = ipv4_header((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	__u64 *packets, one = 1;
	__be32 source;

	if (!ip)
		return XDP_PASS;
	source = ip->saddr;
	packets = bpf_map_lookup_elem(&flows, &source);
	if (packets)
		__sync_fetch_and_add(packets, 1);
	else
		bpf_map_update_elem(&flows, &source, &one, BPF_NOEXIST);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
