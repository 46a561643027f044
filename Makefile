# Two commands matter: `make demo` shows the product, `make test` proves it. `make help` lists the rest.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench system soak arm64 versions lock newest ci clean

PYTHON ?= python3
PYTHONS ?=
ARGS ?=
GATE := .venv/bin/python -m tools.dev.gate

help:
	@echo "make setup    .venv, packages, broker, models and sample photos; does nothing when all is there"
	@echo "make demo     the whole product on this machine, with a page to look at   (ARGS=--headless: no page)"
	@echo "make test     all of make check, its slow tests, recordings and end-to-end runs         (8 min on two cores)"
	@echo "make check    the gate before every commit: static checks, unit files, fast tests     (3 min on two cores)"
	@echo "make bench    frames/s, stage times and latency beside the naive loop      (ARGS=--json)"
	@echo "make system   builds PyCUDA, boots machines (root), drives a browser, plays long clips; a GPU if there is one"
	@echo "make soak     random kills and cuts, for hours; counts add up over runs   (ARGS='--kills 200', --report)"
	@echo "make arm64    an arm64 root file system is flashed and booted under qemu-user; registers a binfmt rule (root)"
	@echo "make versions the fast tests on every supported Python that is here       (PYTHONS='/path/to/python3.10')"
	@echo "make lock     renew requirements.lock: the newest versions that pyproject.toml allows, with hashes (network)"
	@echo "make newest   make check with the newest allowed versions instead of the locked ones (network)"
	@echo "make clean    forget .venv and everything that was fetched or made (.cache)"
	@echo "ARGS='...' is passed on, for example: make test ARGS='-k zone'"

setup:
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
	  echo "setup: $(PYTHON) was not found. Install Python 3.10 or later (Debian, Ubuntu: apt-get install python3)," >&2; \
	  echo "       or name one: make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3" >&2; exit 69; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "setup: $(PYTHON) is older than Python 3.10. Name a newer one: make setup PYTHON=python3.11" >&2; exit 69; }
	@"$(PYTHON)" -m tools.dev.gate.setup

demo: setup
	@.venv/bin/lfr demo $(ARGS)

test: setup
	@$(GATE) test -- $(ARGS)

check: setup
	@$(GATE) check -- $(ARGS)

bench: setup
	@.venv/bin/lfr bench $(ARGS)

system: setup
	@$(GATE) system -- $(ARGS)

soak: setup
	@.venv/bin/python -m tests.system.soak $(ARGS)

arm64: setup
	@$(GATE) arm64 -- $(ARGS)

versions: setup
	@.venv/bin/python -m tools.dev.gate.versions $(PYTHONS)

lock: setup
	@.venv/bin/python -m tools.dev.gate.lock renew

newest: setup
	@.venv/bin/python -m tools.dev.gate.newest

ci: setup
	@$(GATE) check test system --complete -- $(ARGS)

clean:
	@rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist lfr_edge.egg-info
	@echo "clean: .venv and .cache are gone; make setup brings them back"
