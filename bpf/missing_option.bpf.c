// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* An option that no kernel has, and that the object insists on. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

extern int CONFIG_THAT_IS_NOWHERE __kconfig;

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return CONFIG_THAT_IS_NOWHERE ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
