// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Watches functions of the kernel. Which ones, the manifest says. */
#include <linux/bpf.h>
#include <linux/ptrace.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

enum {
	ENTERED,
	RETURNED,
	COOKIE,
	CALLED,
	KERNEL_HITS,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KERNEL_HITS);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} kernel_hits SEC(".maps");

/* Other processes call the kernel too. */
volatile const __u32 only_process;

static __always_inline void count(__u32 index)
{
	__u64 *hits = bpf_map_lookup_elem(&kernel_hits, &index);

	if (hits && bpf_get_current_pid_tgid() >> 32 == only_process)
		__sync_fetch_and_add(hits, 1);
}

SEC("kprobe")
int on_entry(struct pt_regs *ctx)
{
	__u32 index = COOKIE;
	__u64 cookie = bpf_get_attach_cookie(ctx);

	count(ENTERED);
	if (bpf_get_current_pid_tgid() >> 32 == only_process)
		bpf_map_update_elem(&kernel_hits, &index, &cookie, BPF_ANY);
	return 0;
}

SEC("kretprobe")
int on_return(struct pt_regs *ctx)
{
	count(RETURNED);
	return 0;
}

SEC("ksyscall/getppid")
int on_call(struct pt_regs *ctx)
{
	count(CALLED);
	return 0;
}

/* Sees the entry and the return of each call. */
SEC("?kprobe.session/security_socket_create")
int around(struct pt_regs *ctx)
{
	count(ENTERED);
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int on_tracepoint(void *ctx)
{
	__u32 index = COOKIE;
	__u64 cookie = bpf_get_attach_cookie(ctx);

	if (bpf_get_current_pid_tgid() >> 32 == only_process)
		bpf_map_update_elem(&kernel_hits, &index, &cookie, BPF_ANY);
	return 0;
}

SEC("?raw_tp/sys_enter")
int on_raw_tracepoint(void *ctx)
{
	__u32 index = COOKIE;
	__u64 cookie = bpf_get_attach_cookie(ctx);

	if (bpf_get_current_pid_tgid() >> 32 == only_process)
		bpf_map_update_elem(&kernel_hits, &index, &cookie, BPF_ANY);
	return 0;
}

/* Without usdt.bpf.h, which brings the maps that tell where the arguments are. */
SEC("?usdt//usr/bin/true:demo:none")
int without_arguments(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
