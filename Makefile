# The verbs of the lab. `make run` is the first thing to try.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup run lab test check style export bench clean audit

help:
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' Makefile

# Installed again only when what it is made from changes. uv installs in parallel; pip is the way
# back where uv cannot reach the packages pip is configured for.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $$($(PYTHON) --version) found, Python 3.11 or newer expected; try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --constraint constraints.txt --editable ".[lab,web,serve,dev]" || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[lab,web,serve,dev]"
	@touch $@

setup: $(VENV)/.installed  ## Install the lab into .venv

run: setup  ## Run the case study, from raw data to a monitored service
	@$(BIN)/mlops-lab run

lab: setup  ## Open JupyterLab on the landing notebook
	@$(BIN)/mlops-lab lab

# Two workers share two cores: the threads of NumPy's own library would only wait for each other,
# and cost up to three times the work. error_analysis asks about a run, so its test runs a pipeline first.
test: export OPENBLAS_NUM_THREADS = 1
test: export OMP_NUM_THREADS = 1
test: setup style  ## Prove that it works: notebooks and tests
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/nbdev-test --n-workers 2 --skip-file-re '^error_analysis'
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder \
		--junitxml=.lab/tests/$$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown).xml

check: setup style  ## Check style and that the library equals its notebooks
	@$(BIN)/python -m pytest tests/house/test_house.py

style: setup
	@$(BIN)/ruff check --quiet notebooks tests benchmarks
	@$(BIN)/ruff format --quiet --check notebooks tests benchmarks

export: setup  ## Write the library from its notebooks, after a change in one
	@$(BIN)/ruff format --quiet notebooks
	@$(BIN)/nbdev-export

bench: setup  ## Measure the lab against named peers
	@for file in benchmarks/*/run.py; do $(BIN)/python $$file || exit 1; done

# Needs an index with a vulnerability service, so it is no part of `make test`.
audit: setup
	@$(BIN)/python benchmarks/dependencies/audit.py

clean:  ## Remove .venv and the state of the lab; your work stays
	@rm -rf $(VENV) .lab .lab-* build *.egg-info
