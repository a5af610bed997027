#!/usr/bin/env bash
# Writes build/startup.ld: which functions an apply runs, so that the linker puts them side by side.
#
# The kernel maps a program's code in pieces of 64 KiB when it is first run there. Scattered among what
# an apply never runs, its functions make it map nearly all of the program; side by side, a third.
# Names that no longer exist are no error and new ones only lie elsewhere, so this need not be run
# again before the memory that `make bench` prints has grown. Takes a quarter of an hour, root, x86_64,
# glibc's static archives and Rust's library for musl.
set -euo pipefail
cd "$(dirname "$0")/../.."
export LC_ALL=C

# A function of the C library has another name in each, and what is compiled in of Rust's differs a little.
targets=(x86_64-unknown-linux-musl x86_64-unknown-linux-gnu)
built=$(realpath -m "${CARGO_TARGET_DIR:-target}")
if [ "${1:-}" != inside ]; then
	if [ "$(id -u)" -ne 0 ]; then
		echo "loading programs needs root" >&2
		exit 1
	fi
	for target in "${targets[@]}"; do
		map=-Map=$built/$target/release/startup.map
		[[ $target == *-musl ]] || map=-Wl,$map
		TARGET=$target scripts/release-cargo.sh rustc --locked --release --bin ebpf-apply -- -C "link-arg=$map"
	done
	unshare --mount --net -- "$0" inside
	exit
fi

mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs tmpfs /run
ip link set lo up
work=$(mktemp -d /run/order.XXXXXX)
cc -O2 -o "$work/touched" scripts/startup/touched.c
# Looking through all of the kernel's types would take minutes, step by step.
bpftool gen min_core_btf /sys/kernel/btf/vmlinux "$work/types" bpf/out/core_read.bpf.o

# touched OBJECT [SETTINGS [OPTIONS]]: the pieces that applying an object runs with $program.
touched() {
	printf 'version = 1\nname = "order"\npin-root = "/sys/fs/bpf/order"\n[objects.it]\npath = "%s"\n%s\n' \
		"$PWD/bpf/out/$1.bpf.o" "${2:-}" >"$work/order.toml"
	# On one processor: at every step one of the two waits for the other.
	taskset -c 0 "$work/touched" "${program[@]}" apply "$work/order.toml" --detach "${@:3}" |
		sort -s -k1,1 "$work/pieces" - | awk '
			NF == 2 { piece = $2; next }
			piece { print piece; piece = "" }'
	"${program[@]}" destroy "$work/order.toml" --purge >/dev/null
}

# Each piece without what differs from build to build, the hash of a symbol and the number of a crate,
# and with it: instances of one generic function are told apart by their hashes only.
named() {
	sed -E '
		s,^.*/([^/]*)\(([^()]*)\):\((.*)\)$,*\1:\2(\3),
		s,^.*\((\.text\.([a-z]+\.)?_[RZ].+)\)$,*(\1),
		s,Cs[0-9A-Za-z]{8\,14}_,Cs*_,g
		s,\$,?,g
		h
		s,17h[0-9a-f]{16}E[^)]*\),17h*),
		G
		s,\n, ,'
}

# ordered TARGET: how many of the runs of that target's program touch a piece, and its name.
ordered() {
	program=("$built/$1/release/ebpf-apply" --state-dir "$work/state")
	# Of the linker's map, where each piece of code begins and what it is: `file:(section)`.
	awk '$5 ~ /:\(\.text/ && $3 != "0" { printf "%16s %s\n", $1, $5 }' \
		"$built/$1/release/startup.map" >"$work/pieces"
	if [ ! -s "$work/pieces" ]; then
		echo "order.sh: the map of $1 is not one of lld's" >&2
		exit 1
	fi
	{
		touched bench_small
		touched bench_small '
[objects.it.maps.packets]
pin              = "by-name"
allow-undeclared = true

[objects.it.programs.count_packets]
attach = [{ hook = "xdp", interface = "lo" }]'
		touched core_read "" --btf "$work/types"
		touched bench_ten
		touched bench_heavy
	} | sort | uniq -c >"$work/runs"
	awk '
		NR == FNR { all[$1]++; next }
		{ ran[$2]++; runs[++n] = $1; name[n] = $2; exact[n] = $3 }
		END { for (i = 1; i <= n; i++) print runs[i], ran[name[i]] == all[name[i]] ? name[i] : exact[i] }
	' <(awk '{ print $2 }' "$work/pieces" | named) \
		<(awk '{ print $2 }' "$work/runs" | named | paste -d ' ' <(awk '{ print $1 }' "$work/runs") -) |
		grep '^[0-9]* [*]'
}

# What every run touches comes first.
{
	echo '/* The functions that an apply runs. Made by scripts/startup/order.sh. */'
	echo 'SECTIONS { .text.startup_order : {'
	for target in "${targets[@]}"; do ordered "$target"; done |
		sort -k1,1nr -k2 | awk '!printed[$2]++ { print $2 }'
	echo '} } INSERT BEFORE .text;'
} >"$work/order"
cp "$work/order" build/startup.ld
wc -l build/startup.ld
