// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * One map for each pin policy: an XDP program that counts packets into all three.
 *
 * A map is pinned only when both sides say so: the object, with the `pinning` attribute below, and
 * the manifest, with a policy. `sessions` and `totals` carry the same attribute; whether the pin
 * outlives the deployment is the manifest's decision alone.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "ipv4.h"

/* Packets by IPv4 source. For `by-name`: other programs find it while the deployment runs. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __be32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} sessions SEC(".maps");

/* Packets by IP protocol. For `persist-on-exit`: the count goes on in the next deployment. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} totals SEC(".maps");

/* Packets by processor. No attribute, policy `none`: temporary, never on bpffs. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} scratch SEC(".maps");

static __always_inline void increment(void *map, const void *key)
{
	__u64 *packets = bpf_map_lookup_elem(map, key);
	__u64 one = 1;

	if (packets)
		__sync_fetch_and_add(packets, 1);
	else
		bpf_map_update_elem(map, key, &one, BPF_NOEXIST);
}

SEC("xdp")
int count_packets(struct xdp_md *ctx)
{
	struct iphdr *ip = ipv4_header((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	__u32 first = 0, protocol;
	__be32 source;

	increment(&scratch, &first);
	if (!ip)
		return XDP_PASS;
	source = ip->saddr;
	increment(&sessions, &source);
	protocol = ip->protocol;
	increment(&totals, &protocol);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
