// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A prog array whose first slot holds a program that is loaded only when it is named. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

int on_demand(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} calls SEC(".maps") = {
	.values = { [0] = (void *)&on_demand },
};

SEC("?xdp")
int on_demand(struct xdp_md *ctx)
{
	return XDP_DROP;
}

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &calls, 0);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
