// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* What an object takes from the kernel: its configuration, symbols, functions and operations. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#ifndef __weak
#define __weak __attribute__((weak))
#endif

extern int LINUX_KERNEL_VERSION __kconfig;
extern _Bool CONFIG_NET __kconfig __weak;
extern const void jiffies __ksym;
extern const int bpf_prog_active __ksym __weak;
extern void bpf_task_release(void *task) __ksym;

struct tcp_congestion_ops {
	void (*init)(void *sk);
	unsigned int (*ssthresh)(void *sk);
	char name[16];
};

SEC("struct_ops/slow_start")
unsigned int slow_start(void *ctx)
{
	return 2;
}

SEC(".struct_ops.link")
struct tcp_congestion_ops calm = {
	.ssthresh = (void *)slow_start,
	.name = "calm",
};

SEC("?.struct_ops")
struct tcp_congestion_ops spare = {
	.name = "spare",
};

SEC("syscall")
int ask(void *ctx)
{
	if (CONFIG_NET && &bpf_prog_active)
		bpf_task_release(ctx);
	return LINUX_KERNEL_VERSION + (long)&jiffies;
}

char LICENSE[] SEC("license") = "GPL";
