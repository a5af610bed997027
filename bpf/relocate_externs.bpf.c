// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Everything an object can ask of the kernel by name: functions, variables with and without a type,
 * values of the configuration; some of them weak, and not there.
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct task_struct {
	int pid;
} __attribute__((preserve_access_index));

struct rq {
	int cpu;
} __attribute__((preserve_access_index));

struct task_struct *bpf_task_from_pid(int pid) __ksym;
void bpf_task_release(struct task_struct *task) __ksym;
/* The kernel's name is what stands before the underscores. */
struct task_struct *bpf_task_from_pid___again(int pid) __ksym __weak;
int bpf_function_that_is_nowhere(int) __ksym __weak;
int bpf_another_that_is_nowhere(int, void *) __ksym __weak;

extern const struct rq runqueues __ksym;
extern const int variable_that_is_nowhere __ksym __weak;
extern const void schedule __ksym;
extern const void symbol_that_is_nowhere __ksym __weak;

extern int LINUX_KERNEL_VERSION __kconfig;
extern unsigned long CONFIG_HZ __kconfig;
extern _Bool CONFIG_BPF_SYSCALL __kconfig;
extern char CONFIG_DEFAULT_HOSTNAME[10] __kconfig __weak;
extern enum libbpf_tristate CONFIG_OPTION_THAT_IS_NOWHERE __kconfig __weak;

__u64 out[16];

SEC("syscall")
int functions(void *context)
{
	struct task_struct *task = bpf_task_from_pid(1);

	if (task) {
		out[0] = task->pid;
		bpf_task_release(task);
	}
	if (bpf_task_from_pid___again) {
		task = bpf_task_from_pid___again(1);
		if (task)
			bpf_task_release(task);
	}
	if (bpf_function_that_is_nowhere)
		out[1] = bpf_function_that_is_nowhere(1);
	if (bpf_another_that_is_nowhere)
		out[2] = bpf_another_that_is_nowhere(1, out);
	return 0;
}

SEC("syscall")
int variables(void *context)
{
	struct rq *queue = bpf_this_cpu_ptr(&runqueues);

	out[3] = queue->cpu;
	if (&variable_that_is_nowhere)
		out[4] = variable_that_is_nowhere;
	out[5] = (__u64)&schedule;
	out[6] = (__u64)&symbol_that_is_nowhere;
	return 0;
}

SEC("syscall")
int configuration(void *context)
{
	out[7] = LINUX_KERNEL_VERSION;
	out[8] = CONFIG_HZ;
	out[9] = CONFIG_BPF_SYSCALL;
	out[10] = CONFIG_DEFAULT_HOSTNAME[1];
	out[11] = CONFIG_OPTION_THAT_IS_NOWHERE;
	return 0;
}

char _license[] SEC("license") = "GPL";
