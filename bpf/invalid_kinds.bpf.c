// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Kinds of programs that need more than themselves: freplace and struct_ops. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct imagined_ops {
	int (*init)(void);
};

SEC("struct_ops/init")
int init(void *ctx)
{
	return 0;
}

SEC(".struct_ops")
struct imagined_ops ops = {
	.init = (void *)init,
};

SEC("freplace/stub")
int replacement(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("kprobe/do_unlinkat")
int on_unlink(void *ctx)
{
	return 0;
}

/* No value can be written for a pointer. */
void *volatile cursor;

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return cursor ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
