// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Maps that compile, and that no kernel creates. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct route {
	__u32 prefix;
	__u32 address;
};

/* A trie allocates as it grows, and must say so: BPF_F_NO_PREALLOC. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1024);
	__type(key, struct route);
	__type(value, __u32);
} routes SEC(".maps");

/* Arrays are indexed with 32 bits. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u64);
	__type(value, __u64);
} slots SEC(".maps");

/* A map of maps, whose inner maps have no entries. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 16);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_HASH);
			__type(key, __u32);
			__type(value, __u32);
		});
} by_tenant SEC(".maps");

/* Programs write to a ring buffer, and its readers map it. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_RDONLY | BPF_F_RDONLY_PROG);
} notes SEC(".maps");

/* Nobody could use it from outside. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__uint(map_flags, BPF_F_RDONLY | BPF_F_WRONLY | (1U << 16));
	__type(key, __u32);
	__type(value, __u32);
} shut SEC(".maps");

/* No kernel up to Linux 7.2 has this flag. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__uint(map_flags, 1U << 30);
	__type(key, __u32);
	__type(value, __u32);
} later SEC(".maps");

/* A map of maps that does not say of which. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u32);
} bare SEC(".maps");

/* What a prog array takes is settled while it is used, so it is no inner map. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 16);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
			__uint(max_entries, 4);
			__type(key, __u32);
			__type(value, __u32);
		});
} stages SEC(".maps");

struct wide {
	__u8 bytes[40000];
};

/* Memory of each CPU comes in pieces of 32 KiB. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct wide);
} scratch SEC(".maps");

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
