// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The verifier rejects this object: `read_blindly` reads the packet without asking whether it is
 * long enough ("invalid access to packet"). Its maps and its other program are sound, so whatever
 * was made of them before the rejection has to be undone.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u16);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} ethertypes SEC(".maps");

SEC("xdp")
int sound(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp")
int read_blindly(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	__u16 ethertype = eth->h_proto;
	__u64 one = 1;

	bpf_map_update_elem(&ethertypes, &ethertype, &one, BPF_ANY);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
