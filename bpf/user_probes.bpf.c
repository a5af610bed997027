// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Watches functions and statically defined probes of a program. Which ones, the manifest says: the
 * sections only say how.
 */
#include <linux/bpf.h>
#include <linux/ptrace.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
/* usdt.bpf.h of libbpf 1.1 does not include it. */
#include <stdbool.h>

#include <bpf/usdt.bpf.h>

enum {
	ENTERED,
	RETURNED,
	COOKIE,
	PASSED,
	FIRST_ARGUMENT,
	SECOND_ARGUMENT,
	USDT_COOKIE,
	USDT_ARGUMENTS,
	USER_HITS,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, USER_HITS);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} user_hits SEC(".maps");

static __always_inline void count(__u32 index)
{
	__u64 *hits = bpf_map_lookup_elem(&user_hits, &index);

	if (hits)
		__sync_fetch_and_add(hits, 1);
}

static __always_inline void set(__u32 index, __u64 value)
{
	bpf_map_update_elem(&user_hits, &index, &value, BPF_ANY);
}

SEC("uprobe")
int on_entry(struct pt_regs *ctx)
{
	count(ENTERED);
	set(COOKIE, bpf_get_attach_cookie(ctx));
	return 0;
}

SEC("uretprobe")
int on_return(struct pt_regs *ctx)
{
	count(RETURNED);
	return 0;
}

SEC("usdt")
int on_probe(struct pt_regs *ctx)
{
	long argument;

	count(PASSED);
	if (!bpf_usdt_arg(ctx, 0, &argument))
		set(FIRST_ARGUMENT, argument);
	if (!bpf_usdt_arg(ctx, 1, &argument))
		set(SECOND_ARGUMENT, argument);
	set(USDT_COOKIE, bpf_usdt_cookie(ctx));
	set(USDT_ARGUMENTS, bpf_usdt_arg_cnt(ctx));
	return 0;
}

/* What is watched, the section can say too; loaded only if they are asked for. */
SEC("?uprobe/libc.so.6:getaddrinfo+4")
int in_section(struct pt_regs *ctx)
{
	return 0;
}

SEC("?uretprobe.multi/libc.so.6:get*")
int several_in_section(struct pt_regs *ctx)
{
	return 0;
}

SEC("?usdt/libc.so.6:libc:setjmp")
int probe_in_section(struct pt_regs *ctx)
{
	return 0;
}

/* Sees the entry and the return of each call, and says at the entry whether it wants the return. */
SEC("?uprobe.session")
int around(struct pt_regs *ctx)
{
	count(ENTERED);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
