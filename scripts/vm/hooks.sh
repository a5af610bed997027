#!/usr/bin/env bash
# Makes docs/hooks.md of the results of a run of run.sh (target/vm/results.tsv): which kernel has which
# hook, whether what is attached there is pinned, and how its program is changed. `make hooks` runs what
# it takes, on every kernel.
set -euo pipefail
export LC_ALL=C
results=$1

[ -s "$results" ] || { echo "hooks.sh: no results in $results" >&2 && exit 1; }
if cut -f 2,3 "$results" | grep -E '^hooks::.*failed' >&2; then
	echo "hooks.sh: the table is made of runs without failures" >&2
	exit 1
fi
cat <<'END'
# Hooks and kernels

<!-- Made by `make hooks`, from what the kernels did. -->

Each hook, tried from a manifest on Debian's kernels by `tests/kernel/hooks`: its program runs, goes on running when its
object changes, and is gone with the deployment. All of it outlives the process that attached it; *pinned* says whether
by a pin, which a filter of clsact needs none of. *Changed* says how a reload brings the new program: in one step, or
otherwise. A kernel that lacks a hook has in its place what it takes. What stands in on an older kernel is not in the
table: a filter of clsact for `tcx`, before Linux 6.10 the map itself for `sockmap` (not pinned, atomic), and before 5.15 a
process that holds tracepoints, probes and counters.

END
# A fact is HOOK|PINNED|CHANGED.
awk -F '\t' '
	$2 !~ /^hooks::/ { next }
	!($1 in seen) { seen[$1]; kernels[++nkernels] = $1 }
	{
		test = $2
		if (!(test in known)) { known[test]; tests[++ntests] = test }
		if ($3 == "passed") {
			split($6, fact, "|")
			hook[test] = fact[1]
			# Of the newest kernel that has it.
			pinned[test] = fact[2]
			changed[test] = fact[3]
			cell[test, $1] = "yes"
		} else {
			lacks = $5
			# What came with a release has a release; the rest is how Debian builds the kernel.
			cell[test, $1] = match(lacks, /since Linux [0-9.]+/) ? substr(lacks, RSTART, RLENGTH) : lacks
		}
	}
	END {
		line = "| hook |"
		rule = "|---|"
		for (k = 1; k <= nkernels; k++) { line = line " " kernels[k] " |"; rule = rule "---|" }
		print line " pinned | changed |"
		print rule "---|---|"
		for (t = 1; t <= ntests; t++) {
			test = tests[t]
			if (!(test in hook)) {
				name = test
				sub(/.*::/, "", name)
				gsub(/_/, "-", name)
				hook[test] = name
			}
			line = "| `" hook[test] "` |"
			for (k = 1; k <= nkernels; k++) line = line " " cell[test, kernels[k]] " |"
			rows[hook[test]] = line " " pinned[test] " | " changed[test] " |"
		}
		for (name in rows) print rows[name] | "sort"
	}' "$results"
