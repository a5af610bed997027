// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * libbpf's dialect: one program for every way a section may be named. None of them does anything;
 * a loader that takes this object knows what the sections mean.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

/* A program that returns `verdict`, in section `section`. */
#define PROGRAM(section, name, context, verdict)                                                   \
	SEC(section) int name(context *ctx)                                                        \
	{                                                                                          \
		return verdict;                                                                    \
	}

PROGRAM("xdp", on_xdp, struct xdp_md, XDP_PASS)
PROGRAM("xdp.frags", on_xdp_frags, struct xdp_md, XDP_PASS)
/* `?`: not loaded unless named. */
PROGRAM("?xdp", on_demand, struct xdp_md, XDP_PASS)

PROGRAM("tc", on_tc, struct __sk_buff, TC_ACT_OK)
PROGRAM("tcx/ingress", on_tcx_ingress, struct __sk_buff, TC_ACT_UNSPEC)
PROGRAM("tcx/egress", on_tcx_egress, struct __sk_buff, TC_ACT_UNSPEC)
PROGRAM("classifier", on_classifier, struct __sk_buff, TC_ACT_OK)
PROGRAM("action", on_action, struct __sk_buff, TC_ACT_OK)

PROGRAM("cgroup_skb/ingress", on_cgroup_ingress, struct __sk_buff, 1)
PROGRAM("cgroup_skb/egress", on_cgroup_egress, struct __sk_buff, 1)
PROGRAM("cgroup/skb", on_cgroup_skb, struct __sk_buff, 1)
PROGRAM("cgroup/sock_create", on_sock_create, struct bpf_sock, 1)
PROGRAM("cgroup/sock_release", on_sock_release, struct bpf_sock, 1)
PROGRAM("cgroup/sock", on_sock, struct bpf_sock, 1)
PROGRAM("cgroup/post_bind4", on_post_bind4, struct bpf_sock, 1)
PROGRAM("cgroup/post_bind6", on_post_bind6, struct bpf_sock, 1)
PROGRAM("cgroup/bind4", on_bind4, struct bpf_sock_addr, 1)
PROGRAM("cgroup/bind6", on_bind6, struct bpf_sock_addr, 1)
PROGRAM("cgroup/connect4", on_connect4, struct bpf_sock_addr, 1)
PROGRAM("cgroup/connect6", on_connect6, struct bpf_sock_addr, 1)
PROGRAM("cgroup/sendmsg4", on_sendmsg4, struct bpf_sock_addr, 1)
PROGRAM("cgroup/sendmsg6", on_sendmsg6, struct bpf_sock_addr, 1)
PROGRAM("cgroup/recvmsg4", on_recvmsg4, struct bpf_sock_addr, 1)
PROGRAM("cgroup/recvmsg6", on_recvmsg6, struct bpf_sock_addr, 1)
PROGRAM("cgroup/getpeername4", on_getpeername4, struct bpf_sock_addr, 1)
PROGRAM("cgroup/getsockname4", on_getsockname4, struct bpf_sock_addr, 1)
PROGRAM("cgroup/sysctl", on_sysctl, struct bpf_sysctl, 1)
PROGRAM("cgroup/getsockopt", on_getsockopt, struct bpf_sockopt, 1)
PROGRAM("cgroup/setsockopt", on_setsockopt, struct bpf_sockopt, 1)
PROGRAM("cgroup/dev", on_device, struct bpf_cgroup_dev_ctx, 1)
PROGRAM("sockops", on_sockops, struct bpf_sock_ops, 1)

PROGRAM("sk_msg", on_sk_msg, struct sk_msg_md, SK_PASS)
PROGRAM("sk_skb/stream_parser", on_stream_parser, struct __sk_buff, ctx->len)
PROGRAM("sk_skb/stream_verdict", on_stream_verdict, struct __sk_buff, SK_PASS)
PROGRAM("sk_lookup", on_sk_lookup, struct bpf_sk_lookup, SK_PASS)
PROGRAM("socket", on_socket, struct __sk_buff, ctx->len)

PROGRAM("tp/sched/sched_switch", on_tp, void, 0)
PROGRAM("tracepoint/sched/sched_switch", on_tracepoint, void, 0)
PROGRAM("raw_tp/sched_switch", on_raw_tp, struct bpf_raw_tracepoint_args, 0)
PROGRAM("raw_tracepoint/sched_switch", on_raw_tracepoint, struct bpf_raw_tracepoint_args, 0)
PROGRAM("tp_btf/sched_switch", on_tp_btf, void, 0)
PROGRAM("perf_event", on_perf_event, void, 0)
PROGRAM("uprobe", on_uprobe, void, 0)
PROGRAM("uretprobe", on_uretprobe, void, 0)

char LICENSE[] SEC("license") = "Dual MIT/GPL";
