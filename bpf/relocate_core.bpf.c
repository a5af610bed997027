// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * CO-RE against types whose layout here is not the kernel's: members missing, of another order, of
 * another width, in anonymous unions, behind flexible arrays, bitfields, flavours, and things that
 * are not there at all.
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define CORE __attribute__((preserve_access_index))

typedef int pid_type_of_kernel;

struct list_head {
	struct list_head *next, *prev;
} CORE;

/* In another order, and with 64 bits for what the kernel has in 32. */
struct task_struct {
	__u64 exit_state___none;
	struct task_struct *real_parent;
	int tgid;
	int pid;
	unsigned int flags;
	unsigned in_execve : 1;
	unsigned no_cgroup_migration : 1;
	struct list_head tasks;
	char comm[16];
	unsigned int personality;
} CORE;

/* A flavour with what newer or older kernels have. */
struct task_struct___other {
	long volatile state;
	unsigned int __state;
	int colour_of_the_hat;
	struct list_head children;
} CORE;

struct net {
	unsigned long long net_cookie;
	unsigned int ifindex;
} CORE;

struct net_device {
	int ifindex;
	unsigned short flags___wide;
	unsigned long long mtu; /* 32 bits in the kernel: the load must shrink. */
} CORE;

/* `dev` lies in an anonymous struct of an anonymous union. */
struct sk_buff {
	struct net_device *dev;
	unsigned int len, data_len;
	unsigned char pkt_type : 3;
	unsigned char ignore_df : 1;
	unsigned char cloned : 1;
	char cb[48];
	unsigned short protocol;
} CORE;

struct bpf_prog {
	unsigned short pages;
	unsigned short jited : 1;
	unsigned int len;
	unsigned char tag[8];
	struct bpf_insn insnsi[0]; /* flexible */
} CORE;

struct struct_that_is_nowhere {
	int nothing;
} CORE;

union thread_union;

enum pid_type___mine {
	PIDTYPE_TGID___mine = 77,
	PIDTYPE_NOWHERE = 78,
};

enum sk_pacing {
	SK_PACING_NONE = 5,
	SK_PACING_FQ = 9,
};

typedef struct {
	int counter;
} atomic_t;

__u64 out[64];

SEC("raw_tp/sched_switch")
int layouts(struct bpf_raw_tracepoint_args *context)
{
	struct task_struct *task = (void *)context->args[1];
	struct task_struct___other *other = (void *)task;
	struct sk_buff *buffer = (void *)context->args[2];
	struct bpf_prog *prog = (void *)context->args[2];

	out[0] = BPF_CORE_READ(task, pid);
	out[1] = BPF_CORE_READ(task, real_parent, real_parent, tgid);
	out[2] = BPF_CORE_READ_BITFIELD_PROBED(task, in_execve);
	out[3] = BPF_CORE_READ_BITFIELD_PROBED(task, no_cgroup_migration);
	out[4] = (__u64)__builtin_preserve_access_index(&task->tasks.prev);
	out[5] = (__u64)__builtin_preserve_access_index(&task->comm[3]);
	out[6] = bpf_core_field_size(task->comm);
	out[7] = bpf_core_field_offset(struct task_struct, personality);
	out[8] = bpf_core_field_exists(other->state);
	out[9] = bpf_core_field_exists(other->__state);
	out[10] = bpf_core_field_exists(other->colour_of_the_hat);
	if (bpf_core_field_exists(other->colour_of_the_hat))
		out[11] = BPF_CORE_READ(other, colour_of_the_hat);
	if (bpf_core_field_exists(other->state))
		out[12] = BPF_CORE_READ(other, state);
	else
		out[12] = BPF_CORE_READ(other, __state);
	out[13] = BPF_CORE_READ(buffer, dev, ifindex);
	out[14] = BPF_CORE_READ(buffer, data_len);
	out[15] = BPF_CORE_READ_BITFIELD_PROBED(buffer, pkt_type);
	out[16] = BPF_CORE_READ_BITFIELD_PROBED(buffer, cloned);
	out[17] = (__u64)__builtin_preserve_access_index(&buffer->cb[47]);
	out[18] = (__u64)__builtin_preserve_access_index(&prog->insnsi[3]);
	out[19] = (__u64)__builtin_preserve_access_index(&prog->insnsi[3].imm);
	out[20] = bpf_core_type_exists(struct struct_that_is_nowhere);
	out[21] = bpf_core_type_size(struct sk_buff);
	out[22] = bpf_core_type_exists(union thread_union);
	out[23] = bpf_core_type_id_kernel(struct task_struct___other);
	out[24] = bpf_core_type_id_local(struct task_struct___other);
	out[25] = bpf_core_enum_value(enum pid_type___mine, PIDTYPE_TGID___mine);
	out[26] = bpf_core_enum_value_exists(enum pid_type___mine, PIDTYPE_NOWHERE);
	out[27] = bpf_core_enum_value(enum sk_pacing, SK_PACING_FQ);
	out[28] = bpf_core_type_size(atomic_t);
	out[29] = bpf_core_type_exists(atomic_t);
	if (bpf_core_enum_value_exists(enum pid_type___mine, PIDTYPE_NOWHERE))
		out[30] = bpf_core_enum_value(enum pid_type___mine, PIDTYPE_NOWHERE);
	return 0;
}

static __noinline int inside_a_subprogram(struct sk_buff *buffer)
{
	return (int)BPF_CORE_READ(buffer, len);
}

/* Loads that go straight to the member: their width follows the kernel's. */
SEC("tp_btf/netif_receive_skb")
int loads(unsigned long long *context)
{
	struct sk_buff *buffer = (void *)context[0];

	out[31] = buffer->dev->mtu;
	out[32] = buffer->protocol;
	out[33] = BPF_CORE_READ_BITFIELD(buffer, ignore_df);
	out[34] = inside_a_subprogram(buffer);
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
