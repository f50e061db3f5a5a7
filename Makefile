# What people type. Everything runs from the locked environment in .venv, which `setup` makes.

FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON := $(or $(PYTHON),$(shell for p in python3 python3.13 python3.12 python3.11; do \
	if "$$p" -c '$(FITS)' 2>/dev/null; then echo "$$p"; break; fi; done))
BIN := .venv/bin
CODE := service models migrations benchmarks tools tests
TYPED := service models tools benchmarks
JOBS ?= 2
NUMERICS := $(addprefix tests/models/,networks/test_batch_independence.py networks/test_registry.py \
	networks/test_linear.py networks/spatiotemporal/test_convolution_numpy.py backtest/test_forecasters.py)

NEED_PYTHON = { test -n "$(PYTHON)" && $(PYTHON) -c '$(FITS)' 2>/dev/null; } || { \
	echo "Tplus needs Python 3.11, 3.12 or 3.13; install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }

UV_FLAGS := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -q

.DEFAULT_GOAL := help
.PHONY: help setup setup-backtest setup-dev run test test-numerics check mutants fix bench bench-night bench-compare screenshots lock audit pin-images clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

setup:  ## create .venv with everything the service needs
	@$(NEED_PYTHON) && $(PYTHON) tools/setup_env.py run

setup-backtest:  ## the same with what the garch baseline of `tplus backtest` needs
	@$(NEED_PYTHON) && $(PYTHON) tools/setup_env.py backtest

setup-dev:  ## the same with what tests and checks need
	@$(NEED_PYTHON) && $(PYTHON) tools/setup_env.py dev

run: setup  ## start the whole service; Ctrl-C ends it
	@exec $(BIN)/tplus up

test: setup-dev  ## run all tests
	@$(BIN)/python -m tools.find_browser "$$TPLUS_BROWSER" || true
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

# OpenBLAS chooses its kernels by processor and oneDNN sums in an order of its own: what holds with one choice alone
# fails here on any machine. A minute at most.
test-numerics: setup-dev  ## run the numeric tests as on another processor
	@OPENBLAS_CORETYPE=Haswell TF_ENABLE_ONEDNN_OPTS=0 $(BIN)/python -m pytest -q $(NUMERICS)

check: setup-dev  ## style, types and the rules of the house
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(TYPED)
	$(BIN)/lint-imports --no-logo

mutants: setup-dev  ## measure how many mutants the tests of six modules kill (some 15 minutes)
	@$(BIN)/python -m tools.mutation_score

fix: setup-dev  ## put right what can be put right by itself
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

bench: setup-dev  ## measure speed and accuracy against the goals
	@$(BIN)/python -m benchmarks.run

bench-night: setup-dev  ## measure whole nights of 50 to 2,000 symbols (many hours)
	@$(BIN)/python -m benchmarks.speed.night --whole

bench-compare: setup-dev  ## list the ratios that got worse by a tenth since they were recorded
	@$(BIN)/python -m benchmarks.compare

screenshots: setup-dev  ## take the README's pictures of the page anew (some minutes)
	@$(BIN)/python -m tools.find_browser "$$TPLUS_BROWSER"
	@$(BIN)/python -m tools.screenshots

lock:  ## write the lock files anew (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv; install it and run make lock again" >&2; exit 1; }
	echo uv | uv pip compile - $(UV_FLAGS) -o requirements/uv.txt
	uv pip compile pyproject.toml --extra tf $(UV_FLAGS) -o requirements/run.txt
	uv pip compile pyproject.toml -c requirements/run.txt $(UV_FLAGS) -o requirements/base.txt
	uv pip compile pyproject.toml --extra gpu -c requirements/run.txt $(UV_FLAGS) -o requirements/gpu.txt
	uv pip compile pyproject.toml --extra tf --extra backtest -c requirements/run.txt $(UV_FLAGS) -o requirements/backtest.txt
	uv pip compile pyproject.toml --extra tf --extra ray -c requirements/run.txt $(UV_FLAGS) -o requirements/ray.txt
	uv pip compile pyproject.toml --extra tf --extra backtest --extra dev -c requirements/run.txt -c requirements/ray.txt $(UV_FLAGS) -o requirements/dev.txt

audit: setup-dev  ## vulnerabilities, licences, secrets, bills of materials (var/audit)
	@$(BIN)/python -m tools.audit

pin-images: setup-dev  ## write the digests of the base images into .env (needs docker buildx)
	@$(BIN)/python -m tools.pin_images

clean:  ## remove .venv and every cache; databases in var/ stay
	rm -rf .venv mutants build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
