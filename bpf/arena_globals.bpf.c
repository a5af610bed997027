// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Variables in an arena. Current compilers have `__arena` (address space 1) for that, and cast such
 * addresses themselves; here the section is named, and the one instruction written by hand.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

enum {
	/* Headers may be older than the kernel. */
	TYPE_ARENA = 33,
};

struct {
	__uint(type, TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4);
} arena SEC(".maps");

#define __arena_variable SEC(".addr_space.1")

__u64 first __arena_variable = 40;
__u64 filler[600] __arena_variable = { 1 };
__u64 second __arena_variable = 2;

__u64 sum;

/*
 * r1 = addr_space_cast(r1, 0, 1): from an address of the arena to one a program can use. The
 * registers of asm variables are what the compiler must put it into.
 */
#define VALUE(variable)                                                                      \
	({                                                                                   \
		register __u64 *place asm("r1") = &(variable);                               \
		asm volatile(".byte 0xbf; .byte 0x11; .short 1; .long 1" : "+r"(place));    \
		place;                                                                       \
	})

SEC("syscall")
int add(void *context)
{
	/* The verifier must see which arena it is. */
	void *map = &arena;
	__u64 *one, *other;

	asm volatile("" : "+r"(map));
	one = VALUE(first);
	sum = *one;
	*one += 1;
	other = VALUE(second);
	sum += *other;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
