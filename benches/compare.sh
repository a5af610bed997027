#!/usr/bin/env bash
# What loading costs: the whole process `ebpf-apply apply --detach` next to bpftool, run by turns, in
# namespaces of their own. For each case it prints the median wall times, their ratio and the largest
# peak resident sets; then how much of the wall time of the heavy object is spent inside bpf(2), where
# strace is installed. The exit status says only whether it could be measured: a busy machine makes
# any figure wrong. Needs root.
#
#     benches/compare.sh [RUNS]     15 runs by turns unless told otherwise
#     PROGRAM=/path/to/ebpf-apply benches/compare.sh      another than `make build` built
#     BPFTOOL="/usr/sbin/bpftool /path/to/another" benches/compare.sh
#
# What each does. `bpftool prog loadall` loads an object and pins its programs. `ebpf-apply` does that
# too, and beyond it compares what it finds with what is declared, locks the deployment, verifies the
# host after the last step and keeps a record of what it owns. The case `attach` has the same end on
# both sides, a map pinned and a program attached as well, which takes bpftool two runs.
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
read -ra peers <<<"${BPFTOOL:-bpftool}"
pins=/sys/fs/bpf/loadall
mount -t bpf bpf /sys/fs/bpf
# The records of a real deployment are in /run, so on a tmpfs here too; it goes with the namespace.
mount -t tmpfs tmpfs /run
ip link set lo up
work=$(mktemp -d /run/bench.XXXXXX)
cc -O2 -o "$work/measure" benches/measure.c
program=("${PROGRAM:-${CARGO_TARGET_DIR:-target}/$(scripts/release-target.sh)/release/ebpf-apply}" --state-dir "$work/state")

# Each line of a file of figures is one run: microseconds, KiB. Cleaning up is not timed.
with_ebpf_apply() {
	"$work/measure" "${program[@]}" apply "$work/bench.toml" --detach >>"$work/ours"
	"${program[@]}" destroy "$work/bench.toml" --purge >/dev/null
}

# with_bpftool NUMBER: all that takes the peer of that number to the same end; the times add up.
with_bpftool() {
	local bpftool=${peers[$1]} step
	for step in "${steps[@]}"; do
		# A step is words without blanks in them.
		# shellcheck disable=SC2086
		"$work/measure" "$bpftool" $step
	done | awk '{ us += $1; if ($2 > kib) kib = $2 } END { print us, kib }' >>"$work/theirs$1"
	if [ -n "$undo" ]; then
		# shellcheck disable=SC2086
		"$bpftool" $undo >/dev/null
	fi
	rm -r "$pins"*
}

# manifest COUNT OBJECT [SETTINGS]: a manifest that has the object that many times, and what bpftool
# does for it: `prog loadall` of each.
manifest() {
	local object=$PWD/bpf/out/$2.bpf.o number
	steps=() undo=
	printf 'version  = 1\nname     = "bench"\npin-root = "/sys/fs/bpf/bench"\n' >"$work/bench.toml"
	for number in $(seq "$1"); do
		printf '\n[objects.measured%d]\npath = "%s"\n' "$number" "$object" >>"$work/bench.toml"
		steps+=("prog loadall $object $pins$number")
	done
	printf '%s\n' "${3:-}" >>"$work/bench.toml"
}

# median FILE: the median of the microseconds, and the most KiB.
median() {
	sort -n "$1" | awk '
		{ us[NR] = $1; if ($2 > kib) kib = $2 }
		END { print (us[int((NR + 1) / 2)] + us[int(NR / 2) + 1]) / 2, kib }'
}

# compare NAME LIMIT: two lines of the table for each peer; a limit of 0 is none.
compare() {
	local peer
	# Once for the page cache, not counted.
	with_ebpf_apply
	for peer in "${!peers[@]}"; do with_bpftool "$peer"; done
	rm "$work/ours" "$work/theirs"*
	for _ in $(seq "$runs"); do
		with_ebpf_apply
		for peer in "${!peers[@]}"; do with_bpftool "$peer"; done
	done
	for peer in "${!peers[@]}"; do
		echo "$1 $2 $(median "$work/ours") $(median "$work/theirs$peer") $((peer + 1))" | awk '
			function verdict(holds) { return holds ? "holds" : "DOES NOT HOLD" }
			{
				time = $3 / $5; memory = $4 / $6
				aim = $2 > 0 ? sprintf("at most %.1f: %s", $2, verdict(time <= $2)) : "no limit"
				printf "%-7s %10.2f %10.2f %7.2f (%s) [%d]\n", $1, $3 / 1e3, $5 / 1e3, time, aim, $7
				printf "%-7s %10.1f %10.1f %7.2f (at most 1.5: %s)\n", "  MiB", $4 / 1024, $6 / 1024, memory, verdict(memory <= 1.5)
			}'
	done
}

for peer in "${!peers[@]}"; do
	echo "[$((peer + 1))] $("${peers[$peer]}" version | head -1)"
done
echo "$program"
echo "$runs runs by turns on $(nproc) processors, load $(cut -d' ' -f1 /proc/loadavg)"
printf '%-7s %10s %10s %7s\n' "" "ours ms" "bpftool ms" "ratio"
manifest 1 bench_small
compare small 1.0
manifest 1 bench_small '
[objects.measured1.maps.packets]
pin              = "by-name"
allow-undeclared = true

[objects.measured1.programs.count_packets]
attach = [{ hook = "xdp", interface = "lo" }]'
steps=("${steps[0]} pinmaps ${pins}maps" "net attach xdp pinned ${pins}1/count_packets dev lo")
undo="net detach xdp dev lo"
compare attach 0
manifest 1 core_read
compare CO-RE 1.0
manifest 1 bench_heavy
compare heavy 0.6
# The same forty programs in four objects.
manifest 4 bench_ten
compare four 0.6

if command -v strace >/dev/null; then
	manifest 1 bench_heavy
	# Threads verify side by side, so the time inside bpf(2) is counted where at least one is in it. The
	# filter keeps strace from stopping them at every other call too, which would count as time outside.
	strace -f --seccomp-bpf -q -ttt -T -e trace=bpf -e signal=none -o "$work/trace" \
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
