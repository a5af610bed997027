// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Counts packets and bytes at the traffic-control hook, in each way of writing such a program.
 *
 * `tcx/ingress` and `tcx/egress` attach as links (kernel 6.6), `tc` is the same program type for
 * either kind of attachment, `classifier` and `action` are the older names of filters and actions.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

struct traffic {
	__u64 packets;
	__u64 bytes;
};

enum hook {
	HOOK_TC,
	HOOK_TCX_INGRESS,
	HOOK_TCX_EGRESS,
	HOOK_CLASSIFIER,
	HOOK_ACTION,
	HOOKS,
};

/* Traffic by the program that saw it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HOOKS);
	__type(key, __u32);
	__type(value, struct traffic);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} traffic SEC(".maps");

static __always_inline void count(const struct __sk_buff *skb, enum hook hook)
{
	__u32 index = hook;
	struct traffic *seen = bpf_map_lookup_elem(&traffic, &index);

	if (seen) {
		__sync_fetch_and_add(&seen->packets, 1);
		__sync_fetch_and_add(&seen->bytes, skb->len);
	}
}

/* "The next program decides": the verdict of a tcx program that only looks. */
#define TCX_NEXT -1

SEC("tc")
int tc_count(struct __sk_buff *skb)
{
	count(skb, HOOK_TC);
	return TC_ACT_OK;
}

SEC("tcx/ingress")
int tcx_ingress(struct __sk_buff *skb)
{
	count(skb, HOOK_TCX_INGRESS);
	return TCX_NEXT;
}

SEC("tcx/egress")
int tcx_egress(struct __sk_buff *skb)
{
	count(skb, HOOK_TCX_EGRESS);
	return TCX_NEXT;
}

SEC("classifier")
int classify(struct __sk_buff *skb)
{
	count(skb, HOOK_CLASSIFIER);
	return TC_ACT_OK;
}

SEC("action")
int act(struct __sk_buff *skb)
{
	count(skb, HOOK_ACTION);
	return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
