// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A global function whose argument is the context of whoever calls it, whatever its type: the tag says
 * so. Kernels before 6.8 do not know the tag, and want the type that belongs to the program.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#define __context __attribute__((btf_decl_tag("arg:ctx")))

__u64 calls;

__noinline int look(void *context __context, int answer)
{
	calls++;
	return context ? answer : -1;
}

SEC("xdp")
int on_xdp(struct xdp_md *context)
{
	return look(context, XDP_DROP);
}

SEC("tc")
int on_tc(struct __sk_buff *context)
{
	return look(context, TC_ACT_SHOT);
}

SEC("kprobe/no_such_function")
int on_probe(void *context)
{
	return look(context, 0);
}

char LICENSE[] SEC("license") = "GPL";
