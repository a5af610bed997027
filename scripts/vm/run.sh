#!/usr/bin/env bash
# Runs the kernel suite (tests/kernel) on other kernels: boots Debian's under qemu, which needs no KVM and
# no root, and says of each kernel and test whether it passed, what the kernel lacks for it, or that it failed.
#
#	scripts/vm/run.sh                               every test on every kernel; so does `make test-vm`
#	KERNELS="6.1 6.12" scripts/vm/run.sh            on these series of Debian's
#	KERNELS=5.10 TESTS=updates:: scripts/vm/run.sh  the tests whose names contain a word of TESTS
#	COMMAND='ls /sys/fs/bpf' scripts/vm/run.sh      a line of shell instead of tests
#
# Further settings, from the environment:
#
#	JOBS     how many machines run at a time (3: of five, two cores are then busy to the end)
#	TIMEOUT  seconds after which a test has failed (300)
#
# Results are kept in target/vm. results.tsv has a line of KERNEL, TEST, RESULT (passed, lacks or
# failed), SECONDS, a remark (what the kernel lacks, what the test went without, or why it failed), and
# what the test found, from which hooks.sh makes a table.
# KERNEL.log is a machine's console, with what failed tests said. kernels.sh says where kernels are kept.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."

read -ra kernels <<<"${KERNELS:-5.10 6.1 6.12 6.18 7.3}"
read -ra words <<<"${TESTS:-}"
jobs=${JOBS:-3}
timeout=${TIMEOUT:-300}
# For a kernel that hangs as a whole.
machine_timeout=1800
work=$(realpath -m "${CARGO_TARGET_DIR:-target}")/vm

fail() {
	echo "run.sh: $1" >&2
	exit 1
}

# Builds the objects, the program and the suite; sets where those two are.
build() {
	local executables
	make --silent bpf
	executables=$(cargo test --locked --profile matrix --test kernel --no-run --message-format=json |
		sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
	program=$(grep '/ebpf-apply$' <<<"$executables")
	suite=$(grep '/kernel-[0-9a-f]*$' <<<"$executables")
}

# boot KERNEL: leaves KERNEL.log and KERNEL.report in $work.
boot() {
	local kernel=$1 status=0
	local image=$work/$kernel.cpio own=$work/$kernel.own
	mkdir -p "$own/boot"
	cp -r "$cache/$kernel/modules" "$own/"
	if [ -e "$cache/$kernel/config" ]; then
		cp "$cache/$kernel/config" "$own/boot/config-$(cat "$cache/$kernel/release")"
	fi
	# The kernel unpacks one archive after the other.
	cp "$work/common.cpio" "$image"
	(cd "$own" && find . | cpio --create --format=newc --owner=0:0 --quiet) >>"$image"
	rm -rf "$own"
	# One processor and one thread: with a thread for each, qemu can trip over the kernel when that
	# patches its own code. Linux 5.10 runs no BPF LSM program unless it is told so. The rest is speed, a
	# sixth of a run but for the first, without which it takes three times as long: with `norandmaps`
	# processes have their code at the same addresses, so that qemu does not translate it anew for each;
	# without `erms`, `fsrm` and feature 112 (`rep_good`) the kernel clears and copies memory with loops,
	# which qemu runs faster than string instructions; huge pages are cleared whole for every thread; and
	# whoever waits for the end of a grace period of RCU does not wait for it in vain on one processor.
	timeout --foreground --kill-after=5 "$machine_timeout" qemu-system-x86_64 \
		-accel tcg,thread=single -machine pc -cpu max,erms=off,fsrm=off -smp 1 -m 2G \
		-nodefaults -no-user-config -display none -no-reboot \
		-serial "file:$work/$kernel.log" -serial "file:$work/$kernel.report" \
		-kernel "$cache/$kernel/vmlinuz" -initrd "$image" \
		-append "console=ttyS0 panic=-1 oops=panic quiet loglevel=4 lsm=lockdown,yama,bpf norandmaps \
			clearcpuid=112 transparent_hugepage=never rcupdate.rcu_expedited=1" \
		</dev/null >"$work/$kernel.qemu" 2>&1 || status=$?
	rm -f "$image"
	[ $status = 0 ] || echo "qemu: exit status $status" >>"$work/$kernel.log"
}

# results KERNEL: lines of results.tsv from the machine's report, whose format `init` describes.
results() {
	awk -F '\t' -v OFS='\t' -v kernel="$1" '
		{ sub(/\r$/, "") }
		FILENAME == ARGV[1] { wanted[++count] = $1; next }
		$1 == "begin" {
			begun = $2
			since = $3
			split("", said)
		}
		$1 ~ /^(lacks|without|fact)$/ && index(", " said[$1] ",", ", " $2 ",") == 0 {
			said[$1] = said[$1] (said[$1] == "" ? "" : ", ") $2
		}
		$1 == "end" {
			result = "passed"
			remark = said["without"] == "" ? "" : "without " said["without"]
			if (said["lacks"] != "") {
				result = "lacks"
				remark = said["lacks"]
			}
			if ($4 != "0") {
				result = "failed"
				remark = $4 == "timeout" ? "took too long" : "exit status " $4
			}
			line[$2] = kernel OFS $2 OFS result OFS sprintf("%.1f", $3 - since) OFS remark OFS said["fact"]
			begun = ""
		}
		END {
			for (n = 1; n <= count; n++) {
				test = wanted[n]
				remark = test == begun ? "the machine went down" : "was not run"
				print (test in line) ? line[test] : kernel OFS test OFS "failed" OFS "-" OFS remark
			}
		}' "$work/tests" "$work/$1.report"
}

# run_kernel KERNEL: runs all tests on it and tells the results.
run_kernel() {
	local kernel=$1 begin=$SECONDS
	boot "$kernel"
	# A machine that never came up is tried once more: qemu's fault. What a test does is never tried again.
	if ! grep -q '^up' "$work/$kernel.report"; then
		mv "$work/$kernel.log" "$work/$kernel.first.log"
		boot "$kernel"
	fi
	results "$kernel" >"$work/$kernel.tsv"
	awk -F '\t' '{ printf "%-5s %-7s %s%s\n", $1, $3, $2, $5 == "" ? "" : ": " $5 }' "$work/$kernel.tsv"
	printf '%s: Linux %s, %d s\n' "$kernel" "$(cat "$cache/$kernel/release")" $((SECONDS - begin))
}

run_command() {
	local kernel
	for kernel in "${kernels[@]}"; do
		boot "$kernel"
		sed "s/^/$kernel: /" "$work/$kernel.log"
	done
}

summary() {
	printf '\n%-6s %7s %7s %7s\n' kernel passed lacks failed
	awk -F '\t' '
		!($1 in seen) { seen[$1]; order[++count] = $1 }
		{ number[$1, $3]++ }
		END {
			for (n = 1; n <= count; n++) {
				kernel = order[n]
				printf "%-6s %7d %7d %7d\n", kernel, number[kernel, "passed"], number[kernel, "lacks"], number[kernel, "failed"]
			}
		}' "$work/results.tsv"
	echo "results: $work/results.tsv"
}

# In a function, so that a run does not mind when this file changes.
main() {
	local tool kernel running=0
	for tool in qemu-system-x86_64 busybox cpio xz; do
		command -v $tool >/dev/null || fail "please install qemu-system-x86, busybox-static, cpio, xz-utils"
	done
	mkdir -p "$work"
	exec 8>"$work/lock"
	flock --nonblock 8 || fail "another run is at it in $work"
	cache=$("$here/kernels.sh" "${kernels[@]}")
	build
	mapfile -t tests < <("$suite" --list --format terse "${words[@]}" | sed -n 's/: test$//p')
	[ ${#tests[@]} -gt 0 ] || fail "no test has a name with a word of \`${TESTS:-}\` in it"
	rm -f "$work"/*.{report,log,qemu,tsv}
	printf '%s\n' "${tests[@]}" >"$work/tests"
	"$here/image.sh" "$program" "$suite" "$timeout" "$work/tests" "$work/common.cpio"
	if [ -n "${COMMAND:-}" ]; then
		run_command
		return
	fi

	# Each machine in a process group of its own, which ends with this run.
	set -m
	# One that has ended can be among them still, and a failure in here would be that of the run.
	trap 'for job in $(jobs -p); do kill -- "-$job" 2>/dev/null || true; done' EXIT
	for kernel in "${kernels[@]}"; do
		if [ $((running++)) -ge "$jobs" ]; then wait -n; fi
		run_kernel "$kernel" &
	done
	wait
	for kernel in "${kernels[@]}"; do cat "$work/$kernel.tsv"; done >"$work/results.tsv"
	summary
	! cut -f 3 "$work/results.tsv" | grep -q failed
}

main
exit
