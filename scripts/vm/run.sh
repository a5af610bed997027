#!/usr/bin/env bash
# Runs the kernel suite (tests/kernel) on other kernels: boots Debian's under qemu, which needs no KVM and
# no root, and says of each kernel and test whether it passed, what the kernel lacks for it, or that it failed.
#
#	scripts/vm/run.sh                              every test on every kernel (make test-vm)
#	KERNELS="6.1 6.12" scripts/vm/run.sh           on these series
#	KERNELS=5.10 TESTS=updates:: scripts/vm/run.sh the tests whose names contain a word of TESTS
#
#	KERNELS=6.1 COMMAND='ls /sys/fs/bpf' scripts/vm/run.sh
#	                                               this line of shell instead, and shows the console
#
# The same goes for `make test-vm KERNELS=5.10 TESTS=updates::`. Other settings, from the environment:
#
#	JOBS     how many machines run at a time (2)
#	TIMEOUT  seconds after which a test has failed (300)
#
# Results are kept in target/vm: results.tsv has a line of KERNEL, TEST, RESULT (passed, lacks or
# failed), SECONDS, and what is lacking or why it failed; KERNEL.log is a machine's console with what failed
# tests said. Kernels come from kernels.sh, which says where they are kept.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."

read -ra kernels <<<"${KERNELS:-5.10 6.1 6.12 6.18 7.3}"
read -ra words <<<"${TESTS:-}"
jobs=${JOBS:-2}
timeout=${TIMEOUT:-300}
# For a kernel that hangs as a whole.
machine_timeout=1500
work=$(realpath -m "${CARGO_TARGET_DIR:-target}")/vm

# Builds the objects, the program and the suite; sets where those two are.
build() {
	local executables
	make --silent bpf
	executables=$(cargo test --locked --test kernel --no-run --message-format=json |
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
	cp "$cache/$kernel/config" "$own/boot/config-$(cat "$cache/$kernel/release")"
	# The kernel unpacks one archive after the other.
	cp "$work/common.cpio" "$image"
	(cd "$own" && find . | cpio --create --format=newc --owner=0:0 --quiet) >>"$image"
	rm -rf "$own"
	# One processor and one thread: with a thread for each, qemu can trip over the kernel when that
	# patches its own code. Linux 5.10 runs no BPF LSM program unless it is told so.
	timeout --kill-after=5 "$machine_timeout" qemu-system-x86_64 \
		-accel tcg,thread=single -machine pc -cpu max -smp 1 -m 1G \
		-nodefaults -no-user-config -display none -no-reboot \
		-serial "file:$work/$kernel.log" -serial "file:$work/$kernel.report" \
		-kernel "$cache/$kernel/vmlinuz" -initrd "$image" \
		-append "console=ttyS0 panic=-1 oops=panic quiet loglevel=4 lsm=lockdown,yama,bpf" \
		</dev/null >"$work/$kernel.qemu" 2>&1 || status=$?
	rm -f "$image"
	[ $status = 0 ] || echo "qemu: exit status $status" >>"$work/$kernel.log"
}

# results KERNEL: lines of results.tsv from its report.
results() {
	local kernel=$1
	awk -v kernel="$kernel" -v OFS='\t' '
		BEGIN { FS = "\t" }
		{ sub(/\r$/, "") }
		FILENAME == ARGV[1] { wanted[++count] = $1; next }
		$1 == "begin" { begun = $2 }
		$1 == "end" {
			result = $3 != 0 ? "failed" : $5 != "" ? "lacks" : "passed"
			why = $3 == "timeout" ? "took too long" : $3 != 0 ? "exit status " $3 : $5
			line[$2] = kernel OFS $2 OFS result OFS $4 OFS why
			begun = ""
		}
		END {
			for (n = 1; n <= count; n++) {
				test = wanted[n]
				why = test == begun ? "the machine went down" : "was not run"
				print (test in line) ? line[test] : kernel OFS test OFS "failed" OFS "-" OFS why
			}
		}' "$work/tests" "$work/$kernel.report"
}

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

for tool in qemu-system-x86_64 busybox cpio xz; do
	command -v $tool >/dev/null || {
		echo "please install: qemu-system-x86 busybox-static cpio xz-utils" >&2
		exit 1
	}
done
mkdir -p "$work"
exec 8>"$work/lock"
flock --nonblock 8 || {
	echo "another run is at it in $work" >&2
	exit 1
}
cache=$("$here/kernels.sh" "${kernels[@]}")
build
mapfile -t tests < <("$suite" --list --format terse "${words[@]}" | sed -n 's/: test$//p')
if [ ${#tests[@]} = 0 ]; then
	echo "no test has a name with ${TESTS:-} in it" >&2
	exit 1
fi
printf '%s\n' "${tests[@]}" >"$work/tests"
rm -f "$work"/*.report "$work"/*.log "$work"/*.tsv
"$here/image.sh" "$program" "$suite" "$timeout" "$work/common.cpio" "${tests[@]}"

trap 'kill $(jobs -p) 2>/dev/null' EXIT
if [ -n "${COMMAND:-}" ]; then
	for kernel in "${kernels[@]}"; do
		boot "$kernel"
		sed "s/^/$kernel: /" "$work/$kernel.log"
	done
	exit
fi

running=0
for kernel in "${kernels[@]}"; do
	if [ $((running++)) -ge "$jobs" ]; then wait -n; fi
	run_kernel "$kernel" &
done
wait
for kernel in "${kernels[@]}"; do cat "$work/$kernel.tsv"; done >"$work/results.tsv"
rm -f "$work/common.cpio"

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
! cut -f 3 "$work/results.tsv" | grep -q failed
