# What a person types. CMake does the work; each target installs what it needs first.

JOBS  ?= $(shell nproc 2>/dev/null || echo 2)
CMAKE  = cmake -G Ninja -S . -B
PROGRAMS = teddyd teddyctl teddy-device teddy-sim teddy-conformance

# Finds of a sanitizer end the program, so that its test fails. Leaks count.
ASAN_ENV = ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1 \
           UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
# ThreadSanitizer cannot place its shadow on kernels that randomise mappings widely.
TSAN_ENV = TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 \
           $(shell setarch -R true 2>/dev/null && echo setarch -R)

# Places for tests: a test that computes takes two of them, one that waits takes one (cmake/TestCut.cmake), and each waits at times.
CTEST = ctest --output-on-failure --no-label-summary -j $$((6 * $(JOBS)))

.PHONY: help build demo test test-asan test-tsan fuzz fuzz-quick check fault size size-update test-rv32 bench bench-quick bench-programs clean \
        screenshots deb test-deb test-newcomer test-container sbom reproducible deps-build deps-test deps-check deps-chip deps-bench deps-package deps-container

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

build: deps-build ## the programs, in build/
	@$(CMAKE) build $(if $(wildcard build/build.ninja),--log-level=WARNING,) -Wno-dev
	@cmake --build build --target $(PROGRAMS)

demo: ## pair, connect and talk: the whole path on this machine
	@scripts/demo

test: deps-build deps-test ## every test
	@$(CMAKE) build -Wno-dev
	@cmake --build build
	@cd build && $(CTEST)

test-asan: deps-build deps-test ## the tests (cmake/TestCut.cmake) under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(CMAKE) build-asan -Wno-dev -DTEDDY_SANITIZE=address
	@cmake --build build-asan
	@cd build-asan && env $(ASAN_ENV) $(CTEST)

test-tsan: deps-build deps-test ## the tests of what has threads (cmake/TestCut.cmake) under ThreadSanitizer
	@$(CMAKE) build-tsan -Wno-dev -DTEDDY_SANITIZE=thread
	@cmake --build build-tsan
	@cd build-tsan && env $(TSAN_ENV) $(CTEST)

fuzz-quick: ## every fuzz target for 5 seconds
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=5

FUZZ_SECONDS ?= 600
fuzz: deps-build deps-check ## every fuzz target for FUZZ_SECONDS (default 600)
	@$(CMAKE) build-fuzz -Wno-dev -DTEDDY_SANITIZE=address -DTEDDY_FUZZ=ON -DCMAKE_C_COMPILER=clang
	@cmake --build build-fuzz --target fuzz_targets
	@fuzz/run $(FUZZ_SECONDS) build-fuzz

check: build deps-check ## style: formatting, banned calls, headers alone, proto/ and sdk/core/ freestanding, spec/
	@scripts/check build

fault: STORM_TOYS ?= 400
fault: STORM_KILLS ?= 40
fault: deps-build deps-test ## a longer storm: 400 toys while the server is killed and the network breaks
	@$(CMAKE) build -Wno-dev
	@cmake --build build
	@TEST_BUILD=$(CURDIR)/build STORM_TOYS=$(STORM_TOYS) STORM_KILLS=$(STORM_KILLS) /usr/bin/python3 tests/fault/storm_test.py

size: deps-chip ## what the SDK's core weighs on a 32-bit chip: its bounds, and docs/size_table.md
	@scripts/size

size-update: deps-chip ## writes docs/size_table.md anew: say why in the commit
	@scripts/size --update

test-rv32: deps-chip ## the tests of proto/ and sdk/core/ on a 32-bit chip, in an emulator
	@tests/rv32/run

bench: bench-programs ## Teddy beside its peers, in minutes: bench/RESULTS.md and bench/plots/
	@/usr/bin/python3 bench/run.py --build build

bench-quick: bench-programs ## the same in less than a minute, with fewer rounds; prints, and leaves bench/RESULTS.md alone
	@/usr/bin/python3 bench/run.py --build build --quick

bench-programs: deps-build deps-bench
	@$(CMAKE) build $(if $(wildcard build/build.ninja),--log-level=WARNING,) -Wno-dev
	@cmake --build build --target teddyd teddyctl teddy-sim bench_programs
	@cd bench && [ -d node_modules/ws ] || npm ci --silent --no-audit --no-fund

screenshots: deps-build deps-test ## the web console's pictures, docs/screenshots/
	@$(CMAKE) build $(if $(wildcard build/build.ninja),--log-level=WARNING,) -Wno-dev
	@cmake --build build --target $(PROGRAMS) e2e_modules
	@TEST_BUILD=$(CURDIR)/build TEST_MODULES=$(CURDIR)/build/tests/e2e/npm/ node tests/e2e/screenshots.mjs docs/screenshots

deb: deps-build deps-package ## the Debian packages, in build/deb/
	@scripts/deb build/deb

# MACHINE is a command that runs a command of the checkout in an empty Debian 12 and throws that away.
test-deb: deb ## MACHINE=…: installs, starts, upgrades and purges the package in an empty machine
	@test -n "$(MACHINE)" || { echo "make test-deb MACHINE='…': a command that runs a command in an empty Debian 12" >&2; exit 2; }
	@DEB_VERSION=99 scripts/deb build/deb-newer
	@tar -c build/deb/teddyd_*.deb build/deb-newer/teddyd_*.deb | \
	  $(MACHINE) sh -c 'tar -x -C /tmp && packaging/debian/lifecycle /tmp/build/deb/*.deb /tmp/build/deb-newer/*.deb'

# Here MACHINE has to have this machine's network, because the browser is on this one, as a newcomer's was there before.
test-newcomer: deps-build deps-test ## MACHINE=…: the README's first page, from nothing in an empty machine, in five minutes
	@test -n "$(MACHINE)" || { echo "make test-newcomer MACHINE='…': a command that runs a command in an empty Debian 12" >&2; exit 2; }
	@$(CMAKE) build $(if $(wildcard build/build.ninja),--log-level=WARNING,) -Wno-dev
	@cmake --build build --target e2e_modules
	@NEWCOMER_MACHINE="$(MACHINE)" TEST_PATIENCE=900 TEST_MODULES=$(CURDIR)/build/tests/e2e/npm/ node --test-reporter=spec tests/e2e/newcomer.mjs

test-container: deps-build deps-container ## builds the container's image, runs it, and lets a toy talk to it
	@$(CMAKE) build $(if $(wildcard build/build.ninja),--log-level=WARNING,) -Wno-dev
	@cmake --build build --target teddy-device
	@packaging/container/lifecycle build

sbom: build ## what is linked into the programs and embedded in them: build/sbom.cdx.json
	@scripts/sbom build/teddyd build/teddyctl build/teddy-device >build/sbom.cdx.json && echo build/sbom.cdx.json

reproducible: deps-build deps-package ## builds packages and programs twice, elsewhere, and compares them bit for bit
	@scripts/reproducible

clean: ## removes what was built (the demo's data stays in demo-data/)
	rm -rf build build-asan build-tsan build-fuzz

deps-build:
	@scripts/deps build
deps-test:
	@scripts/deps test
deps-check:
	@scripts/deps check
deps-chip:
	@scripts/deps chip
deps-bench:
	@scripts/deps bench
deps-package:
	@scripts/deps package
deps-container:
	@scripts/deps container
