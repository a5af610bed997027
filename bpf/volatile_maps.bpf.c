// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Maps whose contents the kernel drops with the last pin and the last process that holds them, though
 * programs go on using them: a prog array, a sockmap, a value with a timer. None is to be pinned by
 * name. What they do is counted in `seen`, which is.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

enum { PACKETS, TICKS, KINDS };

int counted(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct xdp_md *));
} jumps SEC(".maps") = {
	.values = { [0] = (void *)&counted },
};

struct timed {
	struct bpf_timer timer;
	__u64 started;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct timed);
} clocks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KINDS);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} seen SEC(".maps");

static void count(__u32 kind)
{
	__u64 *number = bpf_map_lookup_elem(&seen, &kind);

	if (number)
		__sync_fetch_and_add(number, 1);
}

static int tick(void *map, __u32 *key, struct timed *timed)
{
	count(TICKS);
	bpf_timer_start(&timed->timer, 1000000 /* ns */, 0);
	return 0;
}

SEC("xdp")
int counted(struct xdp_md *ctx)
{
	count(PACKETS);
	return XDP_PASS;
}

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct timed *timed = bpf_map_lookup_elem(&clocks, &zero);

	if (timed && !__sync_lock_test_and_set(&timed->started, 1) &&
	    !bpf_timer_init(&timed->timer, &clocks, 1 /* CLOCK_MONOTONIC */)) {
		bpf_timer_set_callback(&timed->timer, tick);
		bpf_timer_start(&timed->timer, 0, 0);
	}
	bpf_tail_call(ctx, &jumps, 0);
	return XDP_PASS;
}

SEC("sockops")
int collect(struct bpf_sock_ops *ops)
{
	__u32 zero = 0;

	if (ops->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
		bpf_sock_map_update(ops, &peers, &zero, BPF_ANY);
	return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
