# `make demo` shows quantd at work, `make test` checks it; both install into .venv first.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

# The tests run side by side in two halves that take about as long, the numerics with the models of the field, and all servers,
# which leave the processors idle while they wait; and the pages, which wait for jobs.
.PHONY: install chromium demo test test-library test-service test-pages test-e2e coverage lint lint-python lint-openapi clients client-size openapi docs screenshots evidence evidence-full up clean

install: .venv/installed

.venv/installed: pyproject.toml client/pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip setuptools wheel
	$(BIN)/pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet --constraint constraints.txt --no-build-isolation \
		--editable ./client --editable '.[up,torchscript,telemetry,data,agents,dev]'
	$(BIN)/pip install --quiet --constraint constraints.txt --no-deps openapi-python-client # it has limits below our pins
	$(BIN)/python -m quant.warm_up
	touch $@

# The tests of the pages use Debian's Chromium. Where it is absent and cannot be installed, they say so and are skipped.
chromium:
	@command -v chromium > /dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null && apt-get update -qq \
		&& apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; } > /dev/null 2>&1 || true

demo: install
	$(BIN)/python examples/demo.py

test: install chromium
	$(MAKE) --no-print-directory --jobs 3 --output-sync=target test-library test-service test-pages test-e2e

test-library:
	$(PYTEST) tests/quant tests/field tests/benchmarks tests/test_chart.py tests/test_coverage_page.py tests/test_docker.py tests/test_docs.py tests/test_generated_pages.py tests/test_layers.py tests/test_site.py

test-service:
	$(PYTEST) tests/jobs tests/worker tests/service tests/client tests/examples tests/test_page_blocks.py tests/test_readme.py

test-pages:
	$(PYTEST) tests/browser

# They wait for most of their time, so they run beside the others.
test-e2e:
	$(PYTEST) tests/e2e

# The share of lines that the tests run, by package. Counting them takes a third of the time again, so `make test` does not.
# Lines are counted in the test processes themselves, not in the servers and jobs that these start.
coverage: install
	rm -rf .coverage
	$(MAKE) --no-print-directory test-library test-service test-e2e PYTEST="$(BIN)/python -m coverage run -m pytest"
	$(BIN)/python -m tests.coverage_table

up: install
	$(BIN)/quantd up

lint: install
	$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint-python lint-openapi

lint-python: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Spectral, Redocly and openapi-generator. Without npm and Java it says so; with CI=true it fails then.
lint-openapi: install
	openapi/lint.sh

# Clients from other generators and in other languages, each of which runs a job.
clients: lint-openapi
	$(BIN)/python benchmarks/clients/run.py

# The size of the client alone, installed from its wheel into a fresh virtual environment.
client-size: install
	$(BIN)/python benchmarks/client_size.py

openapi: install
	$(BIN)/python -m service.openapi

# The site of docs/ in site/. A warning fails: a broken link, an anchor that does not exist.
docs: install
	$(BIN)/zensical build --strict

# The studies behind docs/evidence/: a small form of each, which takes minutes, or all of them, which takes hours. The latter go
# on where they stopped.
evidence: install
	$(BIN)/python -m benchmarks.evidence --quick

evidence-full: install
	$(BIN)/python -m benchmarks.evidence

# The pictures in docs/images/, from the real networks and images of ../shared/data.
screenshots: install chromium
	$(BIN)/python -m docs.screenshots

clean:
	rm -rf .venv .lint .quantd .coverage .cache demo-output build site *.egg-info client/*.egg-info client/build
