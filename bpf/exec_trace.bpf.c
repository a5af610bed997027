// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Sees each execve(2) three times: as a tracepoint, as a raw tracepoint, and as one whose
 * arguments have BTF types. Counts all three; the last also writes a record that a reader of the
 * pinned ring buffer receives.
 *
 * Each SEC() says where its program attaches, so a manifest needs only `hook = "section"`. The
 * fields of `task_struct` are found by CO-RE in the kernel's BTF.
 */
#include "vmlinux_min.h"

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

enum seen_by {
	SEEN_BY_TRACEPOINT,
	SEEN_BY_RAW_TRACEPOINT,
	SEEN_BY_TP_BTF,
	SEEN_BY_COUNT,
};

/* One record of `execs`. */
struct exec {
	__u32 pid;
	__u32 parent;
	char comm[16];
	char filename[64];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SEEN_BY_COUNT);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} exec_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} execs SEC(".maps");

static __always_inline void count(enum seen_by seen_by)
{
	__u32 index = seen_by;
	__u64 *calls = bpf_map_lookup_elem(&exec_counts, &index);

	if (calls)
		__sync_fetch_and_add(calls, 1);
}

/* The call itself, whether or not it will succeed. */
SEC("tp/syscalls/sys_enter_execve")
int enter_execve(struct trace_event_raw_sys_enter *ctx)
{
	if (ctx->args[0])
		count(SEEN_BY_TRACEPOINT);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int raw_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[0];

	if (BPF_CORE_READ(task, tgid))
		count(SEEN_BY_RAW_TRACEPOINT);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(typed_exec, struct task_struct *task, int old_pid, struct linux_binprm *program)
{
	struct exec *exec;

	count(SEEN_BY_TP_BTF);
	exec = bpf_ringbuf_reserve(&execs, sizeof(*exec), 0);
	if (!exec)
		return 0;
	exec->pid = task->tgid;
	exec->parent = task->real_parent->tgid;
	bpf_core_read_str(exec->comm, sizeof(exec->comm), &task->comm);
	bpf_probe_read_kernel_str(exec->filename, sizeof(exec->filename), program->filename);
	bpf_ringbuf_submit(exec, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
