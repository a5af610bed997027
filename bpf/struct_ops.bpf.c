// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A congestion control: a struct of the kernel's whose functions are programs. The kernel's struct has
 * its members elsewhere than this one, and more of them.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct sock;

struct tcp_congestion_ops {
	/* Only what is set, in another order than the kernel's. */
	char name[16];
	__u32 flags;
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	/* No kernel has it, and it is not set. */
	__u64 imagined;
};

/* Flavours stand for the type before the underscores. */
struct tcp_congestion_ops___more {
	char name[16];
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
};

SEC("struct_ops/ssthresh")
__u32 ssthresh(void *context)
{
	return 2;
}

SEC("struct_ops/cong_avoid")
void cong_avoid(void *context)
{
}

SEC("struct_ops")
__u32 undo_cwnd(void *context)
{
	return 2;
}

/* Belongs to what is not created unless it is asked for. */
SEC("struct_ops")
__u32 spare(void *context)
{
	return 3;
}

SEC(".struct_ops")
struct tcp_congestion_ops plain = {
	.name = "plain",
	.ssthresh = (void *)ssthresh,
	.cong_avoid = (void *)cong_avoid,
	.undo_cwnd = (void *)undo_cwnd,
};

SEC(".struct_ops.link")
struct tcp_congestion_ops___more linked = {
	.name = "linked",
	.ssthresh = (void *)ssthresh,
	.cong_avoid = (void *)cong_avoid,
	.undo_cwnd = (void *)undo_cwnd,
};

SEC("?.struct_ops.link")
struct tcp_congestion_ops___more optional = {
	.name = "optional",
	.ssthresh = (void *)spare,
	.cong_avoid = (void *)cong_avoid,
	.undo_cwnd = (void *)undo_cwnd,
};

char LICENSE[] SEC("license") = "GPL";
