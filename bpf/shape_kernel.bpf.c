// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Maps that the kernel makes otherwise than asked for: it rounds the entries of an LRU map without a
 * common list up to a multiple of the CPUs, and keeps no flag that only limits its creator. Pins of
 * them are as declared all the same.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1001);
	__uint(map_flags, BPF_F_NO_COMMON_LRU);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} rounded SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__uint(map_flags, BPF_F_RDONLY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} read_only SEC(".maps");

SEC("xdp")
int use_both(struct xdp_md *ctx)
{
	__u32 key = ctx->ingress_ifindex;
	__u64 one = 1;

	bpf_map_update_elem(&rounded, &key, &one, BPF_ANY);
	bpf_map_update_elem(&read_only, &key, &one, BPF_ANY);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
