#!/usr/bin/env bash
# Installs what building and showing ebpf-apply needs beside Rust, and nothing that is there.
# Only on Debian and its like and only as root; elsewhere it says what to install.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()

# need PACKAGE WHY CHECK…: notes the package unless the check succeeds.
need() {
	local package=$1 why=$2
	shift 2
	if ! "$@" >/dev/null 2>&1; then
		missing+=("$package")
		printf 'missing: %-10s %s\n' "$package" "$why"
	fi
}

# A tool in /usr/sbin counts as there also for users who have no sbin in their PATH.
tool() {
	PATH="$PATH:/usr/sbin:/sbin" command -v "$1"
}

need gcc "links the program" tool cc
need clang "compiles the C objects of bpf/" tool clang
need libbpf-dev "bpf_helpers.h and its like, which those objects include" test -e /usr/include/bpf/bpf_helpers.h
need linux-libc-dev "the kernel's own headers (linux/bpf.h)" test -e /usr/include/linux/bpf.h
need bpftool "shows in the demo and the tests what the kernel holds" tool bpftool
need iproute2 "makes the network interfaces of the demo and the tests" tool ip
need minisign "signs the manifests of the tests" tool minisign
need xdp-tools "brings the object that examples/manifests/xdp-filter.toml applies" \
	sh -c 'ls /usr/lib/*/bpf/xdpfilt_alw_all.o'

# Rust's library for musl, which a release is linked with where it is there. Nothing fails without it.
# Without rustup it is left to whoever installed Rust, who may be another user.
if tool rustup >/dev/null && target=$(scripts/release-target.sh) && [[ $target == *-gnu ]]; then
	musl=${target%-gnu}-musl
	echo "missing: rust-std for $musl, with which a release starts faster"
	timeout 60 rustup target add "$musl" || echo "not to be had; releases are linked with glibc"
fi

if [ ${#missing[@]} -eq 0 ]; then
	echo "dependencies: nothing is missing"
	exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
	echo "please install: ${missing[*]}" >&2
	echo "(on Debian: sudo apt-get install --no-install-recommends ${missing[*]})" >&2
	exit 1
fi

echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null
