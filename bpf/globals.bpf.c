// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Global variables of every section and kind of type. The program copies what it sees into
 * `seen`, so that a reader can tell what reached the kernel.
 */
#include <stdbool.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

enum mode {
	MODE_OFF,
	MODE_SAMPLE,
	MODE_ALL = 7,
};

struct endpoint {
	__u8 address[4];
	__u16 port;
	bool tls;
};

/* .rodata: the verifier knows these values, and code that they rule out is removed. */
const volatile bool enabled = true;
const volatile __u8 tiny = 8;
const volatile __s8 offset = -1;
const volatile __u32 log_level = 1;
const volatile __s64 balance = -5000000000;
const volatile __u64 budget = 10000000000;
const volatile enum mode mode = MODE_SAMPLE;
const volatile char label[16] = "unnamed";
const volatile __u16 ports[4] = { 80, 443 };
const volatile struct endpoint upstream = { { 127, 0, 0, 1 }, 8080, false };

/* A section of its own is a map of its own. */
const volatile __u32 limit SEC(".rodata.custom") = 100;

/* .data: a first value that the program changes. */
__u64 runs = 1000;
/* Static, so no name that another object could use, but settable all the same. Volatile, or the
 * compiler would see that nothing here changes it and leave it out. */
static volatile __u32 step = 1;

__u32 threshold SEC(".data.custom") = 50;

/* .bss: begins as zero. */
__u64 last_length;
__u32 histogram[8];

/* What a run saw. */
struct seen {
	__u64 budget;
	__s64 balance;
	__u64 runs;
	__u64 last_length;
	__u32 log_level;
	__u32 mode;
	__u32 limit;
	__u32 threshold;
	__u16 ports[4];
	struct endpoint upstream;
	__s8 offset;
	__u8 tiny;
	bool enabled;
	char label[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct seen);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} seen SEC(".maps");

SEC("xdp")
int show_globals(struct xdp_md *ctx)
{
	__u64 length = (ctx->data_end - ctx->data) & 0xffff;
	__u32 first = 0;
	struct seen *now = bpf_map_lookup_elem(&seen, &first);

	if (!now)
		return XDP_ABORTED;
	now->runs = runs;
	now->last_length = last_length;
	runs += step;
	last_length = length;
	histogram[(length >> 6) & 7]++;

	now->budget = budget;
	now->balance = balance;
	now->log_level = log_level;
	now->mode = mode;
	now->limit = limit;
	now->threshold = threshold;
	for (int i = 0; i < 4; i++) {
		now->ports[i] = ports[i];
		now->upstream.address[i] = upstream.address[i];
	}
	now->upstream.port = upstream.port;
	now->upstream.tls = upstream.tls;
	now->offset = offset;
	now->tiny = tiny;
	now->enabled = enabled;
	for (int i = 0; i < 16; i++)
		now->label[i] = label[i];
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
