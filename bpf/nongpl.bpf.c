// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * No license section, so not GPL. `free_helpers` uses only helpers that anyone may use and loads;
 * `gpl_helper` asks for one that the kernel keeps for GPL programs and is refused. It is marked
 * `?` and so is loaded only when it is named.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} last_seen SEC(".maps");

static __always_inline int remember(__u64 value)
{
	__u32 first = 0;

	return bpf_map_update_elem(&last_seen, &first, &value, BPF_ANY);
}

SEC("xdp")
int free_helpers(struct xdp_md *ctx)
{
	remember(ctx->data_end - ctx->data);
	return XDP_PASS;
}

/* bpf_probe_read_kernel is for GPL programs only. (bpf_ktime_get_ns was, before Linux 5.8.) */
SEC("?xdp")
int gpl_helper(struct xdp_md *ctx)
{
	__u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), ctx);
	remember(value);
	return XDP_PASS;
}
