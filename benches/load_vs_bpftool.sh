#!/usr/bin/env bash
# What loading a small object without CO-RE costs: the whole process `ebpf-apply apply --detach`
# against `bpftool prog loadall`, paired A B A B, in namespaces of its own. Prints median wall
# times, the largest resident sets, and whether the two limits hold (twice bpftool's time, 12 MiB);
# the exit status says only whether it could be measured. Needs root.
#
#     benches/load_vs_bpftool.sh [RUNS]     30 runs unless told otherwise
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" != inside ]; then
	if [ "$(id -u)" -ne 0 ]; then
		echo "loading programs needs root" >&2
		exit 1
	fi
	exec unshare --mount --net -- "$0" inside "${1:-30}"
fi

runs=$2
object=$PWD/bpf/out/bench_small.bpf.o
pins=/sys/fs/bpf/loadall
mount -t bpf bpf /sys/fs/bpf
# The records of a real deployment are in /run, so on a tmpfs here too; it goes with the namespace.
mount -t tmpfs tmpfs /run
work=$(mktemp -d /run/bench.XXXXXX)
cc -O2 -o "$work/measure" benches/measure.c
program=(target/release/ebpf-apply --state-dir "$work/state")

cat >"$work/bench.toml" <<MANIFEST
version  = 1
name     = "bench"
pin-root = "/sys/fs/bpf/bench"

[objects.small]
path = "$object"
MANIFEST

# Each line of the two files is one run: microseconds, KiB. Cleaning up is not timed.
with_ebpf_apply() {
	"$work/measure" "${program[@]}" apply "$work/bench.toml" --detach >>"$work/ebpf-apply"
	"${program[@]}" destroy "$work/bench.toml" --purge >/dev/null
}
with_bpftool() {
	"$work/measure" bpftool prog loadall "$object" "$pins" >>"$work/bpftool"
	rm -r "$pins"
}

# Once for the page cache, not counted.
with_ebpf_apply
with_bpftool
rm "$work/ebpf-apply" "$work/bpftool"
for _ in $(seq "$runs"); do
	with_ebpf_apply
	with_bpftool
done

# summary FILE: median, least and most microseconds, most KiB.
summary() {
	sort -n "$1" | awk '
		{ us[NR] = $1; if ($2 > kib) kib = $2 }
		END { print (us[int((NR + 1) / 2)] + us[int(NR / 2) + 1]) / 2, us[1], us[NR], kib }'
}
{
	summary "$work/ebpf-apply"
	summary "$work/bpftool"
} | awk -v runs="$runs" '
	function verdict(holds) { return holds ? "holds" : "DOES NOT HOLD" }
	function row(name) {
		printf "%-12s %9.2f %9.2f %9.2f %14.1f\n", name, $1 / 1e3, $2 / 1e3, $3 / 1e3, $4 / 1024
	}
	BEGIN { printf "%-12s %9s %9s %9s %14s   (%d paired runs)\n", "", "median ms", "least", "most", "peak RSS MiB", runs }
	NR == 1 { ours = $1; peak = $4 / 1024; row("ebpf-apply") }
	NR == 2 { theirs = $1; row("bpftool") }
	END {
		printf "time:   %.2f times bpftool'"'"'s; at most 2: %s\n", ours / theirs, verdict(ours <= 2 * theirs)
		printf "memory: %.1f MiB; less than 12: %s\n", peak, verdict(peak < 12)
	}'
