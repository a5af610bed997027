// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Counts at every hook of a cgroup, one program each. Hooks that later kernels brought are loaded
 * only when they are asked for.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

enum hook {
	INGRESS,
	EGRESS,
	SOCK_CREATE,
	SOCK_RELEASE,
	POST_BIND4,
	POST_BIND6,
	BIND4,
	BIND6,
	CONNECT4,
	CONNECT6,
	SENDMSG4,
	SENDMSG6,
	RECVMSG4,
	RECVMSG6,
	GETPEERNAME4,
	GETPEERNAME6,
	GETSOCKNAME4,
	GETSOCKNAME6,
	GETSOCKOPT,
	SETSOCKOPT,
	SYSCTL,
	DEVICE,
	SOCK_OPS,
	CONNECT_UNIX,
	SENDMSG_UNIX,
	RECVMSG_UNIX,
	GETPEERNAME_UNIX,
	GETSOCKNAME_UNIX,
	HOOKS,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HOOKS);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} hits SEC(".maps");

/* A program that counts and lets pass. */
#define PROGRAM(section, name, context, hook)                                                      \
	SEC("?" section) int name(context *ctx)                                                    \
	{                                                                                          \
		__u32 index = hook;                                                                \
		__u64 *count = bpf_map_lookup_elem(&hits, &index);                                 \
                                                                                                   \
		if (count)                                                                         \
			__sync_fetch_and_add(count, 1);                                            \
		return 1;                                                                          \
	}

PROGRAM("cgroup_skb/ingress", count_ingress, struct __sk_buff, INGRESS)
PROGRAM("cgroup_skb/egress", count_egress, struct __sk_buff, EGRESS)
PROGRAM("cgroup/sock_create", count_sock_create, struct bpf_sock, SOCK_CREATE)
PROGRAM("cgroup/sock_release", count_sock_release, struct bpf_sock, SOCK_RELEASE)
PROGRAM("cgroup/post_bind4", count_post_bind4, struct bpf_sock, POST_BIND4)
PROGRAM("cgroup/post_bind6", count_post_bind6, struct bpf_sock, POST_BIND6)
PROGRAM("cgroup/bind4", count_bind4, struct bpf_sock_addr, BIND4)
PROGRAM("cgroup/bind6", count_bind6, struct bpf_sock_addr, BIND6)
PROGRAM("cgroup/connect4", count_connect4, struct bpf_sock_addr, CONNECT4)
PROGRAM("cgroup/connect6", count_connect6, struct bpf_sock_addr, CONNECT6)
PROGRAM("cgroup/sendmsg4", count_sendmsg4, struct bpf_sock_addr, SENDMSG4)
PROGRAM("cgroup/sendmsg6", count_sendmsg6, struct bpf_sock_addr, SENDMSG6)
PROGRAM("cgroup/recvmsg4", count_recvmsg4, struct bpf_sock_addr, RECVMSG4)
PROGRAM("cgroup/recvmsg6", count_recvmsg6, struct bpf_sock_addr, RECVMSG6)
PROGRAM("cgroup/getpeername4", count_getpeername4, struct bpf_sock_addr, GETPEERNAME4)
PROGRAM("cgroup/getpeername6", count_getpeername6, struct bpf_sock_addr, GETPEERNAME6)
PROGRAM("cgroup/getsockname4", count_getsockname4, struct bpf_sock_addr, GETSOCKNAME4)
PROGRAM("cgroup/getsockname6", count_getsockname6, struct bpf_sock_addr, GETSOCKNAME6)
PROGRAM("cgroup/sysctl", count_sysctl, struct bpf_sysctl, SYSCTL)
PROGRAM("cgroup/dev", count_device, struct bpf_cgroup_dev_ctx, DEVICE)
PROGRAM("sockops", count_sock_ops, struct bpf_sock_ops, SOCK_OPS)
PROGRAM("cgroup/connect_unix", count_connect_unix, struct bpf_sock_addr, CONNECT_UNIX)
PROGRAM("cgroup/sendmsg_unix", count_sendmsg_unix, struct bpf_sock_addr, SENDMSG_UNIX)
PROGRAM("cgroup/recvmsg_unix", count_recvmsg_unix, struct bpf_sock_addr, RECVMSG_UNIX)
PROGRAM("cgroup/getpeername_unix", count_getpeername_unix, struct bpf_sock_addr, GETPEERNAME_UNIX)
PROGRAM("cgroup/getsockname_unix", count_getsockname_unix, struct bpf_sock_addr, GETSOCKNAME_UNIX)

/* The kernel takes an option of more than a page only from a program that gives it back. */
#define OPTION(section, name, hook)                                                                \
	SEC("?" section) int name(struct bpf_sockopt *ctx)                                         \
	{                                                                                          \
		__u32 index = hook;                                                                \
		__u64 *count = bpf_map_lookup_elem(&hits, &index);                                 \
                                                                                                   \
		if (ctx->optlen > 4096)                                                            \
			ctx->optlen = 0;                                                           \
		if (count)                                                                         \
			__sync_fetch_and_add(count, 1);                                            \
		return 1;                                                                          \
	}

OPTION("cgroup/getsockopt", count_getsockopt, GETSOCKOPT)
OPTION("cgroup/setsockopt", count_setsockopt, SETSOCKOPT)

char LICENSE[] SEC("license") = "Dual MIT/GPL";
