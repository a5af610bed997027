// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Sections that say too much. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

SEC("?tc/entry")
int at_entry(struct __sk_buff *skb)
{
	return TC_ACT_OK;
}

SEC("?raw_tp/sched/sched_switch")
int on_switch(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
