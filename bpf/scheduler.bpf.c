// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A scheduler for sched_ext that leaves all decisions to the kernel, and counts how often it was put to
 * work and how often it ended. One is at work at a time, and the kernel does not swap it for another.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct sched_ext_ops {
	__s32 (*init)(void);
	void (*exit)(void *info);
	char name[128];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} turns SEC(".maps");

/* Another value makes it another program. */
const volatile __u32 version = 1;

static __always_inline void count(__u32 key)
{
	__u64 *turn = bpf_map_lookup_elem(&turns, &key);

	if (turn)
		__sync_fetch_and_add(turn, version);
}

SEC("struct_ops.s/init")
__s32 begin(void *context)
{
	count(0);
	return 0;
}

SEC("struct_ops.s/exit")
void end(void *context)
{
	count(1);
}

SEC(".struct_ops.link")
struct sched_ext_ops idle_hands = {
	.init = (void *)begin,
	.exit = (void *)end,
	.name = "idle_hands",
};

char LICENSE[] SEC("license") = "GPL";
