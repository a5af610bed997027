// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * One program for every helper and some types of programs, without a license: the verifier refuses
 * each, and says whether for the license. None is loaded unless it is named.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* A program of section `section` that calls helper `number`, without any arguments. */
#define CALLS(section, type, number)                                                               \
	SEC("?" section) int type##_##number(void *ctx)                                            \
	{                                                                                          \
		static int (*const helper)(void *) = (void *)number;                               \
                                                                                                   \
		return helper(ctx);                                                                \
	}

#define EACH(number)                                                                               \
	CALLS("kprobe", kprobe, number)                                                            \
	CALLS("tc", tc, number)                                                                    \
	CALLS("xdp", xdp, number)                                                                  \
	CALLS("perf_event", perf_event, number)                                                    \
	CALLS("raw_tp", raw_tp, number)

#define TEN(n)                                                                                     \
	EACH(n##0) EACH(n##1) EACH(n##2) EACH(n##3) EACH(n##4)                                     \
	EACH(n##5) EACH(n##6) EACH(n##7) EACH(n##8) EACH(n##9)

EACH(1) EACH(2) EACH(3) EACH(4) EACH(5) EACH(6) EACH(7) EACH(8) EACH(9)
TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) TEN(7) TEN(8) TEN(9) TEN(10)
TEN(11) TEN(12) TEN(13) TEN(14) TEN(15) TEN(16) TEN(17) TEN(18) TEN(19) TEN(20)
EACH(210) EACH(211) EACH(212)
