// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Counts datagrams, packets and bytes of each. stats_three.bpf.c is a later version of it, whose
 * value has one member more.
 */
#include <linux/types.h>

struct stats {
	__u64 packets;
	__u64 bytes;
};

#include "flow_stats.h"
