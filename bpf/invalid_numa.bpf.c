// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A NUMA node that the kernel does not look at, for lack of its flag. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(numa_node, 1);
	__type(key, __u32);
	__type(value, __u64);
} near SEC(".maps");

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
