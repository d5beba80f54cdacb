# Everything a checkout needs. `make` alone lists the targets.
SHELL := /usr/bin/env bash
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Most tests wait for sound to pass in real time. Those on the local models, which use every core, run alone.
PARALLEL := -n 2 --dist worksteal

.NOTPARALLEL:
.PHONY: help setup product weights run talk test test-tools lint test-newest test-full livekit-server web bench lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' Makefile

setup: product weights ## .venv with the product (.venv/bin/story) and the weights of its on-device models

product:
	@scripts/library libgomp.so.1 libgomp1 "the on-device language model"
	@scripts/venv $(VENV) requirements/runtime.txt

weights:
	@$(BIN)/story models pull --yes

run: setup ## talk with the storyteller in the browser, on this machine's own models (ARGS=--open: opens the page)
	@$(BIN)/story run --transport web --intro-stack local --story-stack local $(ARGS)

talk: setup ## the same in this terminal, typed (ARGS=--voice: spoken)
	@scripts/library libportaudio.so.2 libportaudio2 "sound (story talk --voice)"
	@$(BIN)/story talk --intro-stack local --story-stack local $(ARGS)

test: product test-tools lint ## lint, types, and all tests but the long ones (ARGS goes to pytest)
	@$(BIN)/python -m pytest $(PARALLEL) -m "not full and not long and not weights" $(ARGS)
	@$(BIN)/python -m pytest -m "not full and weights" $(ARGS)
	@$(MAKE) --no-print-directory test-newest

test-tools:
	@scripts/library libportaudio.so.2 libportaudio2 "sound"
	@scripts/venv $(VENV) requirements/test.txt
	@scripts/browser
	@command -v redis-server >/dev/null || scripts/debian redis-server || echo "Going on without: a test is skipped." >&2
	@scripts/livekit-client || echo "Going on: without LiveKit's client a test in the browser is skipped." >&2
	@scripts/livekit-server || echo "Going on: without one on the PATH, the tests that need it are skipped." >&2
	@$(BIN)/story models pull --all --yes || echo "Going on: the tests that need those weights are skipped." >&2

lint: test-tools
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict

# The fast tests once more, on the newest Python of this machine where that is newer than the one of $(VENV).
test-newest:
	@newest=$$(scripts/python --newest); \
	minor() { "$$1" -c 'import sys; print(sys.version_info[1])'; }; \
	if [ -n "$$newest" ] && [ "$$(minor "$$newest")" -gt "$$(minor $(BIN)/python)" ]; then \
	    dir=.venv-3.$$(minor "$$newest"); \
	    PIP_NO_COMPILE=1 scripts/venv $$dir requirements/test.txt "$$newest" && \
	    $$dir/bin/python -m pytest $(PARALLEL) -m "not full and not weights and not slow" $(ARGS); \
	fi

test-full: product test-tools ## the long tests (at most 40 minutes on two cores)
	@$(BIN)/python -m pytest $(PARALLEL) -m "long and not full" $(ARGS)
	@$(BIN)/python -m pytest -m full $(ARGS)

livekit-server: ## a LiveKit server for `story run --dev-server` and the tests, built from source (needs Go)
	@scripts/livekit-server

web: ## LiveKit's client for browsers among the files of the page, from npm: `story run` then has one in LiveKit mode, too
	@scripts/livekit-client

bench: ## the benchmarks there are, and how to run one
	@for file in benchmarks/*.py; do \
	    [ -e "$$file" ] || { echo "none yet"; exit; }; \
	    printf '%-34s %s\n' "$$file" "$$(sed -n '/^"""/ { s/^"""//; s/"""$$//; p; q; }' "$$file")"; \
	done; echo; echo "Run one: $(BIN)/python FILE"

lock: ## requirements/*.txt anew from pyproject.toml (UPGRADE=1: with the newest versions it allows)
	@uv=$$(command -v $(BIN)/uv uv | head -n 1); \
	[ -n "$$uv" ] || { echo "make lock needs uv: $(BIN)/pip install uv"; exit 1; }; \
	compile="$$uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	    --no-emit-index-url --no-emit-find-links $${UPGRADE:+--upgrade} --group build"; \
	$$compile --custom-compile-command "make lock" -o requirements/runtime.txt >/dev/null && \
	$$compile --custom-compile-command "make lock" --extra kokoro --group test -c requirements/runtime.txt \
	    -o requirements/test.txt >/dev/null && \
	grep -c '^[a-z]' requirements/*.txt

clean: ## deletes what make and the tests made here (the weights stay: see story models remove)
	rm -rf .venv .venv-3.* .tools build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info artifacts \
	    tests/transports/web/browser/node_modules tools/livekit-client/node_modules
	find story tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +
