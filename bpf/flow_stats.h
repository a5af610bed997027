/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Counts datagrams in a map that a user may want to change while it is in use. The including file
 * defines `struct stats`.
 */
#ifndef FLOW_STATS_H
#define FLOW_STATS_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "ipv4.h"

/* Where sent to, to tell the test's datagrams from all others. */
#define DISCARD 9

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct stats);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} stats SEC(".maps");

/* By the first four bytes that a datagram carries. */
SEC("xdp")
int count_datagrams(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = ipv4_header(data, end);
	struct stats first = { .packets = 1, .bytes = end - data };
	struct stats *known;
	struct udphdr *udp;
	__u32 *carried;

	if (!ip || ip->ihl != 5 || ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	udp = (void *)(ip + 1);
	carried = (void *)(udp + 1);
	if ((void *)(carried + 1) > end || udp->dest != bpf_htons(DISCARD))
		return XDP_PASS;

	known = bpf_map_lookup_elem(&stats, carried);
	if (known) {
		__sync_fetch_and_add(&known->packets, 1);
		__sync_fetch_and_add(&known->bytes, first.bytes);
	} else {
		bpf_map_update_elem(&stats, carried, &first, BPF_NOEXIST);
	}
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#endif
