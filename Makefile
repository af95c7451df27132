# The one command runner. `make help` lists the targets.
#
# Needs: Debian 12 or alike with rustc 1.95, CPython 3.11 with pip, GNU make, gcc/g++ and git. Everything else is
# installed into the project's own folders (.tools, .venv, target).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

# One cargo target directory for every step; set CARGO_TARGET_DIR to put it elsewhere.
export CARGO_TARGET_DIR ?= $(CURDIR)/target
export DAGSTER_DISABLE_TELEMETRY := 1
export GX_ANALYTICS_ENABLED := false
# pyo3 asks the interpreter these questions; giving maturin's answers to plain cargo too keeps one build valid for both.
export PYO3_NO_PYTHON := 1

UV_VERSION := 0.13.9
UV := $(or $(shell command -v uv 2>/dev/null),$(CURDIR)/.tools/bin/uv)
# After `setup` the environment is up to date: no second check at every step.
RUN := $(UV) run --no-sync

CARGO_CRATES := --workspace --exclude py_rt_core --locked
say = @printf '\n\033[1m== %s\033[0m\n' "$(1)"

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN {FS = ":.*## "} /^[a-z_-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(UV) ## Install uv if absent, the Python environment, py_rt_core and the commands (into .venv).
	$(call say,setup: Python environment and native build)
	@$(UV) sync --locked

$(CURDIR)/.tools/bin/uv:
	$(call say,setup: uv $(UV_VERSION) into .tools)
	@python3 -m pip install --quiet --disable-pip-version-check --no-deps --target .tools "uv==$(UV_VERSION)"

.PHONY: build
build: setup ## Build everything that is built: same as setup, then show what stands.
	@$(RUN) py_rt --version
	@$(RUN) py_rt_certify --version
	@$(RUN) py_rt_feed --version
	@$(RUN) py_rt_live --version
	@$(RUN) py_rt_venue_server --version

.PHONY: demo
demo: setup ## The whole system on real data: assets, bundle, paper trading, replay.
	@$(RUN) py_rt demo

.PHONY: test
test: setup lint proto-check test-rust test-python ## All tests of both languages, lints and type checks included.

.PHONY: test-rust
test-rust: $(UV)
	$(call say,test: Rust)
	@export PY_RT_SKIPS="$$(mktemp)"; trap 'sort -u "$$PY_RT_SKIPS"; rm -f "$$PY_RT_SKIPS"' EXIT; \
	if cargo nextest --version >/dev/null 2>&1; then cargo nextest run --no-fail-fast $(CARGO_CRATES); else cargo test --no-fail-fast $(CARGO_CRATES) --all-targets; fi
	@cargo test $(CARGO_CRATES) --doc

.PHONY: test-python
test-python: $(UV)
	$(call say,test: Python)
	@$(RUN) pytest

.PHONY: lint
lint: setup ## rustfmt, clippy, rustdoc links, ruff, mypy --strict, import-linter.
	$(call say,lint: Rust)
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets --locked -- -D warnings
	@cargo fmt --all --check --manifest-path fuzz/Cargo.toml
	@cargo clippy --all-targets --locked --manifest-path fuzz/Cargo.toml -- -D warnings
	@RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked --quiet
	$(call say,lint: Python)
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy
	@$(RUN) lint-imports

.PHONY: proto
proto: setup ## Write both languages' messages from proto/ (commit what changed).
	@$(RUN) python proto/generate.py

.PHONY: proto-check
proto-check: setup
	$(call say,proto: the committed messages equal their source)
	@$(RUN) python proto/generate.py --check

.PHONY: fuzz
fuzz: setup ## Feed everything that reads foreign bytes with made-up input: SECONDS=60 for each target.
	@$(RUN) python fuzz/run.py --seconds $(or $(SECONDS),60)

.PHONY: bench
bench: setup ## Measure: one table, each row beside its anchor where there is one.
	@$(RUN) python benches/run.py

.PHONY: peers
peers: setup ## Foreign clients, in an environment of their own (.peers), against the simulated venue.
	$(call say,peers: the clients of others)
	@$(UV) venv --quiet --allow-existing --python 3.11 .peers
	@$(UV) pip install --quiet --python .peers/bin/python --no-deps --requirement tests/peers/requirements.txt
	@$(RUN) pytest tests/peers

.PHONY: ui
ui: setup ## Dagster's webserver and daemon with the project loaded.
	@$(RUN) py_rt ui

.PHONY: format
format: setup ## Rewrite both languages' sources in the house format.
	@cargo fmt --all
	@$(RUN) ruff format .
	@$(RUN) ruff check --fix .

.PHONY: clean
clean: ## Remove what was built and installed; recorded runs and tables (.py_rt) stay.
	rm -rf target build dist wheel.data .venv .tools .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
