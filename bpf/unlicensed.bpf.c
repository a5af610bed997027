// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * No license section, so not GPL. Some kinds of programs, and all that call kernel functions, the
 * kernel then refuses whatever else they do; the others load. All are marked `?`, so that each is
 * loaded only when it is named.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#ifndef __weak
#define __weak __attribute__((weak))
#endif

extern void *bpf_cast_to_kern_ctx(void *context) __ksym;
extern void bpf_rcu_read_lock(void) __ksym __weak;
extern void bpf_rcu_read_unlock(void) __ksym __weak;

struct tcp_congestion_ops {
	__u32 (*ssthresh)(void *sk);
	void (*cong_avoid)(void *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(void *sk);
	char name[16];
};

SEC("?lsm/socket_create")
int on_hook(void *ctx)
{
	return 0;
}

SEC("?lsm_cgroup/socket_create")
int in_cgroup(void *ctx)
{
	return 1;
}

SEC("?struct_ops/ssthresh")
__u32 slow_start(void *ctx)
{
	return 2;
}

SEC("?struct_ops/cong_avoid")
void avoid(void *ctx)
{
}

SEC("?struct_ops/undo_cwnd")
__u32 undo(void *ctx)
{
	return 2;
}

SEC("?.struct_ops")
struct tcp_congestion_ops unfree = {
	.ssthresh = (void *)slow_start,
	.cong_avoid = (void *)avoid,
	.undo_cwnd = (void *)undo,
	.name = "unfree",
};

SEC("?xdp")
int calls_function(struct xdp_md *ctx)
{
	return bpf_cast_to_kern_ctx(ctx) ? XDP_PASS : XDP_DROP;
}

/* Where the kernel has no such function, the call is dropped with the branch. */
SEC("?xdp")
int calls_if_there(struct xdp_md *ctx)
{
	if (bpf_rcu_read_lock) {
		bpf_rcu_read_lock();
		bpf_rcu_read_unlock();
	}
	return XDP_PASS;
}

SEC("?fentry/security_socket_create")
int on_entry(void *ctx)
{
	return 0;
}

SEC("?fexit/security_socket_create")
int on_return(void *ctx)
{
	return 0;
}

SEC("?fmod_ret/security_socket_create")
int instead(void *ctx)
{
	return 0;
}

SEC("?tp_btf/sched_switch")
int on_switch(void *ctx)
{
	return 0;
}

SEC("?iter/task")
int each_task(void *ctx)
{
	return 0;
}

SEC("?kprobe")
int on_call(void *ctx)
{
	return 0;
}

SEC("?tp/syscalls/sys_enter_getpid")
int on_getpid(void *ctx)
{
	return 0;
}

SEC("?perf_event")
int on_event(void *ctx)
{
	return 0;
}

SEC("?raw_tp/sched_switch")
int on_raw_switch(void *ctx)
{
	return 0;
}

SEC("?cgroup_skb/egress")
int on_egress(struct __sk_buff *skb)
{
	return 1;
}

SEC("?syscall")
int on_demand(void *ctx)
{
	return 0;
}

SEC("?sk_lookup")
int choose(struct bpf_sk_lookup *ctx)
{
	return SK_PASS;
}
