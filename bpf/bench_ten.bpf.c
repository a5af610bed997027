// SPDX-License-Identifier: MIT OR GPL-2.0-only
// cflags: -DONLY_TEN
/*
 * Ten programs of those in bench_heavy. A manifest with several such objects loads them side by side
 * (benches/compare.sh).
 */
#include "bench_heavy.bpf.c"
