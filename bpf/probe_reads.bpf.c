// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Probes that read what only the place has that their sections name. */
#include <linux/bpf.h>
#include <linux/ptrace.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

SEC("kprobe/do_exit")
int of_kernel(struct pt_regs *ctx)
{
	__u64 word = 0;

	bpf_probe_read_kernel(&word, sizeof(word), (void *)PT_REGS_PARM1(ctx));
	return word != 0;
}

SEC("uprobe")
int of_process(struct pt_regs *ctx)
{
	__u64 word = 0;

	bpf_probe_read_user(&word, sizeof(word), (void *)PT_REGS_PARM1(ctx));
	return word != 0;
}

char LICENSE[] SEC("license") = "GPL";
