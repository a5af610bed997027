// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The map definitions of before BTF, in the section that libbpf 1.0 gave up. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__u32 type, key_size, value_size, max_entries, map_flags;
} old SEC("maps") = { BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0 };

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "MIT";
