# `make` or `make help` lists the targets. Needs Rust and Python 3.9+; all else goes into .venv.
PYTHON ?= python3
# The cargo profile of the module that the tests and the examples import.
PROFILE ?= fast
# Worker processes of pytest.
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
# Never --workspace: the Python crate turns on a feature that the core is not tested with.
CRATES := -p wengert-kernels -p wengert
TORCH := 2.13.0
WHEELS := $(wildcard ../shared/wheels)
RUST := Cargo.toml Cargo.lock $(shell find rust -name '*.rs' -o -name Cargo.toml)

.DEFAULT_GOAL := help
.PHONY: help demo build test test-rust test-python check gates lint stubs bench wheel fmt clean \
	miri memcheck

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: build ## build the library into .venv and run examples/autograd_basics.py
	@$(BIN)/python examples/autograd_basics.py

build: $(VENV)/.built ## build the library into .venv (PROFILE=release for full optimisation)

test: test-rust test-python ## every test: Rust, documentation, Python against torch

test-rust: ## tests of the Rust crates, and their documentation's examples
	@if cargo nextest --version >/dev/null 2>&1; then cargo nextest run $(CRATES); \
	else cargo test $(CRATES) --lib --bins --tests; fi
	cargo test $(CRATES) --doc

test-python: build $(VENV)/.tools $(VENV)/.torch ## tests of the Python module, most against torch
	$(BIN)/python -m pytest -n $(JOBS) tests

check: lint gates test stubs ## what CI runs: the tests, and every check of form

lint: $(VENV)/.tools ## rustfmt, clippy, ruff
	cargo fmt --all --check
	cargo clippy -q $(CRATES) --all-targets -- -D warnings
	cargo clippy -q -p wengert-python -- -D warnings
	$(BIN)/ruff format --check
	$(BIN)/ruff check

gates: ## sizes of files and lines, unsafe only in named files and explained
	$(PYTHON) .ci/gates.py

stubs: build $(VENV)/.tools ## the stubs name what the module has, and type-check
	$(BIN)/python .ci/stubs.py
	$(BIN)/basedpyright

bench: $(VENV)/.torch ## time the same lines under torch and wengert (ARGS=--quick, ...)
	@$(MAKE) --no-print-directory PROFILE=release build
	$(BIN)/python benches/versus_torch.py $(ARGS)

# Needs `rustup component add miri rust-src --toolchain nightly`; minutes (ARGS='-- hooks': fewer).
miri: ## the core's tape tests under miri (ARGS='-- hooks' for those of that name)
	MIRIFLAGS='-Zmiri-permissive-provenance -Zmiri-disable-isolation -Zmiri-ignore-leaks' \
	CARGO_TARGET_DIR=target/miri cargo +nightly miri test -q -p wengert --test tape $(ARGS)

memcheck: build ## random programs under AddressSanitizer (ARGS='--count 3000 tests/test_hooks.py')
	PYTHON=$(BIN)/python .ci/memcheck $(ARGS)

wheel: $(VENV)/.created ## build the release wheel, and print its size
	$(BIN)/maturin build --release --strip --out dist
	@ls -l dist/*.whl | awk '{printf "%s  %.2f MB\n", $$NF, $$5 / 1e6}'

fmt: $(VENV)/.tools ## format the Rust and Python sources
	cargo fmt --all
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## remove everything that was built
	rm -rf $(VENV) target dist python/wengert/*.so
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

$(VENV)/.created:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install 'maturin>=1.9,<2'
	@touch $@

# A changed PROFILE is a changed build: its name is kept in a file that the stamp depends on.
$(VENV)/.profile: $(VENV)/.created .FORCE
	@echo $(PROFILE) | cmp -s - $@ || echo $(PROFILE) >$@
.PHONY: .FORCE
.FORCE:

$(VENV)/.built: $(VENV)/.profile pyproject.toml $(RUST)
	$(BIN)/maturin develop -q --profile $(PROFILE)
	@touch $@

$(VENV)/.tools: $(VENV)/.built
	$(BIN)/python .ci/requirements.py test | xargs $(PIP) install
	@touch $@

# torch is the oracle. The first source that has it wins: wheels beside the repository, PyTorch's
# small CPU builds, the registry.
$(VENV)/.torch: $(VENV)/.created
	$(BIN)/python -c 'import torch' 2>/dev/null \
	|| { test -n '$(WHEELS)' && $(PIP) install --find-links '$(WHEELS)' 'torch==$(TORCH)+cpu'; } \
	|| $(PIP) install --extra-index-url https://download.pytorch.org/whl/cpu 'torch==$(TORCH)+cpu' \
	|| $(PIP) install 'torch==$(TORCH)'
	@touch $@
