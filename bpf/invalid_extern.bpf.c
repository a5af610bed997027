// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Symbols that the kernel must supply. */
#include <stdbool.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

extern int LINUX_KERNEL_VERSION __kconfig;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym __weak;

SEC("xdp")
int uses_kernel(struct xdp_md *ctx)
{
	bpf_rcu_read_lock();
	if (bpf_rcu_read_unlock)
		bpf_rcu_read_unlock();
	return LINUX_KERNEL_VERSION > 0 ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
