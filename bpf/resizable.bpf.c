// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A hash table that grows and shrinks with its entries (Linux 7.2), of the name and the entries of one
 * of tables.bpf.c.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* Newer than the headers of many hosts: BPF_MAP_TYPE_RHASH. */
#define TYPE_RHASH 35

struct {
	__uint(type, TYPE_RHASH);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	/* Room for so many entries from the beginning. */
	__uint(map_extra, 16);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} by_key_late SEC(".maps");

SEC("xdp")
int count_by_length(struct xdp_md *context)
{
	__u32 length = context->data_end - context->data;
	__u64 *count = bpf_map_lookup_elem(&by_key_late, &length);
	__u64 first = 1;

	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&by_key_late, &length, &first, BPF_NOEXIST);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
