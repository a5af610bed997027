#!/usr/bin/env bash
# image.sh PROGRAM TEST-BINARY TIMEOUT OUT [TEST…]: packs what a machine needs that runs the kernel suite into
# an initramfs: this tree at its own path, since tests know it by that; the tools they call, with
# their libraries; busybox for the rest. TESTs are the names of the tests that it runs.
set -euo pipefail

program=$1 tests_binary=$2 timeout=$3 out=$4
shift 4
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

tools=(bash bpftool ip tc)
trees=(README.md bpf examples schema)

staged=$(mktemp -d)
trap 'rm -rf "$staged"' EXIT
mkdir -p "$staged"/{busybox,dev,etc,proc,run,suite,sys,tmp,modules,boot}

# keep [OPTION…] FILE…: copies absolute paths to the same places.
keep() {
	local word words=()
	# Of an absolute path, cp --parents looks for the directories' modes in the wrong place.
	for word in "$@"; do words+=("${word#/}"); done
	(cd / && cp --archive --parents "${words[@]}" "$staged")
}
# add FILE: with the libraries that it is linked with, where the loader will look.
add() {
	local file
	for file in "$1" $(ldd "$1" 2>/dev/null | grep -o '/[^ )]*' || true); do
		keep --dereference "$file"
	done
}

cp "$(command -v busybox)" "$staged/busybox/busybox"
busybox --list | while read -r name; do
	[ -e "$staged/busybox/$name" ] || ln -s busybox "$staged/busybox/$name"
done
for tool in "${tools[@]}"; do add "$(PATH="$PATH:/usr/sbin:/sbin" command -v "$tool")"; done
add "$program"
add "$tests_binary"
keep "${trees[@]/#/$root/}"
# Objects that an example loads.
keep "/usr/lib/$(uname -m)-linux-gnu/bpf"

cp "$here/init" "$staged/init"
printf '%s\n' "$@" >"$staged/suite/tests"
printf 'export OBJECTS_ARE_BUILT=1\nROOT=%q TESTS_BINARY=%q TIMEOUT=%q COMMAND=%q\n' \
	"$root" "$tests_binary" "$timeout" "${COMMAND:-}" >"$staged/suite/environment"
# Not compressed: nothing to unpack under emulation.
(cd "$staged" && find . | cpio --create --format=newc --owner=0:0 --quiet) >"$out"
