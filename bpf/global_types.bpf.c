// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Global variables made of others: structs in each other, unions, bit fields, numbers with a fraction. */
#include <stdbool.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

enum action {
	ACTION_PASS,
	ACTION_DROP = 7,
};

struct rule {
	__u32 address;
	struct {
		__u16 low;
		__u16 high;
	};
	union {
		__u8 octets[4];
		__u32 word;
	};
	__u8 urgent : 1, level : 3, : 2, : 0;
	enum action action;
	void *next;
	struct {
		char name[8];
		bool tls;
	} peer;
};

union either {
	struct {
		__u16 first;
		__u16 second;
	};
	__u32 both;
};

const volatile struct rule standard = {
	.address = 0x0a000001,
	.low = 80,
	.high = 443,
	.octets = { 1, 2, 3, 4 },
	.urgent = 1,
	.level = 5,
	.action = ACTION_DROP,
	.peer = { "edge", true },
};
const volatile struct rule rules[2] = { { .low = 1 }, { .high = 2 } };
const volatile union either choice = { .both = 0x00020001 };
const volatile float share = 0.1f;
const volatile double ratio = -1.5e-30;

SEC("xdp")
int show(struct xdp_md *ctx)
{
	return standard.action == ACTION_DROP && rules[0].low && choice.both ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
