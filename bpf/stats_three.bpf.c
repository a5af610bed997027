// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A later version of stats_two.bpf.c: a member was appended to the value, so that entries can be
 * carried over.
 */
#include <linux/types.h>

struct stats {
	__u64 packets;
	__u64 bytes;
	__u64 drops;
};

#include "flow_stats.h"
