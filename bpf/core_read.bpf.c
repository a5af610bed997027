// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Every kind of CO-RE relocation that clang 14 emits, against types that every kernel has. The
 * program stores what it found in `found`, about the task that runs it.
 */
#include "vmlinux_min.h"

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* What no kernel has, to ask for in vain. The part after `___` is not of the name. */
struct task_struct___imagined {
	int colour_of_the_hat;
} __attribute__((preserve_access_index));

struct struct_that_is_nowhere {
	int nothing;
} __attribute__((preserve_access_index));

enum pid_type___imagined {
	PIDTYPE_IMAGINED = 1000,
};

/* What the relocations became. */
struct found {
	__u64 task_struct_size;
	__u64 comm_offset;
	__u64 comm_size;
	__u64 in_execve;
	__u32 tgid;
	__u32 parent_tgid;
	__u32 uid;
	__s32 ngroups;
	__u32 second_gid;
	__u32 second_gid_offset;
	__u32 tgid_enumerator;
	__u32 task_struct_kernel_id;
	__u32 enumerator_exists;
	__u32 imagined_enumerator_exists;
	__u32 comm_exists;
	__u32 imagined_field_exists;
	__u32 type_exists;
	__u32 imagined_type_exists;
	__u32 bit_is_unsigned;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct found);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} found SEC(".maps");

/* Fields: directly, through pointers, in an array, past the end of a flexible array's type. */
static __always_inline void read_fields(struct found *found, struct task_struct *task)
{
	const struct group_info *groups = BPF_CORE_READ(task, cred, group_info);

	found->tgid = BPF_CORE_READ(task, tgid);
	found->parent_tgid = BPF_CORE_READ(task, real_parent, tgid);
	found->uid = BPF_CORE_READ(task, cred, uid.val);
	found->ngroups = BPF_CORE_READ(groups, ngroups);
	found->second_gid = found->ngroups > 1 ? BPF_CORE_READ(groups, gid[1].val) : 0;
	found->second_gid_offset =
		__builtin_preserve_field_info(groups->gid[1].val, BPF_FIELD_BYTE_OFFSET);
	found->in_execve = BPF_CORE_READ_BITFIELD_PROBED(task, in_execve);
	bpf_core_read_str(found->comm, sizeof(found->comm), &task->comm);
}

/* Facts about types: sizes, offsets, values and ids of the running kernel. */
static __always_inline void read_types(struct found *found)
{
	found->task_struct_size = bpf_core_type_size(struct task_struct);
	found->comm_offset =
		__builtin_preserve_field_info(((struct task_struct *)0)->comm, BPF_FIELD_BYTE_OFFSET);
	found->comm_size = bpf_core_field_size(((struct task_struct *)0)->comm);
	found->bit_is_unsigned = !__builtin_preserve_field_info(
		((struct task_struct *)0)->in_execve, BPF_FIELD_SIGNED);
	found->tgid_enumerator = bpf_core_enum_value(enum pid_type, PIDTYPE_TGID);
	found->task_struct_kernel_id = bpf_core_type_id_kernel(struct task_struct);
}

/* What is not there is answered with 0, not with a failure. */
static __always_inline void ask_existence(struct found *found)
{
	struct task_struct___imagined *imagined = 0;

	found->enumerator_exists = bpf_core_enum_value_exists(enum pid_type, PIDTYPE_TGID);
	found->imagined_enumerator_exists =
		bpf_core_enum_value_exists(enum pid_type___imagined, PIDTYPE_IMAGINED);
	found->comm_exists = bpf_core_field_exists(((struct task_struct *)0)->comm);
	found->imagined_field_exists = bpf_core_field_exists(imagined->colour_of_the_hat);
	found->type_exists = bpf_core_type_exists(struct task_struct);
	found->imagined_type_exists = bpf_core_type_exists(struct struct_that_is_nowhere);
	/* Removed by the verifier: poisoned, but never reached. */
	if (bpf_core_field_exists(imagined->colour_of_the_hat))
		found->tgid = BPF_CORE_READ(imagined, colour_of_the_hat);
}

SEC("raw_tp/sys_enter")
int read_task(void *ctx)
{
	__u32 first = 0;
	struct found *now = bpf_map_lookup_elem(&found, &first);

	if (!now)
		return 0;
	read_fields(now, (void *)bpf_get_current_task());
	read_types(now);
	ask_existence(now);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
