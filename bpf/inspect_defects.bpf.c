// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* One mistake a map; `inspect` names each and describes the rest. No license either. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct incomplete;

struct {
	__type(key, __u32);
} without_type SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u64);
	__uint(key_size, 4);
	__uint(value_size, 2);
	__type(value, __u32);
	__uint(max_entries, 7);
} conflicting SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__u32 key;
	int max_entries;
	int *map_flags;
	enum { ONE, TWO } map_extra;
} unencoded SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct incomplete);
	__type(value, void);
} unsized SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entires, 7);
	__uint(inner_map_idx, 1);
	__uint(colour, 3);
} misspelt SEC(".maps");

static struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} internal SEC(".maps");

int number SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(pinning, 2);
} pinned_oddly SEC(".maps");

struct leaf {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(id, 1);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(value_size, 8);
	__array(values, struct leaf);
} outer SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
			__array(values, struct leaf);
		});
} nested SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__array(values, struct leaf);
} plain_with_values SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	int (*values[2])(void *);
	__uint(key_size, 4);
} misplaced_values SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__array(values, struct leaf);
} jumps_to_maps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__array(values, int(void *));
} maps_of_functions SEC(".maps");

static __noinline int subprogram(void *ctx)
{
	return ctx != 0;
}

int entry(void *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(key_size, 4);
	__uint(max_entries, 1);
	__array(values, int(void *));
} bad_slots SEC(".maps") = {
	.values = { [0] = (void *)&subprogram, [1] = (void *)&entry },
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__type(key, __u64);
	__uint(max_entries, 4);
	__array(values, struct leaf);
} wide_key SEC(".maps") = {
	.values = { [1] = (void *)&pinned_oddly },
};

struct {
	__uint(type, 33); /* BPF_MAP_TYPE_ARENA, in newer headers */
	__uint(max_entries, 1);
} arena_a SEC(".maps"), arena_b SEC(".maps");

extern int nowhere(void);

SEC("socket")
int entry(void *ctx)
{
	__u32 key = 0;

	bpf_map_lookup_elem(&internal, &key);
	return subprogram(ctx) + nowhere();
}

SEC("socket")
static __noinline __attribute__((used)) int lonely(void *ctx)
{
	return 1;
}
