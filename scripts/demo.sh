#!/usr/bin/env bash
# Applies examples/manifests/three-policies.toml to the running kernel and shows each step: plan,
# attached program, pins, the end by SIGTERM, the next run, destroy. Fails if anything is not as
# the manifest promises.
#
# Everything happens in mount and network namespaces of its own: its bpffs, its interfaces and its
# state directory are gone when it ends. Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."

manifest=examples/manifests/three-policies.toml
pins=/sys/fs/bpf/ebpf-apply/three-policies

if [ "${1:-}" != inside ]; then
	if [ "$(id -u)" -ne 0 ]; then
		echo "the demo loads programs into the kernel, so it needs root: sudo make demo" >&2
		exit 1
	fi
	exec unshare --mount --net -- "$0" inside
fi

heading() { printf '\n\033[1m== %s\033[0m\n' "$1"; }
run() {
	printf '$ %s\n' "$*"
	"$@"
}
apply() { "${program[@]}" "$@"; }
run_apply() {
	printf '$ ebpf-apply %s\n' "$*"
	apply "$@"
}
fail() {
	printf 'NOT AS PROMISED: %s\n' "$1" >&2
	exit 1
}
# promise TEXT COMMAND…: the command succeeds.
promise() {
	local text=$1
	shift
	"$@" >/dev/null 2>&1 || fail "$text"
	printf '   ok: %s\n' "$text"
}
not() { ! "$@"; }
attached() { [ -n "$(bpftool net list dev veth0 | grep 'id [0-9]')" ]; }
map_id() { bpftool map show pinned "$1" | sed -n '1s/:.*//p'; }
# Packets of UDP, IP protocol 17, that the map `totals` has counted.
udp_packets() {
	bpftool map lookup pinned "$pins/kept/totals" key hex 11 00 00 00 |
		sed -n 's/.*"\{0,1\}value"\{0,1\}: *\([0-9]*\).*/\1/p'
}
# Sends packets out of veth1; they come in at veth0.
send_udp() {
	for _ in $(seq "$1"); do echo packet >/dev/udp/192.0.2.1/9; done
}

work=$(mktemp -d)
program=("${PROGRAM:-${CARGO_TARGET_DIR:-target}/$(scripts/release-target.sh)/release/ebpf-apply}" --state-dir "$work/state")
holder=
cleanup() {
	[ -z "$holder" ] || kill "$holder" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT

heading "A world of its own: a bpffs and a pair of interfaces"
run mount -t bpf bpf /sys/fs/bpf
run ip link add veth0 type veth peer name veth1
run ip link set veth0 up
run ip link set veth1 up
run ip address add 192.0.2.2/24 dev veth1
mac=$(ip -o link show veth0 | sed 's/.*ether \([^ ]*\).*/\1/')
ip neighbour add 192.0.2.1 lladdr "$mac" dev veth1 nud permanent

heading "The manifest"
run cat "$manifest"

heading "Validate: all that can be known without a kernel"
run_apply validate "$manifest"

heading "Plan: what apply would do; nothing is written"
run_apply plan "$manifest"
promise "plan left no pin" not test -e "$pins"

heading "Apply, and hold in the foreground"
echo "\$ ebpf-apply $manifest &"
# Not through a function: its pid would be a shell's.
"${program[@]}" "$manifest" &
holder=$!
# In force once the status finds everything in sync; until then the process must be alive.
in_force() { attached && apply status "$manifest" --format json | grep -q '"in-sync"'; }
for _ in $(seq 300); do
	kill -0 "$holder" 2>/dev/null || fail "ebpf-apply ended early"
	in_force 2>/dev/null && break
	sleep 0.1
done
promise "the deployment is in force" in_force

heading "What the kernel holds now"
run_apply status "$manifest"
run bpftool net list dev veth0
run ip link show veth0
run find /sys/fs/bpf/ebpf-apply
promise "the program is attached to veth0" attached
promise "sessions (by-name) is pinned at its sub-path" test -e "$pins/live/sessions"
promise "totals (persist-on-exit) is pinned at its sub-path" test -e "$pins/kept/totals"
promise "scratch (none) is not pinned" test -z "$(find /sys/fs/bpf/ebpf-apply -name scratch)"

heading "Five packets"
send_udp 5
run bpftool map dump pinned "$pins/live/sessions"
run bpftool map dump pinned "$pins/kept/totals"
promise "totals counted five packets of UDP" test "$(udp_packets)" = 5
id=$(map_id "$pins/kept/totals")

heading "SIGTERM ends the deployment by pin policy"
run kill -TERM "$holder"
ended=0
wait "$holder" || ended=$?
holder=
run find /sys/fs/bpf/ebpf-apply
promise "the process ended with exit status 0" test "$ended" = 0
promise "the program is detached" not attached
promise "sessions is unpinned" not test -e "$pins/live/sessions"
promise "totals is still pinned" test -e "$pins/kept/totals"
promise "totals kept its contents" test "$(udp_packets)" = 5

heading "The next run adopts what persisted; --detach leaves all to the kernel"
run_apply apply "$manifest" --detach
promise "totals is the same map, id $id" test "$(map_id "$pins/kept/totals")" = "$id"
promise "the program is attached, with no process" attached
send_udp 2
promise "totals went on counting: seven" test "$(udp_packets)" = 7

heading "Destroy, and persisting pins with it"
run_apply destroy "$manifest" --purge
promise "the program is detached" not attached
promise "no pin and no directory is left" not test -e "$pins"

heading "As promised, each step"
