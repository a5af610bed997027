// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The least iterator over the entries of maps: tests see by it whether a host forbids those. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("iter/bpf_map_elem")
int show_nothing(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
