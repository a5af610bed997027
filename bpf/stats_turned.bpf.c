// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Another version of stats_two.bpf.c, with a member in front of the others: its values cannot be
 * made of the old ones.
 */
#include <linux/types.h>

struct stats {
	__u64 drops;
	__u64 packets;
	__u64 bytes;
};

#include "flow_stats.h"
