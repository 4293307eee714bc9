# Everything one does with this repository, by name. `make` alone lists it.
#
# Needs Python 3.11 or newer, make and git; node too for the tests of the AWS template.

VENV := .venv
BIN := $(VENV)/bin
DATA ?= .trawl
PORT ?= 8080
# Workers of the test run. More than four gain little: one file's tests stay together.
WORKERS ?= auto

# The first interpreter that is new enough.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)

PINS := pyproject.toml constraints.txt
# pip says nothing but errors: its warnings about caches and indexes are the machine's.
INSTALL = $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check \
	--constraint constraints.txt --editable

export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION ?= 18,20,22,24

# The checks run one after the other, whatever -j says: pytest's summary comes last.
.NOTPARALLEL:

.PHONY: help
help: ## List what there is to make
	@awk -F ':.*## ' '/^[a-z][a-z0-9_-]*:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

# --- the environment -------------------------------------------------------------------------

.PHONY: install
install: $(VENV)/.for-demo ## Make or renew the environment for using Trawl on this machine

.PHONY: env
env: $(VENV)/.for-test ## Make or renew the environment for working on Trawl

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Trawl needs Python 3.11 or newer; found none (PYTHON=... names one)" >&2; exit 1; }
	@echo "environment: $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# What the tests need contains what the demo needs.
$(VENV)/.for-test: $(PINS) | $(BIN)/python
	@echo "environment: installing what the tests need (a minute or two the first time)"
	@$(INSTALL) '.[local,media,logo,onnx,face,text,infra,dev]'
	@touch $(VENV)/.for-demo $(VENV)/.for-deploy $@

$(VENV)/.for-demo: $(PINS) | $(BIN)/python
	@echo "environment: installing what the demo needs (less than a minute the first time)"
	@$(INSTALL) '.[local,media,text]'
	@touch $@

$(VENV)/.for-bench: $(PINS) | $(BIN)/python
	@echo "environment: installing what the benchmarks need"
	@$(INSTALL) '.[local,media,logo,onnx,face,text,bench]'
	@touch $@

.PHONY: lock
lock: env ## Renew constraints.txt: every dependency's exact version
	@$(BIN)/pip-compile --quiet --upgrade --all-extras --strip-extras --no-header \
		--no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--annotation-style line --output-file constraints.new pyproject.toml
	@! grep -nE '://|^-|@ ' constraints.new \
		|| { echo "an address stands in constraints.new: not taken over" >&2; exit 1; }
	@mv constraints.new constraints.txt
	@echo "constraints.txt: $$(grep -c == constraints.txt) versions"

# --- trying it -------------------------------------------------------------------------------

.PHONY: demo
demo: $(VENV)/.for-demo ## Scan twenty real files against three retrievers in one call; makes a report
	@mkdir -p build
	@$(BIN)/trawl demo --report build/demo-report.html

.PHONY: serve
serve: $(VENV)/.for-demo ## Serve the API on this machine (PORT=8080, DATA=.trawl)
	@$(BIN)/trawl serve --port $(PORT) --data $(DATA)

# --- checking it -----------------------------------------------------------------------------

.PHONY: test
test: env ## Make the environment if there is none, and check everything
	@$(MAKE) --no-print-directory check

.PHONY: check
check: format-check lint types generated pytest ## Check everything, in the environment there is

.PHONY: format-check lint types generated pytest
format-check:
	@echo "check: format"
	@$(BIN)/ruff format --quiet --check . || { echo "make format writes it" >&2; exit 1; }

lint:
	@echo "check: lint"
	@$(BIN)/ruff check --quiet .

types:
	@echo "check: types"
	@$(BIN)/mypy --no-error-summary core handlers infra tests

generated:
	@echo "check: generated files"
	@$(BIN)/python -m handlers.http.openapi --check docs/openapi.json
	@$(BIN)/python -m handlers.stage_pages --check docs/stages.md

pytest:
	@echo "check: tests"
	@$(BIN)/python -m pytest -v --numprocesses $(WORKERS) --maxprocesses 4 --dist loadfile

# For the tests of reports and of audio.chromaprint, which skip without them; only a machine that
# is CI's own is changed.
.PHONY: programs
programs: ## Install Chromium and fpcalc with apt-get, if they are missing and this is root on Debian
	@{ command -v chromium || command -v chromium-browser; } >/dev/null \
		&& command -v fpcalc >/dev/null || { \
		command -v apt-get >/dev/null && test "$$(id -u)" = 0 \
		&& echo "programs: installing chromium and fpcalc" \
		&& apt-get -qq update >/dev/null 2>&1 \
		&& DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
			chromium libchromaprint-tools >/dev/null 2>&1; } \
		|| echo "programs: chromium or fpcalc cannot be installed; their tests will skip" >&2

# An environment of its own: the emulator wants other versions of what we use.
MINISTACK := $(VENV)/ministack
MINISTACK_PINS := tests/e2e/aws/ministack.txt

$(MINISTACK)/.made: $(MINISTACK_PINS) | $(BIN)/python
	@echo "environment: installing the AWS emulator"
	@$(BIN)/python -m venv --clear $(MINISTACK)
	@$(MINISTACK)/bin/python -m pip install --quiet --quiet --disable-pip-version-check \
		--requirement $(MINISTACK_PINS)
	@touch $@

.PHONY: e2e
e2e: env $(MINISTACK)/.made $(CDK) ## Deploy to an AWS emulator on this machine, use it, and remove it
	@$(BIN)/python -m pytest -v tests/e2e/aws

.PHONY: format
format: env ## Format the sources, and fix what the linter can
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet .

# --- measuring it ----------------------------------------------------------------------------

.PHONY: bench-search bench-batch bench-scan bench-media_quality bench-media_speed bench-overhead bench-cold_start bench-aws bench-fuzz_media
bench-search: ## Measure exact search against faiss
bench-batch: ## Measure one batch against single calls over HTTP
bench-scan: ## Measure one scan of 20 files x 3 retrievers against 60 single calls over HTTP
bench-media_quality: ## Measure what altered copies are found again by, on real files (720 MB, fetched once)
bench-media_speed: ## Measure how fast pictures, recordings and films are read, by one process and by all
bench-overhead: ## Measure the handler against a bare resolver
bench-cold_start: ## Measure a fresh process against importing boto3
bench-aws: ## Measure init, warm calls and loading an image as on Lambda, without AWS
bench-fuzz_media: ## Break 20,000 files for each extractor: none may hurt the parent
bench-search bench-batch bench-scan bench-media_quality bench-media_speed bench-overhead bench-cold_start bench-aws bench-fuzz_media: bench-%: $(VENV)/.for-bench
	@$(BIN)/python -m benchmarks.$*

# --- deploying it ----------------------------------------------------------------------------

# What CDK's command line needs: its one package, pinned. It reports home unless told not to.
CDK := node_modules/.bin/cdk
export CDK_DISABLE_CLI_TELEMETRY ?= 1
STAGE ?= dev
# More context: CDK_CONTEXT='-c memory_mb=1769 -c retain=false'. infra/settings.py lists it.
CDK_CONTEXT ?=
# When to ask before deploying: never, broadening (new permissions), any-change.
APPROVAL ?= broadening
DEPLOYED := build/deployed/$(STAGE).json
# One each: the command line works in a folder alone.
SYNTHED := build/cdk/$(STAGE)
TO_STAGE = -c stage=$(STAGE) $(CDK_CONTEXT)

$(CDK): package.json package-lock.json
	@npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(VENV)/.for-deploy: $(PINS) | $(BIN)/python
	@echo "environment: installing what deploying needs"
	@$(INSTALL) '.[local,media,text,infra]'
	@touch $@

.PHONY: deploy
deploy: $(VENV)/.for-deploy $(CDK) ## Deploy to the AWS account and region of the environment (STAGE=dev)
	@$(CDK) bootstrap --output $(SYNTHED)-bare -c bundle=false $(TO_STAGE)
	@mkdir -p $(dir $(DEPLOYED))
	@$(CDK) deploy --output $(SYNTHED) --require-approval $(APPROVAL) --outputs-file $(DEPLOYED) \
		$(TO_STAGE)
	@$(BIN)/python -m infra.handover $(DEPLOYED)

.PHONY: deployed
deployed: ## Print the variables that make `trawl` work on the deployment itself
	@$(BIN)/python -m infra.handover --exports $(DEPLOYED)

.PHONY: destroy
destroy: $(VENV)/.for-deploy $(CDK) ## Remove the deployment; table and buckets stay unless retain=false was deployed
	@$(CDK) destroy --force --output $(SYNTHED)-bare -c bundle=false $(TO_STAGE)
	@rm -f $(DEPLOYED)

.PHONY: synth
synth: env ## Write the CloudFormation template and its zips to cdk.out
	@CDK_OUTDIR=cdk.out $(BIN)/python -m infra.app
	@echo "synth: cdk.out"

.PHONY: clean
clean: ## Remove what was built; the environment and the data stay
	@rm -rf build dist cdk.out constraints.new .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find core handlers infra tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
