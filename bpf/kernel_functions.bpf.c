// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Runs at functions of the kernel that it knows by their types, and at hooks of security modules. The
 * functions are called when a socket is made; one program takes that away from a process.
 */
#include "vmlinux_min.h"

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

enum {
	ENTERED,
	RETURNED,
	ASKED,
	COOKIE,
	ASKED_IN_CGROUP,
	FUNCTION_HITS,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FUNCTION_HITS);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} function_hits SEC(".maps");

volatile const __u32 only_process;

static __always_inline int is_meant(void)
{
	return bpf_get_current_pid_tgid() >> 32 == only_process;
}

static __always_inline void count(__u32 index)
{
	__u64 *hits = bpf_map_lookup_elem(&function_hits, &index);

	if (hits && is_meant())
		__sync_fetch_and_add(hits, 1);
}

/* What the function is, the manifest says. */
SEC("fentry")
int on_entry(void *ctx)
{
	count(ENTERED);
	return 0;
}

SEC("fexit/security_socket_create")
int on_return(void *ctx)
{
	count(RETURNED);
	return 0;
}

SEC("lsm/socket_create")
int on_hook(void *ctx)
{
	count(ASKED);
	return 0;
}

SEC("?lsm_cgroup/socket_create")
int in_cgroup(void *ctx)
{
	count(ASKED_IN_CGROUP);
	return 1;
}

/* -EPERM */
SEC("fmod_ret/security_socket_create")
int refuse(void *ctx)
{
	return is_meant() ? -1 : 0;
}

SEC("?fentry/security_socket_create")
int with_cookie(void *ctx)
{
	__u32 index = COOKIE;
	__u64 cookie = bpf_get_attach_cookie(ctx);

	if (is_meant())
		bpf_map_update_elem(&function_hits, &index, &cookie, BPF_ANY);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
