// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Replaces the function of `replaceable` that gives the verdict: XDP_DROP, and counts. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

__u64 calls;

SEC("freplace/verdict")
int instead(struct xdp_md *context)
{
	calls++;
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
