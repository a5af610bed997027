// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The kinds of maps that need more than a type and sizes: local storage, which must have BTF; values
 * that hold what only the kernel may touch; a node of memory; nested arrays; a mapped arena.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#ifndef __ulong
#define __ulong(name, val) enum { name##_value = val } name
#endif

enum {
	/* Headers may be older than the kernel. */
	TYPE_USER_RINGBUF = 31,
	TYPE_CGRP_STORAGE = 32,
	TYPE_ARENA = 33,
};

struct locked {
	struct bpf_spin_lock lock;
	__u32 count;
};

struct timed {
	struct bpf_timer timer;
	__u64 fired;
};

#define STORAGE(kind)                                                                              \
	struct {                                                                                   \
		__uint(type, kind);                                                                \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                              \
		__type(key, int);                                                                  \
		__type(value, __u64);                                                              \
	}

STORAGE(BPF_MAP_TYPE_TASK_STORAGE) of_tasks SEC(".maps");
STORAGE(BPF_MAP_TYPE_INODE_STORAGE) of_inodes SEC(".maps");
STORAGE(BPF_MAP_TYPE_SK_STORAGE) of_sockets SEC(".maps");
STORAGE(TYPE_CGRP_STORAGE) of_cgroups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, __u64);
} of_attachments SEC(".maps");

struct {
	__uint(type, TYPE_USER_RINGBUF);
	__uint(max_entries, 5000);
} commands SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 100);
	__type(value, __u64);
	__ulong(map_extra, 5);
} seldom SEC(".maps");

struct {
	__uint(type, TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 10);
} arena SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NUMA_NODE);
	__uint(numa_node, 0);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct locked);
} locks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct timed);
} timers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32[4][8]);
} grid SEC(".maps");

void *bpf_arena_alloc_pages(void *map, void *address, __u32 pages, int node, __u64 flags) __ksym;

/* Whether each worked. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

/* Not on the stack: Linux 7.3 takes it that a peek only writes there, also at a filter. */
__u64 number = 7;

static __always_inline void put(__u32 index, __u64 value)
{
	bpf_map_update_elem(&seen, &index, &value, BPF_ANY);
}

static int fired(void *map, __u32 *key, struct timed *value)
{
	value->fired++;
	return 0;
}

SEC("tc")
int touch(struct __sk_buff *packet)
{
	struct locked *locked, fresh = {};
	struct timed *timed;
	__u32(*rows)[8];
	__u32 zero = 0;
	bpf_map_update_elem(&locks, &zero, &fresh, BPF_ANY);
	locked = bpf_map_lookup_elem(&locks, &zero);
	if (locked) {
		bpf_spin_lock(&locked->lock);
		locked->count++;
		bpf_spin_unlock(&locked->lock);
		put(0, locked->count);
	}
	timed = bpf_map_lookup_elem(&timers, &zero);
	if (timed && !bpf_timer_init(&timed->timer, &timers, 1 /* CLOCK_MONOTONIC */)) {
		bpf_timer_set_callback(&timed->timer, fired);
		put(1, bpf_timer_start(&timed->timer, 0, 0) == 0);
	}
	rows = bpf_map_lookup_elem(&grid, &zero);
	if (rows) {
		rows[3][7] = 5;
		put(2, rows[3][7]);
	}
	bpf_map_push_elem(&seldom, &number, BPF_ANY);
	put(3, bpf_map_peek_elem(&seldom, &number) == 0);
	return 0;
}

SEC("syscall")
int allocate(void *context)
{
	put(4, bpf_arena_alloc_pages(&arena, 0, 1, -1, 0) != 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
