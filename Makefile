# The two commands that matter on a fresh machine: `make demo` and `make test`.

CLANG     ?= clang
CARGO     ?= cargo
BPF_ARCH  := $(shell uname -m)
# As bpf_tracing.h calls it.
BPF_TARGET := $(patsubst aarch64,arm64,$(patsubst x86_64,x86,$(BPF_ARCH)))
# asm/types.h lies in the multiarch directory on Debian; elsewhere the flag finds nothing and does no harm.
BPF_FLAGS := -g -O2 -Wall -target bpf -mcpu=v3 -D__TARGET_ARCH_$(BPF_TARGET) -idirafter /usr/include/$(BPF_ARCH)-linux-gnu
BPF_SOURCES := $(wildcard bpf/*.bpf.c)
BPF_OBJECTS := $(BPF_SOURCES:bpf/%.bpf.c=bpf/out/%.bpf.o)
# What tests watch: one that each process has at other addresses, and one that all have at the same.
PROBED := bpf/out/probed bpf/out/probed-fixed

.PHONY: help deps build test-release bpf demo test test-vm hooks attack package package-test kubernetes-test flood lint \
	lint-manifests bench fuzz release reproduce clean
.DELETE_ON_ERROR:

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what is missing of clang, libbpf-dev, bpftool, xdp-tools, iproute2 (Debian, root), Rust's library for musl
	@scripts/deps.sh

build: ## build the program as it is released, optimised and static; TARGET= cross-builds
	scripts/release-cargo.sh build --locked --release

bpf: $(BPF_OBJECTS) $(PROBED) ## build the C objects of bpf/ into bpf/out/

# A line `// cflags: …` among a source's first three adds to the flags; a later flag wins.
bpf/out/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h) Makefile
	@mkdir -p $(@D)
	$(CLANG) $(BPF_FLAGS) $(shell sed -n '1,3s,^// cflags: ,,p' $<) -c $< -o $@

bpf/out/probed: PROBED_FLAGS := -fPIE -pie
bpf/out/probed-fixed: PROBED_FLAGS := -fno-pie -no-pie

$(PROBED): bpf/probed.c Makefile
	@mkdir -p $(@D)
	$(CC) -O1 -Wall $(PROBED_FLAGS) -o $@.$$$$ $< && mv $@.$$$$ $@

demo: deps build bpf ## apply an example to the running kernel, in private namespaces (root)
	scripts/demo.sh

# The same cases each time; `cargo nextest run` alone, or another seed, goes through others.
test test-release: export PROPTEST_RNG_SEED ?= 1
TESTER = $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo nextest run || echo test)

test: deps bpf ## run every test, those on the running kernel too (root)
	$(CARGO) $(TESTER) --locked
	$(if $(filter nextest,$(TESTER)),$(CARGO) test --locked --doc)

test-release: deps bpf ## run the kernel suite as a release is linked (root)
	scripts/release-cargo.sh $(TESTER) --locked --test kernel

# What `make test` does too, five times as long and with what it met.
attack: deps bpf ## let an attacker swap directories below the pin root 100000 times (root)
	EBPF_APPLY_TRIES=100000 $(CARGO) test --locked --test kernel an_attacker -- --nocapture

test-vm: ## run the kernel suite on KERNELS (5.10 6.1 6.12 6.18 7.3) under qemu; TESTS= picks tests
	scripts/vm/run.sh

HOOKS ?= docs/hooks.md

# One round for each hook, and the tests with a word of ALSO in their names.
hooks: ## try every hook on KERNELS, and make a table of it, HOOKS (docs/hooks.md)
	TESTS="hooks::events hooks::functions hooks::network $(ALSO)" scripts/vm/run.sh
	scripts/vm/hooks.sh $${CARGO_TARGET_DIR:-target}/vm/results.tsv >$(HOOKS)

export KERNELS TESTS COMMAND

lint: ## formatting, clippy, documentation, licenses and sources of dependencies
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items
	$(CARGO) deny --locked check bans licenses sources

lint-manifests: ## the examples against the schema and their formatting, with taplo (python3-venv)
	scripts/lint-manifests.sh

bench: deps build bpf ## loading next to bpftool's: time, memory, share of bpf(2); how long a reload takes; what validating costs (root)
	benches/compare.sh
	scripts/release-cargo.sh bench --locked --bench reload
	scripts/release-cargo.sh bench --locked --bench validate

package: build ## build target/debian/ebpf-apply_*.deb (cargo-deb)
	packaging/debian/build.sh

package-test: package ## install it in an empty root, use it there, remove it (root)
	packaging/debian/test.sh

release: ## build the program, its SBOM (cargo-cyclonedx) and their checksums into target/dist/; TARGET= cross-builds
	packaging/release/build.sh

reproduce: ## build this commit in two directories and compare the programs
	packaging/release/reproduce.sh

kubernetes-test: bpf ## render the kustomize base and the Helm chart, and check them against the Kubernetes API (PyPI)
	$(CARGO) build --locked
	packaging/kubernetes/test.sh

SWAPS   ?= 200
PACKETS ?= 1000000

flood: deps bpf ## SWAPS hot reloads (200) under at least PACKETS (1000000) at each hook: none is lost (root)
	EBPF_APPLY_SWAPS=$(SWAPS) EBPF_APPLY_PACKETS=$(PACKETS) \
		$(CARGO) test --locked --test kernel watch::flood -- --nocapture --test-threads 1

FUZZ_TARGETS := $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
SECONDS ?= 60
# How long each target runs. CI gives a number of runs and a seed instead, so that it does the same each time.
FUZZ_LIMIT ?= -max_total_time=$(SECONDS)

# cargo-fuzz wants a nightly compiler for its flags only; RUSTC_BOOTSTRAP lets the stable one take them. There is no
# `unsafe` to sanitise in what is fuzzed: without a sanitizer it runs several times as fast.
fuzz: bpf ## fuzz each target for SECONDS (60) with cargo-fuzz; what is found lands in fuzz/artifacts/
	@fuzz/seed.sh
	@set -e; for target in $(FUZZ_TARGETS); do \
		(set -x; RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --sanitizer none $$target -- \
			$(FUZZ_LIMIT) -timeout=10 -rss_limit_mb=2048 -len_control=0 -print_final_stats=1 \
			-verbosity=0 $$(test $$target != manifest_parse || echo -dict=fuzz/manifest.dict)); \
	done

clean: ## remove what was built
	$(CARGO) clean
	rm -rf bpf/out fuzz/target
