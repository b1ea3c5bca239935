# The two commands: `make demo` shows the article's job, `make test` passes everything. Both do all the set-up.
.PHONY: help demo test setup check unit real cluster lab bench lock clean
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help

help:  ## what there is to make
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: setup  ## the article on this machine [SCENARIO=success|failing|match|accuracy|ab|abn|performance|…] [REPORT=FILE]
	@$(BIN)/serin demo $(if $(SCENARIO),--scenario $(SCENARIO)) $(if $(REPORT),--report $(REPORT))

test: setup check unit real cluster  ## every check and every test

setup: $(VENV)/.ready  ## the tools and libraries, into .venv

$(VENV)/.ready: scripts/setup scripts/bootstrap.lock requirements.lock pyproject.toml
	@scripts/setup

check: setup  ## style, types, layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

unit: setup  ## the fast tests
	@$(BIN)/pytest -m "not real and not tensorflow and not cluster"

real: setup  ## the tests on real parts: Envoy, model servers, homes
	@$(BIN)/pytest -m "(real or tensorflow) and not cluster"

cluster: setup  ## the tests on a real API server, istiod, Envoy and Prometheus; the first time builds them, minutes
	-@$(BIN)/python -m lab build >/dev/null
	@$(BIN)/pytest -m cluster

lab: setup  ## a real cluster on this machine, to play in; Ctrl-C ends it
	@$(BIN)/python -m lab

bench: setup  ## speeds and memory, side by side
	@$(BIN)/python -m benchmarks

lock: setup  ## compile the locked requirements anew
	@scripts/lock

clean:  ## remove what setup made
	rm -rf $(VENV)
