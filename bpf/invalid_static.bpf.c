// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A function in a section of its own that no loader can find: it is static. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
static __attribute__((used)) int drop_all(struct xdp_md *ctx)
{
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
