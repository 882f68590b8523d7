# Two commands are enough: `make demo` shows what Lathe does, `make test` proves it. Both install the Debian packages they need.
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60

.PHONY: demo starter test build packages deb docs format lint perf coverage asan tsan fuzz check-more clean

demo: build
	@./tools/demo.sh

# Makes models/starter-q8_0.gguf again, from seeds; hours. See docs/starter.md.
starter: build
	@cmake --build build/release -j $(JOBS) --target lathe_make_starter
	@./tools/starter.sh

test:
	@echo "== packages (build, run, test)"
	@./tools/install-packages.sh test
	@./tools/install-clients.sh
	@echo "== build (release, with tests)"
	@cmake --preset release -DLATHE_TESTS=ON >build-test.log 2>&1 || { cat build-test.log; exit 1; }
	@rm -f build-test.log
	@cmake --build build/release -j $(JOBS)
	@echo "== tests"
	@ctest --test-dir build/release --output-on-failure -j $(JOBS)

# Keeps what an earlier `make test` chose, so that the two commands share one build.
build: packages
	@echo "== build (release)"
	@test -f build/release/build.ninja || cmake --preset release -DLATHE_TESTS=OFF
	@cmake --build build/release -j $(JOBS) --target lathe

packages:
	@echo "== packages (build, run)"
	@./tools/install-packages.sh run

# The tables of docs/*.md, from the program's descriptors.
docs:
	@cmake --preset release -DLATHE_TESTS=ON >/dev/null
	@cmake --build build/release -j $(JOBS) --target lathe_doc_tables
	@build/release/tests/lathe_doc_tables docs --write

format:
	find src tests fuzz bench -name '*.cpp' -o -name '*.h' -o -name '*.inl' | xargs clang-format -i

# What compilers and tests do not see.
lint:
	@./tools/install-packages.sh lint
	@./tools/headers_alone.py
	@JOBS=$(JOBS) ./tools/tidy.sh

# Ratios of kernels and steps beside the recorded ones; RECORD=1 records them anew.
perf:
	@./tools/install-packages.sh unit
	@cmake --preset release -DLATHE_TESTS=ON -DLATHE_BENCH=ON >/dev/null
	@cmake --build build/release -j $(JOBS) --target lathe lathe_ratios
	@./tools/perf.py build/release/bench/lathe_ratios build/release/src/lathe $(if $(RECORD),--record)

# How many lines of each room the unit tests run.
coverage:
	@./tools/install-packages.sh unit
	@cmake --preset coverage >/dev/null && cmake --build build/coverage -j $(JOBS)
	@ctest --test-dir build/coverage --output-on-failure -j $(JOBS) -E '^(e2e|clients)\.'
	@./tools/coverage.py build/coverage

# What `make test` has no time for: sanitizers, fuzzers, a long run, other systems.
check-more:
	@./tools/check_more.py --jobs $(JOBS)

asan tsan:
	@./tools/install-packages.sh test
	@./tools/install-clients.sh
	cmake --preset $@ && cmake --build build/$@ -j $(JOBS)
	ctest --test-dir build/$@ --output-on-failure -j $(JOBS)

FUZZERS := $(notdir $(basename $(wildcard fuzz/*_fuzz.cpp)))

# What it learns stays in build/fuzz/corpus, what it finds in build/fuzz.
fuzz:
	@./tools/install-packages.sh fuzz
	cmake --preset $@ && cmake --build build/$@ -j $(JOBS) --target $(FUZZERS)
	@for name in $(FUZZERS); do \
	  echo "== $$name, $(FUZZ_SECONDS) s"; \
	  mkdir -p build/fuzz/corpus/$$name; \
	  build/fuzz/fuzz/$$name -max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1 -verbosity=0 \
	    -artifact_prefix=build/fuzz/$$name- build/fuzz/corpus/$$name || exit 1; \
	done

# A Debian package of this machine's architecture and release: build/release/lathe_VERSION_ARCHITECTURE.deb
deb: build
	@./tools/install-packages.sh pack
	@cmake --build build/release -j $(JOBS) --target lathe_written
	@cd build/release && cpack -G DEB

clean:
	rm -rf build
