// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Values that look like those of the kernel's configuration, and are not. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

extern int LINUX_KERNEL_VERSION __kconfig;
extern int HZ __kconfig;
extern int LINUX_HAS_FUTURE __kconfig __weak;

SEC("xdp")
int uses_kernel(struct xdp_md *ctx)
{
	return LINUX_KERNEL_VERSION > HZ + LINUX_HAS_FUTURE ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
