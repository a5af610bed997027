#!/usr/bin/env bash
# Validates MANIFESTS with annotations of GitHub Actions on standard output, and as SARIF into the file
# SARIF. The inputs of action.yml come as environment variables, so that no input becomes shell code.
set -euo pipefail

read -r -a words <<<"$MANIFESTS"
[ "${#words[@]}" -gt 0 ] || { echo "::error::the input \`manifests\` is empty" && exit 64; }
[ "${DENY_WARNINGS:-}" != true ] || words+=(--deny warnings)
[ "${REQUIRE_DIGESTS:-}" != true ] || words+=(--require-digests)
[ -z "${KERNEL:-}" ] || words+=(--kernel "$KERNEL")
[ -z "${TRUSTED_KEY:-}" ] || words+=(--trusted-key "$TRUSTED_KEY")

if [ -n "${SARIF:-}" ]; then
	# The annotations decide.
	"$PROGRAM" validate "${words[@]}" --format sarif >"$SARIF" || true
fi
exec "$PROGRAM" validate "${words[@]}" --format github
