// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Counts IPv4 packets by protocol; the tutorial of the book loads it. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* How much a packet counts. The manifest may say otherwise. */
const volatile __u64 weight = 1;

/* Packets by IP protocol: 17 is UDP. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} totals SEC(".maps");

SEC("xdp")
int count_packets(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	__u32 protocol;
	__u64 *packets;

	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	protocol = ip->protocol;
	packets = bpf_map_lookup_elem(&totals, &protocol);
	if (packets)
		__sync_fetch_and_add(packets, weight);
	else
		bpf_map_update_elem(&totals, &protocol, (const void *)&weight, BPF_NOEXIST);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
