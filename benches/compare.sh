#!/usr/bin/env bash
# What loading an object costs: the whole process `ebpf-apply apply --detach` against
# `bpftool prog loadall`, paired A B A B, in namespaces of its own. Prints for each object the median
# wall times, their ratio and the larger of the peak resident sets; then how much of the wall time of
# the heavy object is spent inside bpf(2), where strace is installed. The exit status says only
# whether it could be measured: a busy machine makes any figure wrong. Needs root.
#
#     benches/compare.sh [RUNS]     15 paired runs unless told otherwise
#     BPFTOOL=/path/to/bpftool benches/compare.sh
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" != inside ]; then
	if [ "$(id -u)" -ne 0 ]; then
		echo "loading programs needs root" >&2
		exit 1
	fi
	exec unshare --mount --net -- "$0" inside "${1:-15}"
fi

runs=$2
bpftool=${BPFTOOL:-bpftool}
pins=/sys/fs/bpf/loadall
mount -t bpf bpf /sys/fs/bpf
# The records of a real deployment are in /run, so on a tmpfs here too; it goes with the namespace.
mount -t tmpfs tmpfs /run
work=$(mktemp -d /run/bench.XXXXXX)
cc -O2 -o "$work/measure" benches/measure.c
program=(target/release/ebpf-apply --state-dir "$work/state")

# Each line of the two files is one run: microseconds, KiB. Cleaning up is not timed.
with_ebpf_apply() {
	"$work/measure" "${program[@]}" apply "$work/bench.toml" --detach >>"$work/ours"
	"${program[@]}" destroy "$work/bench.toml" --purge >/dev/null
}
with_bpftool() {
	"$work/measure" "$bpftool" prog loadall "$object" "$pins" >>"$work/theirs"
	rm -r "$pins"
}

# manifest OBJECT
manifest() {
	object=$PWD/bpf/out/$1.bpf.o
	cat >"$work/bench.toml" <<-MANIFEST
		version  = 1
		name     = "bench"
		pin-root = "/sys/fs/bpf/bench"

		[objects.measured]
		path = "$object"
	MANIFEST
}

# median FILE: the median of the microseconds, and the most KiB.
median() {
	sort -n "$1" | awk '
		{ us[NR] = $1; if ($2 > kib) kib = $2 }
		END { print (us[int((NR + 1) / 2)] + us[int(NR / 2) + 1]) / 2, kib }'
}

# compare NAME OBJECT LIMIT: one line of the table.
compare() {
	manifest "$2"
	# Once for the page cache, not counted.
	with_ebpf_apply
	with_bpftool
	rm "$work/ours" "$work/theirs"
	for _ in $(seq "$runs"); do
		with_ebpf_apply
		with_bpftool
	done
	echo "$1 $3 $(median "$work/ours") $(median "$work/theirs")" | awk '
		function verdict(holds) { return holds ? "holds" : "DOES NOT HOLD" }
		{
			time = $3 / $5; memory = $4 / $6
			printf "%-6s %10.2f %10.2f %7.2f (at most %.1f: %s)\n", $1, $3 / 1e3, $5 / 1e3, time, $2, verdict(time <= $2)
			printf "%-6s %10.1f %10.1f %7.2f (at most 1.5: %s)\n", "  MiB", $4 / 1024, $6 / 1024, memory, verdict(memory <= 1.5)
		}'
}

"$bpftool" version | head -1
echo "$runs paired runs on $(nproc) processors, load $(cut -d' ' -f1 /proc/loadavg)"
printf '%-6s %10s %10s %7s\n' "" "ours ms" "bpftool ms" "ratio"
compare small bench_small 1.0
compare CO-RE core_read 1.0
compare heavy bench_heavy 0.6

if command -v strace >/dev/null; then
	# Threads verify side by side, so the time inside bpf(2) is counted where at least one is in it.
	strace -f -q -ttt -T -e trace=bpf -e signal=none -o "$work/trace" \
		"$work/measure" "${program[@]}" apply "$work/bench.toml" --detach >"$work/whole"
	"${program[@]}" destroy "$work/bench.toml" --purge >/dev/null
	awk -v whole="$(cut -d' ' -f1 "$work/whole")" '
		# 123 1700000000.000001 bpf(…) = 3 <0.001>, or in two halves, the second with the time.
		match($0, /<[0-9.]+>$/) {
			took = substr($0, RSTART + 1, RLENGTH - 2)
			if ($3 == "<...") begin[n] = $2 - took; else begin[n] = $2 + 0
			end[n] = begin[n] + took; n++
		}
		END {
			for (i = 1; i < n; i++) for (j = i; j > 0 && begin[j - 1] > begin[j]; j--) {
				t = begin[j]; begin[j] = begin[j - 1]; begin[j - 1] = t
				t = end[j]; end[j] = end[j - 1]; end[j - 1] = t
			}
			for (i = 0; i < n; i++) {
				from = begin[i] > until ? begin[i] : until
				if (end[i] > from) { inside += end[i] - from; until = end[i] }
			}
			printf "heavy: %.1f %% of the wall time inside bpf(2), traced (aim: above 90)\n", inside * 1e8 / whole
		}' "$work/trace"
fi
