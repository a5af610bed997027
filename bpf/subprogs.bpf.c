// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Calls between BPF functions: static and global, weak and hidden, in the program's own section and
 * in .text, and as a callback of a helper. `results` holds what each returned.
 *
 * With N the packet's length in bytes: slot 0 is N + 1, slot 1 is 2N, slot 2 is N + 3, slot 3 is
 * N + 4, slot 4 is 0+1+…+9 = 45, slot 5 is the number of slots.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

enum slot {
	SLOT_STATIC,
	SLOT_GLOBAL,
	SLOT_WEAK,
	SLOT_HIDDEN,
	SLOT_LOOP,
	SLOT_FOR_EACH,
	SLOTS,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} results SEC(".maps");

/* Called by functions that are called: relocation must follow the chain. */
static __noinline int store(enum slot slot, __u64 value)
{
	__u32 index = slot;

	return bpf_map_update_elem(&results, &index, &value, BPF_ANY);
}

static __noinline int add_one(int value)
{
	return value + 1;
}

/* Global: verified on its own, for every possible argument. */
__noinline int twice(int value)
{
	return value * 2;
}

__weak __noinline int add_three(int value)
{
	return value + 3;
}

/* Hidden: global for the compiler, static for the verifier. */
__hidden __noinline int add_four(int value)
{
	return value + 4;
}

static int add_index(__u32 index, __u64 *sum)
{
	*sum += index;
	return 0;
}

static int count_entry(void *map, const __u32 *key, __u64 *value, __u64 *entries)
{
	*entries += 1;
	return 0;
}

SEC("xdp")
int call_each(struct xdp_md *ctx)
{
	int length = (ctx->data_end - ctx->data) & 0xffff;
	__u64 sum = 0, entries = 0;

	store(SLOT_STATIC, add_one(length));
	store(SLOT_GLOBAL, twice(length));
	store(SLOT_WEAK, add_three(length));
	store(SLOT_HIDDEN, add_four(length));
	bpf_loop(10, add_index, &sum, 0);
	store(SLOT_LOOP, sum);
	bpf_for_each_map_elem(&results, count_entry, &entries, 0);
	store(SLOT_FOR_EACH, entries);
	return XDP_PASS;
}

/* A second program with the same callees: each program gets its own copy of them. */
SEC("tc")
int call_again(struct __sk_buff *skb)
{
	store(SLOT_STATIC, add_one(skb->len));
	return add_three(-3);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
