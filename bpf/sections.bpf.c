// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The sections of libbpf's table that dialect.bpf.c leaves out, one program each. Not every kernel
 * knows them all, so none is loaded unless asked for.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

/* A program that returns `verdict`, in section `section`. */
#define PROGRAM(section, name, context, verdict)                                                   \
	SEC("?" section) int name(context *ctx)                                                    \
	{                                                                                          \
		return verdict;                                                                    \
	}

PROGRAM("sk_reuseport/migrate", on_migrate, struct sk_reuseport_md, SK_PASS)
PROGRAM("sk_reuseport", on_reuseport, struct sk_reuseport_md, SK_PASS)

PROGRAM("kprobe/vfs_read", on_kprobe, void, 0)
PROGRAM("kretprobe/vfs_read", on_kretprobe, void, 0)
PROGRAM("uprobe.s", on_uprobe_s, void, 0)
PROGRAM("uretprobe.s", on_uretprobe_s, void, 0)
PROGRAM("kprobe.multi/vfs_*", on_kprobe_multi, void, 0)
PROGRAM("kretprobe.multi/vfs_*", on_kretprobe_multi, void, 0)
PROGRAM("kprobe.session/vfs_*", on_kprobe_session, void, 0)
PROGRAM("uprobe.multi", on_uprobe_multi, void, 0)
PROGRAM("uretprobe.multi", on_uretprobe_multi, void, 0)
PROGRAM("uprobe.session", on_uprobe_session, void, 0)
PROGRAM("uprobe.multi.s", on_uprobe_multi_s, void, 0)
PROGRAM("uretprobe.multi.s", on_uretprobe_multi_s, void, 0)
PROGRAM("uprobe.session.s", on_uprobe_session_s, void, 0)
PROGRAM("ksyscall/openat", on_ksyscall, void, 0)
PROGRAM("kretsyscall/openat", on_kretsyscall, void, 0)
PROGRAM("usdt", on_usdt, void, 0)
PROGRAM("usdt.s", on_usdt_s, void, 0)

PROGRAM("tc/ingress", on_tc_ingress, struct __sk_buff, TC_ACT_OK)
PROGRAM("tc/egress", on_tc_egress, struct __sk_buff, TC_ACT_OK)
PROGRAM("netkit/primary", on_netkit_primary, struct __sk_buff, TC_ACT_OK)
PROGRAM("netkit/peer", on_netkit_peer, struct __sk_buff, TC_ACT_OK)

PROGRAM("tracepoint.s/syscalls/sys_enter_openat", on_tracepoint_s, void, 0)
PROGRAM("tp.s/syscalls/sys_enter_openat", on_tp_s, void, 0)
PROGRAM("raw_tracepoint.s/sys_enter", on_raw_tracepoint_s, struct bpf_raw_tracepoint_args, 0)
PROGRAM("raw_tp.s/sys_enter", on_raw_tp_s, struct bpf_raw_tracepoint_args, 0)
PROGRAM("raw_tracepoint.w/bpf_test_finish", on_raw_tracepoint_w, struct bpf_raw_tracepoint_args, 0)
PROGRAM("raw_tp.w/bpf_test_finish", on_raw_tp_w, struct bpf_raw_tracepoint_args, 0)
PROGRAM("tp_btf.s/sys_enter", on_tp_btf_s, void, 0)

PROGRAM("fsession/bpf_fentry_test1", on_fsession, void, 0)
PROGRAM("fsession.s/bpf_fentry_test1", on_fsession_s, void, 0)
PROGRAM("fsession.multi/bpf_fentry_test*", on_fsession_multi, void, 0)
PROGRAM("fsession.multi.s/bpf_fentry_test*", on_fsession_multi_s, void, 0)
PROGRAM("fentry.multi/bpf_fentry_test*", on_fentry_multi, void, 0)
PROGRAM("fexit.multi/bpf_fentry_test*", on_fexit_multi, void, 0)
PROGRAM("fentry.multi.s/bpf_fentry_test*", on_fentry_multi_s, void, 0)
PROGRAM("fexit.multi.s/bpf_fentry_test*", on_fexit_multi_s, void, 0)

PROGRAM("iter/task", on_iter, void, 0)
PROGRAM("iter.s/task", on_iter_s, void, 0)
PROGRAM("syscall", on_syscall, void, 0)

PROGRAM("xdp.frags/devmap", on_frags_devmap, struct xdp_md, XDP_PASS)
PROGRAM("xdp/devmap", on_devmap, struct xdp_md, XDP_PASS)
PROGRAM("xdp.frags/cpumap", on_frags_cpumap, struct xdp_md, XDP_PASS)
PROGRAM("xdp/cpumap", on_cpumap, struct xdp_md, XDP_PASS)

PROGRAM("lwt_in", on_lwt_in, struct __sk_buff, BPF_OK)
PROGRAM("lwt_out", on_lwt_out, struct __sk_buff, BPF_OK)
PROGRAM("lwt_xmit", on_lwt_xmit, struct __sk_buff, BPF_OK)
PROGRAM("lwt_seg6local", on_seg6local, struct __sk_buff, BPF_OK)
PROGRAM("sk_skb/verdict", on_skb_verdict, struct __sk_buff, SK_PASS)
PROGRAM("sk_skb", on_sk_skb, struct __sk_buff, SK_PASS)
PROGRAM("lirc_mode2", on_lirc, unsigned int, 0)
PROGRAM("flow_dissector", on_flow, struct __sk_buff, BPF_OK)
PROGRAM("netfilter", on_netfilter, void, 1)

PROGRAM("cgroup/connect_unix", on_connect_unix, struct bpf_sock_addr, 1)
PROGRAM("cgroup/sendmsg_unix", on_sendmsg_unix, struct bpf_sock_addr, 1)
PROGRAM("cgroup/recvmsg_unix", on_recvmsg_unix, struct bpf_sock_addr, 1)
PROGRAM("cgroup/getpeername6", on_getpeername6, struct bpf_sock_addr, 1)
PROGRAM("cgroup/getpeername_unix", on_getpeername_unix, struct bpf_sock_addr, 1)
PROGRAM("cgroup/getsockname6", on_getsockname6, struct bpf_sock_addr, 1)
PROGRAM("cgroup/getsockname_unix", on_getsockname_unix, struct bpf_sock_addr, 1)

char LICENSE[] SEC("license") = "Dual MIT/GPL";
