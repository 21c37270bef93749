# The words of this project: install check pretend test board demo bench reproduce kills campaign soak gpu, and test-runtime. Each sets up .venv by itself.
#
#   make demo                      the whole way at a small size, in minutes
#   make pretend                   once, for tests of what runs on a GPU: real bindings on stub libraries, in minutes; without
#                                  it those tests skip
#   make test                      all tests, by two processes; PYTEST_ARGS="-m 'not slow' -x" are handed on
#   make board                     as root: an aarch64 Debian under QEMU, deployed to, killed at every step; an hour or more,
#                                  BOARD_ARGS="--only flow" are handed on; where it cannot be, it says why
#   make reproduce                 the comparison, in hours to days; REPRODUCE_ARGS="--list" tells, killed it goes on
#   make kills                     kill a flight a hundred times and look at what it left, in minutes
#   make campaign BUNDLES="A B"     every fault over every type of source, some 20 minutes a bundle, on the pictures in
#                                  CAMPAIGN_DATA; CAMPAIGN_ARGS="--only folder --storms 1" are handed on
#   make soak                      a hundred thousand ticks with faults, in seven minutes; SOAK_ARGS are handed on
#   make gpu                       on a machine with a GPU: proofs, faults and times of the kernels, in nine minutes; GPU_ARGS
#                                  are handed on (--kernels DIR: built elsewhere), GPU_PYTHON is who runs it
#   make TORCH=path/to/torch.whl   set up with that torch wheel
#   make test-runtime PYTHON=python3.10   what flies, without torch, on another Python

VENV ?= .venv
TORCH ?=
PYTEST_ARGS ?=
WORKERS ?= 2
# Files go to the processes whole, in the order of tests/conftest.py.
DEALT = -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 20
BOARD_ARGS ?=
REPRODUCE_ARGS ?=
BUNDLES ?= out/ombria-bundle out/fusion-bundle
CAMPAIGN_DATA ?= ../shared/data/ombria_s1s2_flood
BIN = $(VENV)/bin
GPU_PYTHON ?= $(firstword $(wildcard $(BIN)/python) python3)
STAMP = $(VENV)/.installed
EXTRAS = report,quantize,geo,dev

# The first Python of 3.10 to 3.13 that starts and can make an environment.
SUITABLE = import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
CANDIDATES = python3 python3.13 python3.12 python3.11 python3.10
ifeq ($(origin PYTHON), undefined)
PYTHON = $(firstword $(foreach each,$(CANDIDATES),$(shell $(each) -c '$(SUITABLE)' 2>/dev/null && echo $(each))))
endif

.PHONY: install check pretend test board demo bench reproduce kills campaign soak gpu test-runtime

install: $(STAMP)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Each part says what it fetches, and does nothing where all is there.
pretend: $(STAMP)
	$(BIN)/python -m tests.runtime.pretend.make_tensorrt
	$(BIN)/python -m tests.runtime.pretend.make_pycuda
	$(BIN)/python -m tests.train.contracts.make_torch_tensorrt

test: $(STAMP)
	$(BIN)/python -m pytest $(DEALT) $(PYTEST_ARGS)

board: $(STAMP)
	$(BIN)/python -m tests.boards.emulated $(BOARD_ARGS)

demo: $(STAMP)
	$(BIN)/dis2-edge demo --out out/demo --replace

bench: $(STAMP)
	$(BIN)/python -m benchmarks.host

reproduce: $(STAMP)
	$(BIN)/python -m benchmarks.reproduce $(REPRODUCE_ARGS)

kills: $(STAMP)
	$(BIN)/python -m benchmarks.kills $(KILLS_ARGS)

campaign: $(STAMP)
	$(BIN)/python -m benchmarks.campaign $(BUNDLES) --data $(CAMPAIGN_DATA) $(CAMPAIGN_ARGS)

soak: $(STAMP)
	$(BIN)/python -m benchmarks.soak $(SOAK_ARGS)

# Not .venv's own Python by force: the machine with the GPU has its own torch, and may have no network to install with.
gpu:
	@$(GPU_PYTHON) -c 'import numpy' 2>/dev/null || { \
	    echo "error: $(GPU_PYTHON) does not run, or has no NumPy; name one that has, and torch: make gpu GPU_PYTHON=python3" >&2; exit 2; }
	PYTHONPATH=.:train:quantize:boards:runtime $(GPU_PYTHON) -m benchmarks.gpu --compile-into out/kernels $(GPU_ARGS)

$(STAMP): pyproject.toml constraints.txt
	@python="$(PYTHON)"; if [ -z "$$python" ]; then \
	    echo "error: no Python of 3.10 to 3.13 with venv was found; install one (on Debian also python3-venv)," >&2; \
	    echo "       or name it: make PYTHON=/path/to/python3.12" >&2; exit 2; fi; \
	[ -x $(BIN)/python ] || { echo "Making $(VENV) with $$($$python --version)."; $$python -m venv $(VENV); }
	@echo "Installing into $(VENV), versions from constraints.txt. What is not there yet is downloaded:"
	@echo "  about 115 MB, and torch: 190 MB as a CPU wheel, or 2.6 GB as the CUDA build that pip takes by default on Linux."
	@echo "  For the CPU wheel, tell pip where it lies: PIP_FIND_LINKS=folder, PIP_EXTRA_INDEX_URL=index,"
	@echo "  or make TORCH=path/to/wheel. Pages of the PyTorch project name its CPU index."
	$(BIN)/python -m pip install -q -c constraints.txt setuptools wheel $(TORCH)
	$(BIN)/python -m pip install -q -c constraints.txt --no-build-isolation -e '.[$(EXTRAS)]'
	@touch $@

# What a board carries, tested where there is no torch; JetPack 6 has Python 3.10.
test-runtime:
	@version=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])') && venv=.venv-$$version && \
	{ [ -x $$venv/bin/python ] || $(PYTHON) -m venv $$venv; } && \
	echo "Installing into $$venv: about 100 MB where nothing is there yet, no torch." && \
	$$venv/bin/python -m pip install -q -c constraints.txt setuptools wheel && \
	$$venv/bin/python -m pip install -q -c constraints.txt --no-build-isolation -e '.[host,report,test]' && \
	$$venv/bin/python -m pytest tests/edge tests/runtime tests/boards $(DEALT) $(PYTEST_ARGS)
