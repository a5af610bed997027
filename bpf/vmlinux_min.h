/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The few kernel types that the CO-RE programs here read.
 *
 * Only the members that are read are declared, in any order: `preserve_access_index` makes the
 * compiler record each access by name, and the loader looks the real offset up in the running
 * kernel's BTF. A generated vmlinux.h of 3 MB would do the same for every type there is.
 */
#ifndef VMLINUX_MIN_H
#define VMLINUX_MIN_H

#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	unsigned int val;
} kuid_t;

typedef struct {
	unsigned int val;
} kgid_t;

struct group_info {
	int ngroups;
	kgid_t gid[];
};

struct cred {
	kuid_t uid;
	struct group_info *group_info;
};

struct task_struct {
	int pid;
	int tgid;
	unsigned int in_execve : 1;
	struct task_struct *real_parent;
	const struct cred *cred;
	char comm[16];
};

struct trace_event_raw_sys_enter {
	long id;
	unsigned long args[6];
};

struct linux_binprm {
	const char *filename;
	int argc;
};

#pragma clang attribute pop

/* Only the one value that is read; its number comes from the kernel too. */
enum pid_type {
	PIDTYPE_TGID = 1,
};

#endif
