# Two commands are all a newcomer needs: `make up` and `make test`. Everything lives in .venv; nothing is installed
# outside this folder. Paths are relative on purpose: the folder may have spaces in its name or be very deep.
SHELL := /bin/sh
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$p && break; done)
RUN := .venv/bin/python -m
UV := UV_PROJECT_ENVIRONMENT=.venv UV_PYTHON_DOWNLOADS=never $(RUN) uv
WORKERS ?= 4
ARGS ?=

.PHONY: help
help: ## Show the commands
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: up
up: .venv/installed ## Install what is locked, then start everything with the demo (ARGS="--port 9000 --data /some/folder")
	@exec $(RUN) banyan up --demo $(ARGS)

.PHONY: test
test: .venv/installed ## Install what is locked, then run the whole suite (ARGS="-k name")
	$(RUN) pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: check
check: .venv/installed ## Format, lint, types, import rules, generated files fresh
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	.venv/bin/python -c 'from importlinter.cli import lint_imports_command as c; c()'
	$(RUN) tools.check

.PHONY: fresh
fresh: .venv/installed ## Format, and write the generated files anew
	$(RUN) ruff check --fix-only -q .
	$(RUN) ruff format .
	$(RUN) tools.generate

.PHONY: docs
docs: .venv/installed ## Write the documentation as a site into site/; open site/index.html
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict

.PHONY: bench
bench: .venv/installed ## Measure, and write docs/benchmarks.md
	$(RUN) bench $(ARGS)

.PHONY: clean
clean: ## Remove the virtual environment and caches; data folders stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache artefacts site

# The marker is written last, so that an interrupted installation is done again.
.venv/installed: uv.lock pyproject.toml tools/uv.txt
	@test -n "$(PYTHON)" || { echo "Banyan needs Python 3.11 or newer; on Debian: apt-get install python3 python3-venv" >&2; exit 1; }
	@.venv/bin/python -c 'import uv' 2>/dev/null || { rm -rf .venv; \
		"$(PYTHON)" -m venv .venv || { echo "No virtual environment could be made; on Debian: apt-get install python3-venv" >&2; rm -rf .venv; exit 1; }; \
		$(RUN) pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r tools/uv.txt; }
	@$(UV) sync --quiet --frozen --all-extras --all-groups
	@touch $@
