// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * What reading a file under bpffs shows: each task, each cgroup, or each entry of a map that the manifest
 * names.
 */
#include "vmlinux_min.h"

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct kernfs_node {
	__u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct bpf_iter__cgroup {
	struct bpf_iter_meta *meta;
	struct cgroup *cgroup;
};

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
};

#pragma clang attribute pop

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} shown SEC(".maps");

const char task_form[] = "task %d\n";
const char cgroup_form[] = "cgroup %llu\n";
const char entry_form[] = "%d is %llu\n";

SEC("iter/task")
int show_task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	__u64 arguments[1];

	if (!task)
		return 0;
	arguments[0] = task->pid;
	bpf_seq_printf(ctx->meta->seq, task_form, sizeof(task_form), arguments, sizeof(arguments));
	return 0;
}

/* Some hosts forbid it. */
SEC("?iter/bpf_map_elem")
int show_entry(struct bpf_iter__bpf_map_elem *ctx)
{
	__u32 *key = ctx->key;
	__u64 *value = ctx->value;
	__u64 arguments[2];

	if (!key || !value)
		return 0;
	arguments[0] = *key;
	arguments[1] = *value;
	bpf_seq_printf(ctx->meta->seq, entry_form, sizeof(entry_form), arguments, sizeof(arguments));
	return 0;
}

/* Linux 6.1. */
SEC("?iter/cgroup")
int show_cgroup(struct bpf_iter__cgroup *ctx)
{
	struct cgroup *cgroup = ctx->cgroup;
	__u64 arguments[1];

	if (!cgroup)
		return 0;
	arguments[0] = cgroup->kn->id;
	bpf_seq_printf(ctx->meta->seq, cgroup_form, sizeof(cgroup_form), arguments, sizeof(arguments));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
