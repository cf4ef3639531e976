PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-gpu lint format types layers bench docs check audit clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-10s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt torch==$$(sed -n 's/^torch==//p' constraints.txt)
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev,judges]'
	@touch $(STAMP)

setup: $(STAMP) ## make .venv (the other targets do it by themselves)

demo: $(STAMP) ## fit, eval and compare-losses on the embedded data set, in at most 4 minutes
	$(BIN)/segtrain demo demo --overwrite
	$(BIN)/segtrain fit --config demo/config.yaml --run demo/fit
	$(BIN)/segtrain eval --run demo/fit --images demo/test/images --labels demo/test/labels --out demo/eval
	$(BIN)/segtrain compare-losses --config demo/config.yaml --run demo/compare training.epochs=4 training.steps_per_epoch=25

test: $(STAMP) ## the whole test suite, in 10 to 11 minutes on two cores
	@$(BIN)/python -m compileall -q segtrain  # else each process of a test does, where PYTHONDONTWRITEBYTECODE is set
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow and not gpu"

test-slow: $(STAMP) ## more of what the quick tests try once: kills at random moments
	$(BIN)/python -m pytest -m slow

test-gpu: $(STAMP) ## the tests that need a GPU
	$(BIN)/python -m pytest -m gpu

lint: $(STAMP) ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP) ## let ruff mend what it can
	$(BIN)/ruff check --fix -q .
	$(BIN)/ruff format -q .

types: $(STAMP) ## mypy, strict
	$(BIN)/mypy

layers: $(STAMP) ## import-linter: no room imports one above or beside it
	$(BIN)/lint-imports

bench: $(STAMP) ## the figures of docs/benchmarks.md
	$(BIN)/python -m benchmarks

docs: $(STAMP) ## the pages that are made from the code
	$(BIN)/python -m segtrain.reports.loss_cards > docs/losses.md
	$(BIN)/python -m segtrain.reports.metric_cards > docs/metrics.md
	$(BIN)/python -m tests.faults.table > docs/reliability.md

check: lint types layers ## everything but the tests

audit: $(STAMP) ## known faults of the pinned packages (asks the network, so it is no part of check)
	$(PYTHON) -m venv .venv/audit
	.venv/audit/bin/pip install --disable-pip-version-check -q pip-audit==2.9.0
	sed 's/+cpu$$//' constraints.txt > .venv/audit/pinned.txt
	.venv/audit/bin/pip-audit --strict --disable-pip --no-deps -r .venv/audit/pinned.txt

clean: ## remove what make made
	rm -rf .venv demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
