#!/usr/bin/env bash
# Checks the examples with taplo, as an editor would: each against the schema that its first line names,
# and their formatting (.taplo.toml). A check that lets mistakes pass would say nothing, so it is shown
# manifests that break the schema, too, and must refuse each.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.9.3
# Of the wheel for x86-64; elsewhere the version has to do.
hash=
[ "$(uname -m)" != x86_64 ] || hash=" --hash=sha256:33f12648f273478d7330cb3529c82f48f388501e1122e0bea78bce5ff5972b8b"
place=target/taplo-$version
taplo=$place/bin/taplo

install() {
	python3 -c 'import ensurepip, venv' 2>/dev/null || {
		echo "python3-venv is missing (on Debian: apt-get install python3-venv)" >&2
		return 1
	}
	rm -rf "$place"
	python3 -m venv "$place"
	printf 'taplo==%s%s\n' "$version" "$hash" >"$place/requirements.txt"
	"$place/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
		${hash:+--require-hashes} --requirement "$place/requirements.txt"
}

# Installed once; what is there and runs is taken as it is.
"$taplo" --version 2>/dev/null | grep -qF "$version" || install

export RUST_LOG=warn
# The configuration is for formatting only: what it does not include would not be linted, and no word said.
examples=(examples/manifests/*.toml)
for example in "${examples[@]}"; do
	schema=$(sed -n '1s/^#:schema //p' "$example")
	test -n "$schema" && test -f "$(dirname "$example")/$schema" || {
		echo "$example: the first line does not name the schema: #:schema ../../schema/…" >&2
		exit 1
	}
done
"$taplo" lint --no-auto-config "${examples[@]}"
"$taplo" format --check --diff "${examples[@]}" || {
	echo "\`$taplo format\` formats them" >&2
	exit 1
}

wrong=target/taplo/wrong
rm -rf "$wrong"
mkdir -p "$wrong"
for code in bad-digest bad-name bad-value missing-key unknown-key unsupported-version wrong-type; do
	# Without the line that names the schema, nothing is wrong with it.
	"$taplo" lint --no-auto-config "examples/invalid/$code.toml"
	{
		head -n 1 "${examples[0]}" | sed 's,\.\./\.\./,../../../,'
		cat "examples/invalid/$code.toml"
	} >"$wrong/$code.toml"
	if "$taplo" lint --no-auto-config "$wrong/$code.toml" 2>/dev/null; then
		echo "taplo takes examples/invalid/$code.toml, which breaks the schema" >&2
		exit 1
	fi
done
echo "taplo $version: ${#examples[@]} manifests follow the schema and are formatted"
