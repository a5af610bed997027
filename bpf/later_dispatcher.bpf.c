// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * What a dispatcher of libxdp looks like from outside, in a version that nobody knows yet: the name of
 * the program, and the magic number, the version and the count at the beginning of its constants.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

const volatile struct {
	__u8 magic;
	__u8 dispatcher_version;
	__u8 num_progs_enabled;
	__u8 is_xdp_frags;
	__u32 unheard_of[40];
} conf = { .magic = 236, .dispatcher_version = 9 };

SEC("xdp")
int xdp_dispatcher(struct xdp_md *ctx)
{
	return conf.num_progs_enabled ? XDP_ABORTED : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
