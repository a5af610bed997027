// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Counts at the hooks of the network that are neither an interface's nor a cgroup's: the choice of a
 * listening socket, the dissection of flows, the sockets of a map, and netfilter.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

enum hook {
	HOOK_SK_LOOKUP,
	HOOK_FLOW_DISSECTOR,
	HOOK_SK_MSG,
	HOOK_SK_SKB_PARSER,
	HOOK_SK_SKB_VERDICT,
	HOOK_NETFILTER,
	HOOK_NETKIT,
	HOOKS,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HOOKS);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} hits SEC(".maps");

/* Sockets whose data is looked at. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} sockets SEC(".maps");

/* Tells one build of the object from another. */
volatile const __u32 generation = 1;

static __always_inline void hit(__u32 hook)
{
	__u64 *count = bpf_map_lookup_elem(&hits, &hook);

	if (count)
		__sync_fetch_and_add(count, generation);
}

SEC("?sk_lookup")
int on_sk_lookup(struct bpf_sk_lookup *ctx)
{
	hit(HOOK_SK_LOOKUP);
	return SK_PASS;
}

/* BPF_DROP makes the kernel take the packet for one that it cannot dissect. */
SEC("?flow_dissector")
int on_flow(struct __sk_buff *skb)
{
	hit(HOOK_FLOW_DISSECTOR);
	return BPF_DROP;
}

SEC("?sk_msg")
int on_msg(struct sk_msg_md *msg)
{
	hit(HOOK_SK_MSG);
	return SK_PASS;
}

/* All that is there is one message. */
SEC("?sk_skb/stream_parser")
int on_parse(struct __sk_buff *skb)
{
	hit(HOOK_SK_SKB_PARSER);
	return skb->len;
}

SEC("?sk_skb/stream_verdict")
int on_stream(struct __sk_buff *skb)
{
	hit(HOOK_SK_SKB_VERDICT);
	return SK_PASS;
}

SEC("?sk_skb/verdict")
int on_verdict(struct __sk_buff *skb)
{
	hit(HOOK_SK_SKB_VERDICT);
	return SK_PASS;
}

#define NF_ACCEPT 1

SEC("?netfilter")
int on_netfilter(void *ctx)
{
	hit(HOOK_NETFILTER);
	return NF_ACCEPT;
}

SEC("?netfilter")
int on_netfilter_too(void *ctx)
{
	hit(HOOK_NETFILTER);
	return NF_ACCEPT;
}

/* "The next program decides." */
#define NETKIT_NEXT -1

SEC("?netkit/primary")
int on_netkit(struct __sk_buff *skb)
{
	hit(HOOK_NETKIT);
	return NETKIT_NEXT;
}

SEC("?netkit/primary")
int on_netkit_first(struct __sk_buff *skb)
{
	hit(HOOK_NETKIT);
	return NETKIT_NEXT;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
