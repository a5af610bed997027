// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Forty programs that keep the verifier busy: each costs it a hundred thousand instructions,
 * because no turn of the loop looks to it like one before.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define TURNS 14500

#define HEAVY(number)                                                  \
	SEC("xdp")                                                     \
	int heavy_##number(struct xdp_md *ctx)                         \
	{                                                              \
		volatile __u64 sum = number;                           \
                                                                       \
		for (int turn = 0; turn < TURNS; turn++)               \
			sum += turn;                                   \
		return sum > ctx->ingress_ifindex ? XDP_PASS : XDP_DROP; \
	}

#define TEN(tens)                                                      \
	HEAVY(tens##0) HEAVY(tens##1) HEAVY(tens##2) HEAVY(tens##3)    \
	HEAVY(tens##4) HEAVY(tens##5) HEAVY(tens##6) HEAVY(tens##7)    \
	HEAVY(tens##8) HEAVY(tens##9)

TEN(1)
#ifndef ONLY_TEN
TEN(2)
TEN(3)
TEN(4)
#endif

char LICENSE[] SEC("license") = "Dual MIT/GPL";
