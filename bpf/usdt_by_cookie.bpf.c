// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Watches a statically defined probe as an object does whose usdt.bpf.h knows cookies only: it has no map
 * of addresses.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* struct __bpf_usdt_spec */
struct place {
	char bytes[208];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, struct place);
} __bpf_usdt_specs SEC(".maps");

SEC("usdt")
int on_probe(void *ctx)
{
	int number = 1;

	return bpf_map_lookup_elem(&__bpf_usdt_specs, &number) != 0;
}

char LICENSE[] SEC("license") = "GPL";
