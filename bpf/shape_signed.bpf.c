// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Maps of shape_unsigned.bpf.c with other names for the same bytes: what is shared is one map. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

enum verdict {
	DROPPED,
	PASSED,
};

struct flow {
	int port;
	enum verdict verdict;
	char first;
	char _pad[3];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, long);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, struct flow);
	__type(value, long);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} flows SEC(".maps");

/* Both are 8192 bytes once they are rounded up. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 5000);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} events SEC(".maps");

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
