// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Two programs for one interface. What they say of themselves libxdp reads as well: the first one
 * is called early, and only packets that it passes go on to the next.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* What `early` makes of a packet. */
const volatile __u32 verdict = XDP_PASS;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} calls SEC(".maps");

static __always_inline void count(__u32 which)
{
	__u64 *seen = bpf_map_lookup_elem(&calls, &which);

	if (seen)
		__sync_fetch_and_add(seen, 1);
}

SEC("xdp")
int early(struct xdp_md *ctx)
{
	count(0);
	return verdict;
}

SEC("xdp")
int late(struct xdp_md *ctx)
{
	count(1);
	return XDP_PASS;
}

struct {
	__uint(priority, 10);
	__uint(XDP_PASS, 1);
} _early SEC(".xdp_run_config");

char LICENSE[] SEC("license") = "Dual MIT/GPL";
