// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Wants to replace the function of `replaceable` that gives the verdict, and takes another argument. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("freplace/verdict")
int instead(struct xdp_md *context, int more)
{
	return more;
}

char LICENSE[] SEC("license") = "GPL";
