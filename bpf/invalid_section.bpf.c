// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A section that says nothing about the program in it, and one of a program that cannot be one. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("firewall")
int drop_all(struct xdp_md *ctx)
{
	return XDP_DROP;
}

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("tp_btf")
int anywhere(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
