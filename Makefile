PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help java setup demo test test-faults test-airflow bench check format build cluster cluster-stop env-archive clean

help:  ## Print these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

java:
	@major=$$(java -version 2>&1 | sed -nE 's/.*version "([0-9]+).*/\1/p' | head -1); \
	case "$$major" in 17|21) exit 0;; esac; \
	if [ -z "$$major" ] && [ -e /etc/debian_version ] && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -qq && apt-get install -y -qq openjdk-17-jre-headless; exit; \
	fi; \
	echo "Spark needs Java 17 or 21; found: $${major:-none}. Install it with one of"; \
	echo "    sudo apt-get install openjdk-17-jre-headless"; \
	echo "    sudo dnf install java-17-openjdk-headless"; \
	echo "    brew install openjdk@17"; \
	echo "and make sure that 'java -version' shows it."; exit 1

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Emberline needs Python 3.11 or later; run: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

setup: .venv/installed  ## Check Python, install everything into .venv

demo: setup  ## Generate a shop and run the whole pipeline on it, into runs/demo
	$(BIN)/emberline run jobs/pipelines/demo.toml
	@echo "Try: $(BIN)/emberline recommend runs/demo --user c10041"

test: java setup  ## Run the tests (about 7 minutes on 2 cores)
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

test-faults: java setup  ## Run the long tests: real data, and killed processes
	$(BIN)/python -m pytest -m faults --numprocesses 2 --dist worksteal

.venv-airflow/installed: tests/schedule/airflow.txt
	$(PYTHON) -m venv .venv-airflow
	.venv-airflow/bin/pip install --quiet --requirement $<
	@touch $@

test-airflow: setup .venv-airflow/installed  ## Run generated DAGs by a real Airflow, in an environment of its own
	$(BIN)/python -m pytest -m airflow

.venv/bench: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,bench]'
	@touch $@

bench: java .venv/bench  ## Compare with other libraries on small data (each script under benchmarks/ has --help, and larger sizes)
	@set -e; for script in $(filter-out $(addprefix benchmarks/,chart.py data.py factors.py harness.py pictures.py precision.py shapes.py), $(wildcard benchmarks/*.py)); do \
	    echo "== $$script --quick"; $(BIN)/python $$script --quick; done

check: setup  ## Format, lint, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup  ## Format and sort imports
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

build: setup  ## Make dist/emberline.zip for spark-submit --py-files, and a wheel
	rm -rf dist/emberline*
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .
	@cd dist && cp emberline-*.whl emberline.zip
	@ls -l dist

cluster: java setup  ## Start a Spark cluster on this machine: a master and 2 workers (WITH="--workers 3 --cores 2 --memory 4g")
	@mkdir -p runs/spark-events
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python spark-conf/cluster.py start $(WITH)

cluster-stop: .venv/installed  ## Stop that cluster
	@$(BIN)/python spark-conf/cluster.py stop

env-archive: setup  ## Pack Python and what executors import for spark.archives (FOR=driver: all but pyspark, for cluster mode)
	$(BIN)/python spark-conf/archive.py --for $(or $(FOR),executors) dist/environment.tar.gz

clean:  ## Remove what make and the pipelines have written here, the environment included
	@test ! -e runs/cluster/cluster.json || $(MAKE) cluster-stop
	rm -rf .venv .venv-airflow dist runs .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
