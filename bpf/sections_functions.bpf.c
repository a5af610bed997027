// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The sections of programs at functions of the kernel, one program each; none is loaded unless asked
 * for. Apart from sections.bpf.c, so that a libbpf that does not know all of those can take them.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* A program that returns `verdict`, in section `section`. */
#define PROGRAM(section, name, context, verdict)                                                   \
	SEC("?" section) int name(context *ctx)                                                    \
	{                                                                                          \
		return verdict;                                                                    \
	}

/* The kernel has these functions for tests; sleepable programs may be at the first. */
PROGRAM("fentry/bpf_fentry_test1", on_fentry, void, 0)
PROGRAM("fmod_ret/bpf_modify_return_test", on_fmod_ret, void, 0)
PROGRAM("fexit/bpf_fentry_test1", on_fexit, void, 0)
PROGRAM("fentry.s/bpf_fentry_test1", on_fentry_s, void, 0)
PROGRAM("fmod_ret.s/bpf_fentry_test1", on_fmod_ret_s, void, 0)
PROGRAM("fexit.s/bpf_fentry_test1", on_fexit_s, void, 0)

PROGRAM("lsm/file_open", on_lsm, void, 0)
PROGRAM("lsm.s/file_open", on_lsm_s, void, 0)
PROGRAM("lsm_cgroup/socket_bind", on_lsm_cgroup, void, 1)

char LICENSE[] SEC("license") = "Dual MIT/GPL";
