// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Two maps that differ in one line: `kept` says that it may be pinned, `lost` does not. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} kept SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

static __always_inline void count(void *map)
{
	__u32 first = 0;
	__u64 *packets = bpf_map_lookup_elem(map, &first);

	if (packets)
		__sync_fetch_and_add(packets, 1);
}

SEC("xdp")
int count_both(struct xdp_md *ctx)
{
	count(&kept);
	count(&lost);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
