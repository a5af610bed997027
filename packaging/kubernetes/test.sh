#!/usr/bin/env bash
# Renders the kustomize base and the Helm chart with the tools that would deploy them, holds the
# result against the schemas of the Kubernetes API, and looks for what must be in it. Needs no cluster;
# the tools come from PyPI into the target directory. The program must be built: `make kubernetes-test`.
set -euo pipefail
cd "$(dirname "$0")/../.."

built=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tools=$built/kubernetes-tools
wanted=packaging/kubernetes/requirements.txt
if ! cmp --silent "$wanted" "$tools/installed"; then
	rm -rf "$tools"
	python3 -m venv "$tools"
	"$tools/bin/pip" install --quiet --disable-pip-version-check --requirement "$wanted"
	cp "$wanted" "$tools/installed"
fi
"$tools/bin/python" packaging/kubernetes/check.py "$tools/bin/kubectl" "$built/debug/ebpf-apply"
