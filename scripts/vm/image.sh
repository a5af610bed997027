#!/usr/bin/env bash
# image.sh PROGRAM SUITE TIMEOUT TESTS OUT: packs into an initramfs OUT what a machine needs to run the
# kernel suite: this tree at its own path, since tests know it by that; PROGRAM and SUITE, the suite's
# binary, at theirs; the tools they call, with their libraries; busybox for the rest. The file TESTS
# has a name on each line; none may take longer than TIMEOUT seconds. With COMMAND in the environment, the
# machine runs that instead.
set -euo pipefail

program=$1 suite=$2 timeout=$3 tests=$4 out=$5
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

tools=(bash bpftool ip tc minisign xdp-loader)
trees=(Makefile README.md bpf docs examples packaging/github schema)

staged=$(mktemp -d)
trap 'rm -rf "$staged"' EXIT
mkdir -p "$staged"/{busybox,dev,etc,mnt,proc,run,suite,sys,tmp}

# keep [OPTION…] FILE…: copies absolute paths to the same places.
keep() {
	local word words=()
	# Of an absolute path, cp --parents looks for the directories' modes in the wrong place.
	for word in "$@"; do words+=("${word#/}"); done
	(cd / && cp --archive --parents "${words[@]}" "$staged")
}

# keep_program FILE: with the libraries that it is linked with, where the loader will look.
keep_program() {
	local libraries
	mapfile -t libraries < <(ldd "$1" 2>/dev/null | grep -o '/[^ )]*')
	keep --dereference "$1" "${libraries[@]}"
	# What debuggers want is most of a file.
	strip --strip-debug "$staged$1"
}

cp "$(command -v busybox)" "$staged/busybox/busybox"
busybox --list | while read -r name; do
	[ -e "$staged/busybox/$name" ] || ln -s busybox "$staged/busybox/$name"
done
for tool in "${tools[@]}"; do keep_program "$(PATH="$PATH:/usr/sbin:/sbin" command -v "$tool")"; done
keep_program "$program"
keep_program "$suite"
keep "${trees[@]/#/$root/}"
# Objects that an example loads.
keep "/usr/lib/$(uname -m)-linux-gnu/bpf"

cp "$here/init" "$staged/init"
echo root:x:0:0:root:/:/bin/sh >"$staged/etc/passwd"
echo root:x:0: >"$staged/etc/group"
cp "$tests" "$staged/suite/tests"
printf 'ROOT=%q SUITE=%q TIMEOUT=%q COMMAND=%q\n' \
	"$root" "$suite" "$timeout" "${COMMAND:-}" >"$staged/suite/environment"
# Not compressed: nothing to unpack under emulation.
(cd "$staged" && find . | cpio --create --format=newc --owner=0:0 --quiet) >"$out"
