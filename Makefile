# Everything that a person types here. `make` alone explains itself.

PYTHON      ?= python3
VENV        := .venv
BIN         := $(VENV)/bin
STAMPS      := $(VENV)/stamps
OUT         ?= reports/out
PYTEST_ARGS ?=
FUZZ_TIME   ?= 10m
SCALE       ?= 1
TARGETS     ?= scenarios/targets.toml
SAMPLE      ?= 0.02
SEED        ?= 1

# Trees that exist in this checkout; what is not there is neither built nor checked.
PACKAGES    := $(wildcard conformance scenarios fuzz reports)
FUZZ        := $(wildcard conformance/cli/fuzz.py)
PYTHON_TREE := $(PACKAGES) $(wildcard tests conftest.py benchmarks reference_impl/python)
CRATES      := $(wildcard reference_impl/Cargo.toml)
REFERENCE   := $(wildcard reference_impl/pyproject.toml)
PEER_CRATES := $(wildcard scenarios/peers/Cargo.toml)
PEER_GO     := $(wildcard scenarios/peers/*/go.mod)
CARGO       := $(shell command -v cargo 2>/dev/null)
GOFMT       := $(shell command -v gofmt 2>/dev/null)
IN_CRATES   := cd reference_impl && cargo

RUST_INPUTS := $(CRATES) $(REFERENCE) $(wildcard reference_impl/Cargo.lock) \
               $(shell find reference_impl -name target -prune -o \( -name '*.rs' -o -name 'Cargo.toml' -o -path '*/patches/*' \) -type f -print 2>/dev/null)
REFERENCE_STAMP := $(if $(and $(REFERENCE),$(CARGO)),$(STAMPS)/reference)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup certify test test-python test-rust check check-python check-rust check-peers check-tree fmt pages \
        deviants peers fuzz-tools nightly campaign lock clean

help: ## this list
	@echo "usage: make TARGET"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "variables: PYTHON=$(PYTHON)  OUT=$(OUT)  PYTEST_ARGS='-k name'  FUZZ_TIME=$(FUZZ_TIME)  SCALE=$(SCALE)"

# --- environment -----------------------------------------------------------------------------------

setup: $(STAMPS)/suite $(REFERENCE_STAMP) ## .venv with locked requirements, the suite, the reference
ifeq ($(CARGO),)
	@$(if $(REFERENCE),echo "note: without cargo the reference implementation is not built (rustup: https://rustup.rs)")
endif

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "the venv module is missing: install it (Debian: apt-get install python3-venv)"; exit 1; }

$(STAMPS)/requirements: requirements/dev.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/suite: pyproject.toml $(STAMPS)/requirements
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Without build isolation the build finds maturin by PATH.
$(STAMPS)/reference: $(RUST_INPUTS) $(STAMPS)/requirements
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e reference_impl
	@touch $@

# --- use -------------------------------------------------------------------------------------------

certify: setup ## judge the embedded server; report in reports/out/index.html
	$(BIN)/wtconform run --out $(OUT)

test: test-python test-rust ## all tests of the project itself

test-python: setup
	$(BIN)/python -m pytest -n auto $(PYTEST_ARGS) tests

test-rust:
	$(if $(and $(CRATES),$(CARGO)),$(IN_CRATES) test --workspace --locked,@echo "no crates to test")
	$(if $(and $(CRATES),$(CARGO)),$(IN_CRATES) test -p wt-channel --release --locked --test loom --target-dir target/loom --config 'build.rustflags=["--cfg=loom"]')

# What the tests of foreign servers and the comparison of codecs run; tests of what is not built are skipped with a reason.
peers: setup ## build the foreign servers and the codec host of the core
	$(BIN)/python -m scenarios.peers build
	$(if $(and $(CRATES),$(CARGO)),$(IN_CRATES) build --quiet --package wt-fuzz-host --locked,@echo "no crates to build")

CARGO_FUZZ := 0.13.2

fuzz-tools: $(BIN)/cargo-fuzz ## cargo-fuzz, for the core guided by coverage

$(BIN)/cargo-fuzz: | $(BIN)/python
	$(if $(CARGO),cargo install --quiet --locked --root $(VENV) cargo-fuzz@$(CARGO_FUZZ),@echo "cargo not found: the core is not fuzzed")

deviants: setup ## each deviant against its own cases, and a seeded sample of the rest
	$(BIN)/wtconform deviants --sample $(SAMPLE) --seed $(SEED)

CAMPAIGN = $(if $(FUZZ),$(BIN)/wtconform fuzz --max-time $(FUZZ_TIME),{ echo "this checkout has no wtconform fuzz"; exit 2; })

# Each part runs whatever the ones before it found; a failure of any is a failure of all.
nightly: setup ## the long checks: the whole kill matrix, all targets of TARGETS, then a campaign
	@failed=0; \
	$(BIN)/wtconform deviants || failed=1; \
	$(BIN)/python -m conformance.deviants.choices || failed=1; \
	$(BIN)/wtconform matrix $(TARGETS) --out $(OUT)/matrix || failed=1; \
	$(CAMPAIGN) || failed=1; \
	exit $$failed

# What cannot be built is a part that is skipped, with the reason.
campaign: setup ## SCALE of each long campaign: fuzzing, its self-test and figures, batons, core, soak; results in docs/campaigns.md
	-$(MAKE) --no-print-directory peers
	-$(MAKE) --no-print-directory fuzz-tools
	$(BIN)/python -m scenarios.campaigns.record --scale $(SCALE)

# --- checks ----------------------------------------------------------------------------------------

check: check-python check-rust check-peers check-tree ## format, lint, types, layers, generated pages, locks

check-python: setup
	$(BIN)/ruff check $(PYTHON_TREE)
	$(BIN)/ruff format --check $(PYTHON_TREE)
	$(BIN)/mypy --strict $(PACKAGES)
	$(if $(REFERENCE),cd reference_impl && ../$(BIN)/mypy)
	$(BIN)/lint-imports

check-rust:
	$(if $(and $(CRATES),$(CARGO)),$(IN_CRATES) fmt --all --check,@echo "no crates to check")
	$(if $(and $(CRATES),$(CARGO)),$(IN_CRATES) clippy --workspace --all-targets --locked -- -D warnings)

check-peers:
	$(if $(and $(PEER_CRATES),$(CARGO)),cd scenarios/peers && cargo fmt --all --check,@echo "no foreign peers in Rust to check")
	$(if $(and $(PEER_GO),$(GOFMT)),@bad=$$(gofmt -l $(dir $(PEER_GO))); [ -z "$$bad" ] || { echo "gofmt: $$bad"; exit 1; })

check-tree: setup
	$(BIN)/python -m conformance.requirements.page --check docs/coverage.md
	$(BIN)/python -m pytest -q tests/project/test_project_tree.py tests/project/test_project_locks.py

fmt: $(STAMPS)/requirements ## format Python and Rust
	$(BIN)/ruff check --fix-only --quiet $(PYTHON_TREE)
	$(BIN)/ruff format $(PYTHON_TREE)
	$(if $(and $(CRATES),$(CARGO)),$(IN_CRATES) fmt --all)

pages: setup ## write the generated pages anew
	$(BIN)/python -m conformance.requirements.page docs/coverage.md

lock: ## resolve requirements/*.in anew (needs uv)
	@command -v uv >/dev/null || { echo "uv is needed to resolve for all Python versions: pip install uv"; exit 1; }
	cd requirements && for name in base dev; do \
	  uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
	    $$name.in -o $$name.txt || exit 1; \
	done

clean: ## remove environment, build results, caches and reports
	rm -rf $(VENV) $(OUT) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf .import_linter_cache
	$(if $(and $(CRATES),$(CARGO)),$(IN_CRATES) clean)
