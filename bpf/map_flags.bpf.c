// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A map with a flag that came later than its type. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* BPF_F_RB_OVERWRITE, which headers of before Linux 6.19 do not have: the oldest records make room. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__uint(map_flags, 1U << 19);
} recent SEC(".maps");

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
