// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Runs at the entry of a function of the kernel and at its return (Linux 7.0), which it tells apart: it
 * counts only what returns. The function is called when a socket is made.
 */
#include "vmlinux_min.h"

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

_Bool bpf_session_is_return(void *ctx) __ksym;

enum {
	RETURNED,
	COOKIE,
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

/* What the function is, the manifest says. */
SEC("fsession")
int around(void *ctx)
{
	__u32 index = RETURNED;
	__u64 *returned = bpf_map_lookup_elem(&function_hits, &index);

	if (returned && is_meant() && bpf_session_is_return(ctx))
		__sync_fetch_and_add(returned, 1);
	return 0;
}

SEC("?fsession/security_socket_create")
int with_cookie(void *ctx)
{
	__u32 index = COOKIE;
	__u64 cookie = bpf_get_attach_cookie(ctx);

	if (is_meant())
		bpf_map_update_elem(&function_hits, &index, &cookie, BPF_ANY);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
