# Everything that a newcomer, a developer or the CI runs. `make help` lists it.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
VLLM   ?= .venv-vllm
AT_ONCE ?= 2
# One torch thread and no spinning: small models are fastest so, and runs beside each other do not starve.
QUIET  := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE

.PHONY: help setup train smoke test test-gpu test-vllm lint types check conformance format bench bench-train bench-samplers bench-verifiers browser docs wheel clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 18

setup: $(READY) ## .venv with the pinned versions and rftlab in it, editable
$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[dev]"
	@touch $(READY)

train: $(READY) ## set up, then the first run: BOTS on the bundled model, about two minutes on a CPU
	$(QUIET) $(BIN)/rftlab train sampler=bots

smoke: $(READY) ## six small steps: does everything hang together?
	$(QUIET) $(BIN)/rftlab train sampler=bots budget=smoke name=smoke

test: $(READY) ## the whole CPU test suite, two files at a time (AT_ONCE=2)
	$(QUIET) $(BIN)/python -m pytest -m "not gpu" -n $(AT_ONCE) --dist loadfile

test-gpu: $(READY) ## the tests that need an accelerator
	$(BIN)/python -m pytest -m gpu

test-vllm: $(VLLM)/.ready ## the tests with a real vLLM, on the CPU, in a .venv-vllm of its own
	$(QUIET) $(VLLM)/bin/python -m pytest tests/with_vllm
$(VLLM)/.ready: pyproject.toml constraints-vllm.txt
	test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install -q --no-deps -r constraints-vllm.txt
	$(VLLM)/bin/python -m pip install -q --no-deps -e .
	@touch $@

lint: $(READY) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy on the core, the config and the samplers
	$(BIN)/mypy

check: lint types test ## all of the above, as the CI does

conformance: $(READY) ## every crossing of selectors, allocators and admissions under the contract: about 20 minutes
	$(QUIET) $(BIN)/python scripts/conformance.py

docs: $(READY) ## docs/samplers.md, from the headers, options and docstrings of the samplers
	$(BIN)/python scripts/write_sampler_docs.py

format: $(READY) ## let ruff repair what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## rollout speed against generate()
	$(QUIET) $(BIN)/python scripts/bench_rollout.py

bench-train: $(VLLM)/.ready ## seconds a step against TRL, which is beside vLLM, and the share of the machine's speed
	$(VLLM)/bin/python scripts/bench_train.py --name tiny-1-thread
	$(VLLM)/bin/python scripts/bench_train.py --name tiny-2-threads threads=2
	$(VLLM)/bin/python scripts/bench_train.py --name tiny-coin --reward coin algo.lr=1e-5
	$(VLLM)/bin/python scripts/bench_train.py --name tiny-coin-2-threads --reward coin algo.lr=1e-5 threads=2
	$(VLLM)/bin/python scripts/bench_train.py --name tiny-vllm --engine vllm --steps 5 --micro-batches 4
	$(QUIET) $(VLLM)/bin/python scripts/bench_share.py

bench-samplers: $(READY) ## time and memory of every sampler on pools of a thousand to a million tasks
	$(QUIET) $(BIN)/python scripts/bench_samplers.py

bench-verifiers: $(READY) ## verdicts a second of every verifier, what hanging completions cost, memory over many
	$(QUIET) $(BIN)/python scripts/bench_verifiers.py

browser: ## Debian's Chromium, in which the pages are tested; without one those tests are skipped
	command -v chromium >/dev/null || (apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null)

wheel: $(READY) ## dist/*.whl and the source archive
	$(BIN)/python -m build

clean: ## what tools left behind; outputs/ and .venv stay
	rm -rf build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find src tests scripts examples -name __pycache__ -type d -prune -exec rm -rf {} +
