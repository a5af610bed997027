/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Two congestion controls for TCP, one registered by a link and one without, that do next to nothing
 * and count the connections they are given under COUNTER. Tests put a name of their own in place of
 * `ea0000000`: names are the host's, whatever the network namespace.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct sock;

struct tcp_congestion_ops {
	void (*init)(struct sock *sk);
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	char name[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} connections SEC(".maps");

SEC("struct_ops")
void init(void *context)
{
	__u32 key = COUNTER;
	__u64 *count = bpf_map_lookup_elem(&connections, &key);

	if (count)
		__sync_fetch_and_add(count, 1);
}

SEC("struct_ops")
__u32 ssthresh(void *context)
{
	return ANSWER;
}

SEC("struct_ops")
void cong_avoid(void *context)
{
}

SEC("struct_ops")
__u32 undo_cwnd(void *context)
{
	return ANSWER;
}

SEC("?.struct_ops.link")
struct tcp_congestion_ops linked = {
	.init = (void *)init,
	.ssthresh = (void *)ssthresh,
	.cong_avoid = (void *)cong_avoid,
	.undo_cwnd = (void *)undo_cwnd,
	.name = "ea0000000_l",
};

SEC("?.struct_ops")
struct tcp_congestion_ops plain = {
	.init = (void *)init,
	.ssthresh = (void *)ssthresh,
	.cong_avoid = (void *)cong_avoid,
	.undo_cwnd = (void *)undo_cwnd,
	.name = "ea0000000_p",
};

char LICENSE[] SEC("license") = "GPL";
