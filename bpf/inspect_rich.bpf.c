// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Every kind of map, data section and program that `inspect` describes, without a mistake. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

/* Newer libbpf has it in bpf_helpers.h. */
#ifndef __ulong
#define __ulong(name, val) enum { name##_value = val } name
#endif

typedef __u32 address_t;

enum verdict {
	PASS,
	DROP = 7,
};

struct flow_key {
	address_t source;
	address_t target;
	__u16 ports[2];
	unsigned char protocol;
	union {
		__u8 tos;
		struct {
			__u8 ecn : 2;
			__u8 dscp : 6;
		};
	};
	__u16 padding;
};

struct flow_state {
	__u64 packets;
	__s64 balance;
	_Bool seen;
	char label[16];
	enum verdict verdict;
	struct flow_state *next;
	void (*callback)(int);
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct flow_key);
	__type(value, struct flow_state);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE);
	__uint(numa_node, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 24);
	__uint(max_entries, 3);
	__uint(pinning, LIBBPF_PIN_NONE);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 5000);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__type(value, address_t);
	__uint(value_size, 4);
} samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__type(value, __u64);
	__uint(max_entries, 100);
	__ulong(map_extra, 5);
} seen SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, char[16]);
	__uint(max_entries, 8);
};

struct inner names_a SEC(".maps"), names_b SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__type(key, __u32);
	__uint(max_entries, 4);
	__array(values, struct inner);
} by_index SEC(".maps") = {
	.values = { [0] = &names_a, [3] = &names_b },
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__type(key, __u32);
	__uint(max_entries, 4);
	__array(values, struct inner);
} by_key SEC(".maps") = {
	.values = { [7] = &names_a },
};

int first(struct xdp_md *ctx);
int second(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(key_size, 4);
	__uint(max_entries, 2);
	__array(values, int(void *));
} jumps SEC(".maps") = {
	.values = { [0] = (void *)&first, [1] = (void *)&second },
};

const volatile __u32 log_level = 2;
const volatile address_t vip SEC(".rodata.network") = 0x0100007f;
volatile struct flow_key template = { .source = 1, .ports = { 80, 443 } };
static volatile int private SEC(".data.private") = 9;
volatile int hidden __hidden SEC(".data.hidden") = 10;
volatile __u64 total;
volatile char scratch[64] SEC(".bss.scratch");

static __noinline int helper(struct xdp_md *ctx)
{
	return ctx->rx_queue_index + private + hidden;
}

SEC("xdp")
int first(struct xdp_md *ctx)
{
	struct flow_key key = template;
	__u32 zero = 0;

	bpf_map_lookup_elem(&flows, &key);
	bpf_map_lookup_elem(&counters, &zero);
	total += log_level + vip + scratch[0];
	return helper(ctx);
}

SEC("xdp.frags/devmap")
int second(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &jumps, 0);
	return helper(ctx);
}

SEC("?tcx/egress")
int on_demand(struct __sk_buff *ctx)
{
	return TC_ACT_UNSPEC;
}

SEC("fentry.s/do_unlinkat")
int unlinking(void *ctx)
{
	return 0;
}

SEC("of/my/own/making")
int unknown(void *ctx)
{
	return 0;
}

/* Padded: the license ends at the first NUL. */
char LICENSE[16] SEC("license") = "GPL";
