// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A small XDP firewall: drops IPv4 packets from blocked sources, keeps the state of each flow, and
 * counts verdicts.
 *
 * What to look at: `blocked` and `flows` say in C that they may be pinned, so a manifest can give
 * them `by-name` or `persist-on-exit`. `stats` does not say so: it can only have the policy `none`.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_helpers.h>

#include "ipv4.h"

struct flow_key {
	__be32 saddr;
	__be32 daddr;
	__be16 sport;
	__be16 dport;
	__u8 protocol;
	__u8 pad[3];
};

struct flow_state {
	__u64 packets;
	__u64 bytes;
	__u64 last_seen_ns;
};

enum verdict {
	VERDICT_PASSED,
	VERDICT_DROPPED,
	VERDICT_NOT_IPV4,
	VERDICTS,
};

/* One record of `events`. */
struct event {
	struct flow_key flow;
	__u32 verdict;
};

/* What `events` receives: 0 nothing, 1 dropped packets, 2 every packet. */
const volatile __u32 log_level = 0;

/* An address that is never blocked, in network order; 0.0.0.0 for none. */
const volatile __u8 vip[4] = {};

/* The flows seen lately. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow_key);
	__type(value, struct flow_state);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} flows SEC(".maps");

/* Blocked IPv4 sources, in network order, with the packets each has lost. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __be32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} blocked SEC(".maps");

/* For a reader that opens the pin; nothing is lost but the record when it lags behind. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} events SEC(".maps");

/* Packets by verdict. No pinning attribute: temporary, gone with the program. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VERDICTS);
	__type(key, __u32);
	__type(value, __u64);
} stats SEC(".maps");

static __always_inline void count(enum verdict verdict)
{
	__u32 index = verdict;
	__u64 *packets = bpf_map_lookup_elem(&stats, &index);

	if (packets)
		*packets += 1;
}

static __always_inline void report(const struct flow_key *flow, enum verdict verdict)
{
	struct event *event;

	if (log_level < (verdict == VERDICT_DROPPED ? 1 : 2))
		return;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return;
	event->flow = *flow;
	event->verdict = verdict;
	bpf_ringbuf_submit(event, 0);
}

/* Source and destination port are the first four bytes of TCP and UDP alike. */
static __always_inline void read_ports(struct flow_key *flow, const struct iphdr *ip, void *data_end)
{
	const struct udphdr *ports = (void *)ip + sizeof(*ip);

	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return;
	if (ip->ihl != 5 || (void *)(ports + 1) > data_end)
		return;
	flow->sport = ports->source;
	flow->dport = ports->dest;
}

static __always_inline void track(const struct flow_key *flow, __u64 bytes)
{
	struct flow_state *state = bpf_map_lookup_elem(&flows, flow);

	if (state) {
		__sync_fetch_and_add(&state->packets, 1);
		__sync_fetch_and_add(&state->bytes, bytes);
		state->last_seen_ns = bpf_ktime_get_ns();
	} else {
		struct flow_state first = {
			.packets = 1,
			.bytes = bytes,
			.last_seen_ns = bpf_ktime_get_ns(),
		};

		bpf_map_update_elem(&flows, flow, &first, BPF_ANY);
	}
}

static __always_inline int is_vip(__be32 address)
{
	__u8 octets[4];

	__builtin_memcpy(octets, &address, sizeof(octets));
	return (vip[0] | vip[1] | vip[2] | vip[3]) && octets[0] == vip[0] && octets[1] == vip[1] &&
	       octets[2] == vip[2] && octets[3] == vip[3];
}

SEC("xdp")
int xdp_firewall(struct xdp_md *ctx)
{
	void *data_end = (void *)(long)ctx->data_end;
	struct iphdr *ip = ipv4_header((void *)(long)ctx->data, data_end);
	struct flow_key flow = {};
	__u64 *lost;

	if (!ip) {
		count(VERDICT_NOT_IPV4);
		return XDP_PASS;
	}
	flow.saddr = ip->saddr;
	flow.daddr = ip->daddr;
	flow.protocol = ip->protocol;
	read_ports(&flow, ip, data_end);

	lost = bpf_map_lookup_elem(&blocked, &flow.saddr);
	if (lost && !is_vip(flow.saddr)) {
		__sync_fetch_and_add(lost, 1);
		count(VERDICT_DROPPED);
		report(&flow, VERDICT_DROPPED);
		return XDP_DROP;
	}
	track(&flow, bpf_ntohs(ip->tot_len));
	count(VERDICT_PASSED);
	report(&flow, VERDICT_PASSED);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
