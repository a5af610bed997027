// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * What an object can ask of kernel modules: functions and the size of a struct that only nf_conntrack
 * has, a variable of x_tables, and a function of dummy to attach to, with and without the module's
 * name.
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct nf_conn {
	unsigned long status;
} __attribute__((preserve_access_index));

struct bpf_ct_opts {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
} __attribute__((preserve_access_index));

struct seqcount {
	unsigned int sequence;
};

typedef struct seqcount seqcount_t;

struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *context, struct bpf_sock_tuple *tuple,
				  __u32 tuple_size, struct bpf_ct_opts *options,
				  __u32 options_size) __ksym;
void bpf_ct_release(struct nf_conn *connection) __ksym;

extern const seqcount_t xt_recseq __ksym;

__u64 seen[4];

SEC("?xdp")
int conntrack(struct xdp_md *context)
{
	struct bpf_sock_tuple tuple = {};
	/* With the four bytes that newer kernels have at its end. */
	union {
		struct bpf_ct_opts it;
		__u32 words[4];
	} options = { .words = { -1, 0, 6 } };
	struct nf_conn *connection;

	connection = bpf_xdp_ct_lookup(context, &tuple, sizeof(tuple.ipv4), &options.it, 12);
	if (connection)
		bpf_ct_release(connection);
	seen[0] = 1;
	seen[1] = options.words[1];
	seen[2] = bpf_core_type_size(struct bpf_ct_opts);
	return XDP_PASS;
}

SEC("?raw_tp/sys_enter")
int variable(void *context)
{
	const seqcount_t *count = bpf_this_cpu_ptr(&xt_recseq);

	seen[3] = count != 0;
	return 0;
}

SEC("?fentry/dummy_xmit")
int anywhere(void *context)
{
	return 0;
}

SEC("?fentry/dummy:dummy_xmit")
int in_dummy(void *context)
{
	return 0;
}

SEC("?fentry/nonesuch:dummy_xmit")
int in_another(void *context)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
