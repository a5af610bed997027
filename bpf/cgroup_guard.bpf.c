// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Watches and restricts the sockets of one cgroup: counts its packets, refuses connections to
 * denied IPv4 addresses, and counts the TCP connections that were established.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

enum counter {
	COUNTER_INGRESS_BYTES,
	COUNTER_EGRESS_BYTES,
	COUNTER_CONNECTED,
	COUNTER_REFUSED,
	COUNTER_ESTABLISHED,
	COUNTERS,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} counters SEC(".maps");

/* Addresses that must not be connected to, in network order; the value is not read. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __be32);
	__type(value, __u8);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} denied SEC(".maps");

static __always_inline void add(enum counter counter, __u64 amount)
{
	__u32 index = counter;
	__u64 *sum = bpf_map_lookup_elem(&counters, &index);

	if (sum)
		__sync_fetch_and_add(sum, amount);
}

SEC("cgroup_skb/ingress")
int count_ingress(struct __sk_buff *skb)
{
	add(COUNTER_INGRESS_BYTES, skb->len);
	return 1;
}

SEC("cgroup_skb/egress")
int count_egress(struct __sk_buff *skb)
{
	add(COUNTER_EGRESS_BYTES, skb->len);
	return 1;
}

/* 0 makes connect(2) fail with EPERM. */
SEC("cgroup/connect4")
int guard_connect4(struct bpf_sock_addr *ctx)
{
	__be32 address = ctx->user_ip4;

	if (bpf_map_lookup_elem(&denied, &address)) {
		add(COUNTER_REFUSED, 1);
		return 0;
	}
	add(COUNTER_CONNECTED, 1);
	return 1;
}

SEC("sockops")
int count_established(struct bpf_sock_ops *ctx)
{
	if (ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB ||
	    ctx->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		add(COUNTER_ESTABLISHED, 1);
	return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
