// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A program with a function that others may replace: global, so that the verifier takes it by itself,
 * and not inlined. The static and the hidden one cannot be replaced.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

__noinline int verdict(struct xdp_md *context)
{
	volatile int answer = XDP_PASS;

	return answer;
}

__hidden __noinline int concealed(struct xdp_md *context)
{
	volatile int answer = XDP_PASS;

	return answer;
}

SEC("xdp")
int dispatch(struct xdp_md *context)
{
	int answer = verdict(context);

	return answer == XDP_PASS ? concealed(context) : answer;
}

char LICENSE[] SEC("license") = "GPL";
