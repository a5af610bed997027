#!/usr/bin/env bash
# Builds a package for Debian from the optimised program, which must be there: `make package`.
# It prints the package's path.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=$(scripts/release-target.sh)
target_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")
built=$target_dir/$target/release
program=$built/ebpf-apply
made=$built/package
rm -rf "$made"
mkdir -p "$made/man"

"$program" man "$made/man"
gzip --best --no-name "$made"/man/*.1
"$program" completions bash >"$made/ebpf-apply"
"$program" completions zsh >"$made/_ebpf-apply"
"$program" completions fish >"$made/ebpf-apply.fish"
# It is stripped already.
cargo deb --no-build --no-strip --locked --target "$target" --output "$target_dir/debian/"
