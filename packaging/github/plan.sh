#!/usr/bin/env bash
# Puts the plan of MANIFEST into the job's summary, and whether it has changes into its outputs.
set -euo pipefail

words=("$MANIFEST")
[ "${REQUIRE_DIGESTS:-}" != true ] || words+=(--require-digests)
[ -z "${TRUSTED_KEY:-}" ] || words+=(--trusted-key "$TRUSTED_KEY")

status=0
"$PROGRAM" plan "${words[@]}" --format markdown --detailed-exitcode >>"$GITHUB_STEP_SUMMARY" || status=$?
case $status in
0) echo "changes=false" >>"$GITHUB_OUTPUT" ;;
2) echo "changes=true" >>"$GITHUB_OUTPUT" ;;
*) exit "$status" ;;
esac
