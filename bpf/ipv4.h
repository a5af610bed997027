/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Finding the IPv4 header of a packet, the way the verifier can follow. */
#ifndef IPV4_H
#define IPV4_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* The IPv4 header between `data` and `data_end`, or NULL for anything else. Every byte of the
 * header without its options may be read. */
static __always_inline struct iphdr *ipv4_header(void *data, void *data_end)
{
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);

	if ((void *)(ip + 1) > data_end)
		return NULL;
	if (eth->h_proto != bpf_htons(ETH_P_IP) || ip->version != 4)
		return NULL;
	return ip;
}

#endif
