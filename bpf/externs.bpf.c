// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * What an object can ask of the kernel by name, and what it got: values of the configuration of every
 * kind, addresses, kernel functions; strong, weak, and weak and not there.
 */
#include <stdbool.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

extern int LINUX_KERNEL_VERSION __kconfig;
extern bool LINUX_HAS_BPF_COOKIE __kconfig;
extern bool LINUX_HAS_SYSCALL_WRAPPER __kconfig;
extern bool LINUX_HAS_SOMETHING_NEW __kconfig __weak;
extern bool CONFIG_BPF_SYSCALL __kconfig;
extern char CONFIG_BPF_JIT __kconfig __weak;
extern enum libbpf_tristate CONFIG_BPF __kconfig;
extern unsigned long CONFIG_HZ __kconfig;
extern short CONFIG_LOG_BUF_SHIFT __kconfig __weak;
extern char CONFIG_CC_VERSION_TEXT[8] __kconfig;
extern enum libbpf_tristate CONFIG_THAT_IS_NOWHERE __kconfig __weak;

extern const void bpf_prog_put __ksym;
extern const void symbol_that_is_nowhere __ksym __weak;

/* Since Linux 6.2. */
void bpf_rcu_read_lock(void) __ksym __weak;
void bpf_rcu_read_unlock(void) __ksym __weak;
int function_that_is_nowhere(void) __ksym __weak;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

static __always_inline void put(__u32 index, __u64 value)
{
	bpf_map_update_elem(&seen, &index, &value, BPF_ANY);
}

SEC("tc")
int ask(struct __sk_buff *packet)
{
	put(0, LINUX_KERNEL_VERSION);
	put(1, LINUX_HAS_BPF_COOKIE);
	put(2, LINUX_HAS_SYSCALL_WRAPPER);
	put(3, LINUX_HAS_SOMETHING_NEW);
	put(4, CONFIG_BPF_SYSCALL);
	put(5, CONFIG_BPF_JIT);
	put(6, CONFIG_BPF);
	put(7, CONFIG_HZ);
	put(8, CONFIG_LOG_BUF_SHIFT);
	put(9, CONFIG_CC_VERSION_TEXT[0]);
	put(10, CONFIG_CC_VERSION_TEXT[7]);
	put(11, CONFIG_THAT_IS_NOWHERE);
	put(12, (__u64)&bpf_prog_put);
	put(13, (__u64)&symbol_that_is_nowhere);
	if (bpf_rcu_read_lock && bpf_rcu_read_unlock) {
		bpf_rcu_read_lock();
		put(14, 1);
		bpf_rcu_read_unlock();
	}
	if (function_that_is_nowhere)
		put(15, function_that_is_nowhere());
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
