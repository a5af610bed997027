#!/usr/bin/env bash
# Prints the target that releases are built for: this machine with musl, or with glibc where the standard
# library for musl is not installed (`rustup target add`, which `make deps` does).
#
# Started in a virtual machine, a program linked to glibc spends more time asking the processor for its
# caches, one exit to the hypervisor each, than applying a small manifest takes.
set -euo pipefail

musl=$(uname -m)-unknown-linux-musl
if [ -d "$(rustc --print target-libdir --target "$musl")" ]; then
	echo "$musl"
else
	rustc -vV | sed -n 's/^host: //p'
fi
