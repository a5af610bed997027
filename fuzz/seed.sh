#!/usr/bin/env bash
# Fills fuzz/corpus/ with what `make bpf` built and with the manifests of examples/, and
# fuzz/manifest.dict with the words of the manifest's schema.
set -euo pipefail
cd "$(dirname "$0")/.."

corpus=fuzz/corpus
mkdir -p "$corpus"/{object_inspect,relocate_link,btf_parse,manifest_parse}

for object in bpf/out/*.bpf.o; do
	name=$(basename "$object" .bpf.o)
	cp "$object" "$corpus/object_inspect/$name"
	cp "$object" "$corpus/relocate_link/$name"
	for section in .BTF .BTF.ext; do
		# Not every object has both.
		objcopy -I elf64-little --dump-section "$section=$corpus/btf_parse/$name$section" "$object" /dev/null 2>/dev/null || true
	done
done
for manifest in examples/manifests/*.toml examples/invalid/*.toml; do
	cp "$manifest" "$corpus/manifest_parse/"
done
grep -oh '"[a-z][a-z0-9-]*"' schema/*.json | sort -u >fuzz/manifest.dict
