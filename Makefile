# What a newcomer, a developer and CI run. `make` alone lists the targets.
#
# Variables: DATA=folder (demo), ARGS=... (handed to pytest), PYTHON=... (interpreters to try, first that fits wins).
# pip takes its index and proxy from the user's own configuration.

PYTHON ?= python3 python3.13 python3.12 python3.11
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --prefer-binary
# Stamps inside .venv say what was installed into it, so that a second run starts at once and `make clean` forgets all.
MADE   := $(VENV)/.stamp-venv
BASE   := $(VENV)/.stamp-base
DEV    := $(VENV)/.stamp-dev
LEARNED := $(VENV)/.stamp-learned
# Files of tests side by side, four at most: they wait for sockets, and times are asserted in some. 25 minutes of processor
# time become 13 on two cores.
SIDE_BY_SIDE := --numprocesses auto --maxprocesses 4 --dist loadfile

# Kernels of all codecs, once: under coverage and in each process by itself the first ones take three minutes.
COMPILE := from tests.golden.write_golden import payloads; [make() for make in payloads().values()]

.DEFAULT_GOAL := help
.PHONY: help demo viewer learned test test-slow test-faults test-browser lint bench clean
.DELETE_ON_ERROR:

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(BASE) ## Two nodes, ten generations, one table; DATA=folder takes your own files
	@$(BIN)/mripacs demo $(DATA)

viewer: $(BASE) ## A node with the OHIF viewer at http://127.0.0.1:8112; DIRECTORY=folder is its archive
	@echo "The viewer: http://127.0.0.1:8112/   the node's own page: http://127.0.0.1:8112/node/"
	@$(BIN)/mripacs $(if $(DIRECTORY),--directory $(DIRECTORY)) serve --viewer

test: $(DEV) ## All tests but the slow ones, the faults and the browser's, with branch coverage
	@$(BIN)/python -c "$(COMPILE)"
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not slow and not faults and not browser" --cov $(ARGS)

test-slow: $(DEV) ## Tests that take minutes: image build steps, long chains
	@$(BIN)/python -m pytest -m slow $(ARGS)

test-faults: $(DEV) ## Kills, faults and crowds, 200 kills and half an hour; ARGS="--kills 20" is CI's four minutes
	@$(BIN)/python -m pytest -m faults --kills 200 -o faulthandler_timeout=1800 $(ARGS)

test-browser: $(DEV) ## The pages and OHIF in Chromium; SCREENSHOTS=folder keeps pictures
	@$(BIN)/python -m pytest -m browser $(ARGS)

learned: $(LEARNED) ## Install torch and fastmri, for k-space and learned previews and their tests

lint: $(DEV) ## Format, lint, types, and who may import whom
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(DEV) ## Time the benchmarks (make test only runs each once)
	@$(BIN)/python -m pytest --benchmark-enable --benchmark-only -p no:randomly $(ARGS)

clean: ## Remove .venv, builds, caches and the demo's data
	rm -rf $(VENV) build dist demo-data .coverage .coverage.* htmlcov .benchmarks .hypothesis
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find mripacs migrations tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE):
	@without_venv=; \
	for python in $(PYTHON); do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  "$$python" -c 'import ensurepip, venv' 2>/dev/null || { without_venv=$$python; continue; }; \
	  echo "Making $(VENV) with $$("$$python" --version)"; \
	  "$$python" -m venv --clear $(VENV) && touch $@; exit; \
	done; \
	if [ -n "$$without_venv" ]; then \
	  echo "$$without_venv lacks venv or ensurepip. On Debian and Ubuntu: apt install python3-venv" >&2; \
	else \
	  echo "No Python 3.11 or later among: $(PYTHON). Install one, or name it: make PYTHON=/path/to/python3" >&2; \
	fi; \
	exit 1

$(BASE): pyproject.toml $(MADE)
	@echo "Installing mripacs and what it needs (some minutes the first time)"
	@$(PIP) --editable '.[demo]'
	@touch $@

$(DEV): pyproject.toml $(MADE)
	@echo "Installing mripacs and the developers' tools (some minutes the first time)"
	@$(PIP) --editable '.[dev]'
	@touch $(BASE) $@

# The pinned torch is the one that the figures were measured with. fastmri's own requirements name torchvision, whose
# build from PyPI breaks beside a CPU torch; nothing here needs it.
$(LEARNED): $(DEV)
	@echo "Installing torch and fastmri"
	@$(PIP) torch==2.13.0 'h5py>=3.10' 'safetensors>=0.4'
	@$(PIP) --no-deps fastmri==0.3.0
	@touch $@
