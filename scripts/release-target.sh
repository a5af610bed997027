#!/usr/bin/env bash
# Prints the target that a release is built for, TARGET if it is set: the compiler's own with musl, or with glibc where Rust's
# library for musl, or the linker that comes with Rust, is not installed (`make deps` sees to the first).
#
# Started in a virtual machine, a program linked to glibc spends more time asking the processor for its
# caches, one exit to the hypervisor each, than applying a small manifest takes.
set -euo pipefail

if [ -n "${TARGET:-}" ]; then
	echo "$TARGET"
	exit
fi
host=$(rustc -vV | sed -n 's/^host: //p')
musl=${host%-gnu}-musl
libraries=$(rustc --print target-libdir --target "$musl" 2>/dev/null || true)
tools=$(rustc --print target-libdir)/../bin
if compgen -G "$libraries/libstd-*.rlib" >/dev/null && [ -x "$tools/rust-lld" ]; then
	echo "$musl"
else
	echo "$host"
fi
