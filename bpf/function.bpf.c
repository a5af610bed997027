// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The least program at a function of the kernel: whether any may be there. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("fentry/bpf_fentry_test1")
int on_entry(void *context)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
