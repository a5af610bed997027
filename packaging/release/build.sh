#!/usr/bin/env bash
# Builds what is released into OUT (target/dist): the program, its list of dependencies as CycloneDX, and the
# checksums of both. TARGET chooses another machine than this one, such as aarch64-unknown-linux-musl, whose
# standard library must be there (`rustup target add`). Two builds of one commit with one compiler are the
# same bytes, wherever they are made (reproduce.sh).
set -euo pipefail
cd "$(dirname "$0")/../.."

cyclonedx_version=0.5.9
size_max=$((6 << 20))

target=$(scripts/release-target.sh)
built=$(realpath -m "${CARGO_TARGET_DIR:-target}")
out=$(realpath -m "${OUT:-$built/dist}")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
name=ebpf-apply-$version-$target

# Paths of this machine would be in panic messages.
home=${CARGO_HOME:-$HOME/.cargo}
export RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$PWD=/src --remap-path-prefix=$home=/cargo"
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
scripts/release-cargo.sh build --locked --release

rm -rf "$out"
mkdir -p "$out"
cp "$built/$target/release/ebpf-apply" "$out/$name"
size=$(stat --format %s "$out/$name")
[ "$size" -le "$size_max" ] || {
	echo "build.sh: the program has $size bytes, and $size_max is the most" >&2
	exit 1
}

cargo cyclonedx --version 2>/dev/null | grep -q " $cyclonedx_version\$" || {
	echo "build.sh: the list of dependencies needs: cargo install --locked --version $cyclonedx_version cargo-cyclonedx" >&2
	exit 1
}
cargo cyclonedx --quiet --format json --spec-version 1.5 --target "$target" --override-filename "$name.cdx"
mv "$name.cdx.json" "$out/"

(cd "$out" && sha256sum "$name" "$name.cdx.json" | tee SHA256SUMS)
echo "released into $out: $size bytes"
