#!/usr/bin/env bash
# Builds the commit that is checked out in two directories of different names and compares the programs.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=$(scripts/release-target.sh)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for place in one a/longer/path; do
	tree=$scratch/$place
	mkdir -p "$tree"
	git archive HEAD | tar -x -C "$tree"
	home=${CARGO_HOME:-$HOME/.cargo}
	(
		cd "$tree"
		export CARGO_TARGET_DIR=$tree/target SOURCE_DATE_EPOCH=0
		export RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$tree=/src --remap-path-prefix=$home=/cargo"
		TARGET=$target scripts/release-cargo.sh build --quiet --locked --release
		sha256sum "target/$target/release/ebpf-apply"
	)
	mv "$tree/target/$target/release/ebpf-apply" "$scratch/$(basename "$place").program"
	rm -rf "$tree/target"
done
cmp "$scratch/one.program" "$scratch/path.program"
echo "both are the same"
