#!/usr/bin/env bash
# release-cargo.sh ARGUMENT…: runs Cargo with them for TARGET (scripts/release-target.sh), with
# the program linked as it is released.
#
# For musl the linker is Rust's own, so that no toolchain of the target is needed. That is set here and not
# in a configuration of Cargo's, where it would count for who builds on a host with musl, too.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(scripts/release-target.sh)
if [[ $target == *-musl ]]; then
	if [[ ${RUSTFLAGS:-} =~ -fuse-ld|(^|-C|-Z|=| )linker ]]; then
		echo "release-cargo.sh: RUSTFLAGS choose a linker, and a release has its own: they are not heeded" >&2
		RUSTFLAGS=
	fi
	linker=CARGO_TARGET_$(tr a-z- A-Z_ <<<"$target")_LINKER
	export "$linker=rust-lld"
fi
export RUSTFLAGS="${RUSTFLAGS:-} -Csymbol-mangling-version=v0"
export CARGO_BUILD_TARGET=$target
exec "${CARGO:-cargo}" "$@"
