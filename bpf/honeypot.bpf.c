// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Blocks whoever knocks at a TCP port where nobody should: writes the source into `blocked`, the
 * map that firewall.bpf.c reads. Two objects, one map: both declare it alike and both are pinned at
 * the same path, so that there is one map in the kernel.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/tcp.h>

#include <bpf/bpf_helpers.h>

#include "ipv4.h"

/* The port nobody should connect to; 0 for none. */
const volatile __u16 bait_port = 0;

/* The same as in firewall.bpf.c: blocked IPv4 sources with the packets each has lost. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __be32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} blocked SEC(".maps");

SEC("tcx/ingress")
int watch_bait(struct __sk_buff *skb)
{
	void *data_end = (void *)(long)skb->data_end;
	struct iphdr *ip = ipv4_header((void *)(long)skb->data, data_end);
	struct tcphdr *tcp;
	__u64 lost = 0;
	__be32 source;

	if (!bait_port || !ip || ip->protocol != IPPROTO_TCP || ip->ihl != 5)
		return -1; /* TCX_NEXT: the next program decides */
	tcp = (void *)(ip + 1);
	if ((void *)(tcp + 1) > data_end || tcp->dest != bpf_htons(bait_port) || !tcp->syn || tcp->ack)
		return -1;
	source = ip->saddr;
	bpf_map_update_elem(&blocked, &source, &lost, BPF_NOEXIST);
	return -1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
