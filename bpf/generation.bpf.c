// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Counts datagrams to the discard port under the number of the generation that saw them, at three
 * hooks. Swapped under traffic, the counts add up to what was sent, or a packet was seen by none.
 *
 * `generation` makes each load another program; `broken` makes one that the verifier refuses.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/udp.h>

#include <bpf/bpf_helpers.h>

#include "ipv4.h"

#define DISCARD 9
#define GENERATIONS 1024

const volatile __u32 generation = 0;
const volatile __u32 broken = 0;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, GENERATIONS);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} counted SEC(".maps");

static __always_inline void count(const struct iphdr *ip, void *end)
{
	const struct udphdr *udp = (void *)ip + sizeof(*ip);
	__u32 key = generation;
	__u64 *packets;

	if ((void *)(udp + 1) > end || ip->protocol != IPPROTO_UDP ||
	    udp->dest != bpf_htons(DISCARD))
		return;
	/* The constant is known to the verifier, so to it this is there or it is not. */
	if (broken)
		key = *(volatile __u8 *)end;
	packets = bpf_map_lookup_elem(&counted, &key);
	if (packets)
		__sync_fetch_and_add(packets, 1);
}

SEC("xdp")
int count_xdp(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = ipv4_header((void *)(long)ctx->data, end);

	if (ip)
		count(ip, end);
	return XDP_PASS;
}

SEC("tcx/egress")
int count_tcx(struct __sk_buff *skb)
{
	void *end = (void *)(long)skb->data_end;
	struct iphdr *ip = ipv4_header((void *)(long)skb->data, end);

	if (ip)
		count(ip, end);
	return -1; /* TCX_NEXT */
}

SEC("cgroup_skb/egress")
int count_cgroup(struct __sk_buff *skb)
{
	void *end = (void *)(long)skb->data_end;
	struct iphdr *ip = (void *)(long)skb->data;

	if ((void *)(ip + 1) <= end && ip->version == 4)
		count(ip, end);
	return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
