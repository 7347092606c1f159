# One command each; every one of them sets up what it needs, says what it does, and keeps it for the next time.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
VENV := .venv
PYTHON := $(VENV)/bin/python
GROUND := PYTHONPATH=e2e $(PYTHON) -m ground
PURE := tests/api tests/gitops tests/migration tests/plan tests/repository tests/test_codec.py tests/test_contract.py tests/test_decryptor.py tests/test_decryptor_bits.py tests/test_fuzz.py tests/test_house.py tests/test_naming.py tests/test_reason.py tests/test_reference.py tests/test_documents.py tests/test_settings.py tests/test_troubleshooting.py tests/chart/test_generated.py
REST := $(addprefix --ignore=,$(PURE))
PYTEST := $(PYTHON) -m pytest
PYTHONS := python3.12 python3.13 python3.14

.PHONY: help setup servers check lint pure format test test-fast test-pythons test-slow fuzz demo demo-stop bench image cluster-up cluster-down clean chart manifest

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/ready: requirements/dev.txt requirements/uv.txt pyproject.toml e2e/venv.sh
	@bash e2e/venv.sh $(VENV)
	@touch $@

setup: $(VENV)/ready ## Python environment, system packages, PostgreSQL servers, S3 server, Helm, Kubernetes (first time: 15 to 24 minutes)
	@$(GROUND) setup

servers: $(VENV)/ready
	@$(GROUND) setup --without-cluster

format: $(VENV)/ready ## write the code as the formatter wants it
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/ruff check --fix .

check: lint pure ## format, lint, types, import contracts, and the pure tests with full branch coverage

lint: $(VENV)/ready
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

pure: $(VENV)/ready
	@$(PYTEST) $(PURE) -n auto --cov --cov-report=term -q

test: pure setup ## everything that runs on this machine, on real PostgreSQL, a real S3 server and a real Kubernetes
	@$(PYTEST) tests $(REST) -m "not slow and not cluster" -n 3 --dist loadfile
	@$(PYTEST) tests e2e -m "cluster and not slow" -n 3 --dist loadfile --no-loadscope-reorder

test-fast: pure servers ## the same without Kubernetes
	@$(PYTEST) tests $(REST) -m "not slow and not cluster" -n auto --dist loadfile -q

test-pythons: $(VENV)/ready ## the pure tests on other versions of Python: PYTHONS="python3.12 /path/to/python3.13"
	@for python in $(PYTHONS); do \
	  version=$$("$$python" -c 'import platform; print(platform.python_version())'); \
	  PYTHON3="$$python" bash e2e/venv.sh "$(VENV)/of-$$version"; \
	  echo "Python $$version"; \
	  "$(VENV)/of-$$version/bin/python" -m pytest $(PURE) -n auto -q -p no:cacheprovider; \
	done

test-slow: setup ## single cases above 60 s
	@$(PYTEST) tests e2e -m slow

fuzz: $(VENV)/ready ## millions of changed documents for every reader: INPUTS=10000000 SEED=7; any finding is kept in build/fuzz
	@PYTHONPATH=e2e $(PYTHON) -m fuzz $(if $(INPUTS),--inputs $(INPUTS)) $(if $(SEED),--seed $(SEED))

demo: $(VENV)/ready ## the user's story on real parts; KEEP=1 leaves the cluster up
	@PYTHONPATH=e2e $(PYTHON) -m demo $(if $(KEEP),--keep)

demo-stop: $(VENV)/ready ## take down what `make demo KEEP=1` left
	@PYTHONPATH=e2e $(PYTHON) -m demo --stop

bench: setup ## speed and memory, as ratios within one run; results in bench/results/
	@PYTHONPATH=e2e:bench:charts/python $(PYTHON) -m measure

chart: $(VENV)/ready ## what the chart repeats of crds/, deploy/ and its values: schema, table, copies
	@PYTHONPATH=e2e:charts/python $(PYTHON) -m chartmaking

manifest: $(VENV)/ready ## deploy/install.yaml, the chart rendered by Helm (builds Helm the first time: 4 minutes)
	@PYTHONPATH=e2e:charts/python $(PYTHON) -m chartmaking manifest

image: $(VENV)/ready ## the one image of the operator and every Job
	@$(GROUND) image

cluster-up: $(if $(PROVIDER),$(VENV)/ready,setup) ## a complete Kubernetes on this machine, with a kubeconfig to use by hand (PROVIDER=kind: by kind, not verified)
	@$(GROUND) up $(if $(PROVIDER),--provider $(PROVIDER))

cluster-down: $(VENV)/ready ## stop it without a trace
	@$(GROUND) down $(if $(PROVIDER),--provider $(PROVIDER))

clean: ## what the commands above left in the checkout; the caches outside of it stay
	@if [ -x $(PYTHON) ]; then $(GROUND) down || true; PYTHONPATH=e2e $(PYTHON) -m demo --stop || true; fi
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage dist build
