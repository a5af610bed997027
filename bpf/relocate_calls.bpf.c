// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * What a linker must get right about functions and data: subprograms called in an order that is not
 * theirs in .text, by several programs of one section, through callbacks and recursion of calls; and
 * variables in every kind of data section, some at an offset, some static.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

const volatile __u32 limit = 10;
const volatile __u64 table[4] SEC(".rodata.tables") = {1, 2, 3, 4};
static const char text[] SEC(".rodata.texts") = "looked at %u\n";
__u64 seen;
__u64 sums[4] SEC(".data.sums") = {1, 2, 3, 4};
__u32 state = 7;
static volatile __u32 hidden_state SEC(".data.hidden") = 5;
__u32 exported SEC(".data.hidden") __attribute__((visibility("hidden"))) = 6;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} first SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u64);
	__type(value, __u64);
} second SEC(".maps");

/* Nobody calls it: it must not be in any program. */
__noinline int unused(int value)
{
	return value * (int)limit;
}

static __noinline int leaf(int value)
{
	sums[1] += value;
	return value + (int)hidden_state;
}

__noinline int middle(int value)
{
	seen++;
	return leaf(value) + leaf(value + 1);
}

__hidden __noinline int concealed(int value)
{
	state += exported;
	return middle(value) + (int)table[value & 3];
}

__weak __noinline int weak(int value)
{
	return leaf(value) - 1;
}

static int on_entry(void *map, __u64 *key, __u64 *value, void *context)
{
	*(__u64 *)context += *value + leaf((int)*key);
	return 0;
}

static int on_round(__u32 index, void *context)
{
	sums[index & 3] += middle((int)index);
	return index > limit;
}

SEC("xdp")
int calls_late_first(struct xdp_md *packet)
{
	return concealed((int)packet->rx_queue_index) ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int calls_early_first(struct xdp_md *packet)
{
	int value = leaf((int)packet->rx_queue_index);

	return weak(value) + concealed(value) ? XDP_PASS : XDP_DROP;
}

SEC("xdp.frags")
int walks(struct xdp_md *packet)
{
	__u64 sum = 0;

	bpf_for_each_map_elem(&second, on_entry, &sum, 0);
	bpf_loop(100, on_round, &sum, 0);
	bpf_map_update_elem(&second, &sum, &sum, BPF_ANY);
	bpf_trace_printk(text, sizeof(text), (__u32)sum);
	return sum ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int on_demand(struct xdp_md *packet)
{
	__u32 index = 1;
	__u64 *value = bpf_map_lookup_elem(&first, &index);

	return value && *value > table[2] ? XDP_PASS : middle((int)index);
}

char _license[] SEC("license") = "Dual MIT/GPL";
