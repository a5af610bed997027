// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A jump by a table, as LLVM 22 compiles a large `switch`: packets of 14, 15 and 16 bytes get an answer
 * each. The table holds distances from the beginning of the section.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
__attribute__((naked)) int by_length(struct xdp_md *context)
{
	asm volatile(
		"r2 = *(u32 *)(r1 + 4);"
		"r1 = *(u32 *)(r1 + 0);"
		"r2 -= r1;"
		"r2 += -14;"
		"if r2 > 2 goto 9f;"
		"r2 <<= 3;"
		"r1 = places ll;"
		"r1 += r2;"
		"r1 = *(u64 *)(r1 + 0);"
		/* gotox r1 */
		".byte 0x0d, 0x01, 0, 0, 0, 0, 0, 0;"
		"1: r0 = 1; exit;"
		"2: r0 = 2; exit;"
		"3: r0 = 3; exit;"
		"9: r0 = 0; exit;"
		".pushsection .jumptables, \"\", @progbits;"
		".globl places; .type places, @object;"
		"places: .quad 1b - by_length, 2b - by_length, 3b - by_length;"
		".size places, 24;"
		".popsection;"
	);
}

char LICENSE[] SEC("license") = "GPL";
