# CXR Viewer. `make run` starts the app and `make test` passes the tests, both from a bare clone; both are safe to
# repeat. The plain commands behind them are in README.md.
#
#   VENV=folder      another virtual environment (default .venv)
#   PYTHON=program   the Python that makes it (default: the first of 3.11 or newer that is found)
#   CXR_PORT=number  the port of the app (default 8501)

VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Tried in this order: the versions that the requirements are tested with come first.
PYTHONS := $(PYTHON) python3.11 python3.12 python3.13 python3 python
PORT := $(or $(CXR_PORT),8501)

# One line of Python that tells whether an interpreter will do.
SUITS := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.DEFAULT_GOAL := help
.PHONY: help run test setup setup-dev system-packages lint bench clean
.DELETE_ON_ERROR:

help:
	@echo "make run    set up and start the app at http://127.0.0.1:$(PORT)"
	@echo "make test   set up and pass the tests"
	@echo "make lint   ruff and mypy alone"
	@echo "make bench  the timings in benchmarks/"
	@echo "make clean  remove .venv and caches; studies, models and training runs stay"

run: $(STAMP)-run
	$(BIN)/python -m streamlit run viewer_app.py --server.address 127.0.0.1 --server.port $(PORT)

CHECKS := $(BIN)/python -m ruff check . && $(BIN)/python -m ruff format --check . && $(BIN)/python -m mypy

# A failed check does not stop the tests, so that one run tells everything; it does make the whole fail.
test: $(STAMP)-dev system-packages
	@status=0; \
	{ $(CHECKS); } || { status=1; echo "The checks above failed; the tests run all the same."; }; \
	$(BIN)/python -m pytest -rs --durations=15 $(PYTEST_FLAGS) || status=1; \
	exit $$status

lint: $(STAMP)-dev
	$(CHECKS)

setup: $(STAMP)-run

setup-dev: $(STAMP)-dev

bench: $(STAMP)-dev
	@for file in $(filter-out %_support.py,$(wildcard benchmarks/bench_*.py)); do \
		echo "== $$file"; PYTHONPATH=. $(BIN)/python "$$file" || exit 1; \
	done

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find cxrviewer pages tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Installing happens when a requirements file is newer than its stamp; the stamp is written only after success.
$(STAMP)-run: requirements.txt | $(STAMP)-venv
	@echo "Installing what the app needs (several gigabytes the first time)."
	$(BIN)/python -m pip install --disable-pip-version-check --no-input -r requirements.txt
	@touch "$@"

$(STAMP)-dev: requirements-dev.txt requirements.txt | $(STAMP)-venv
	@echo "Installing what the app and its tests need (several gigabytes the first time)."
	$(BIN)/python -m pip install --disable-pip-version-check --no-input -r requirements-dev.txt
	@touch "$@" "$(STAMP)-run"

$(STAMP)-venv:
	@if [ -e "$(BIN)/python" ] && "$(BIN)/python" -c 'import pip' 2>/dev/null; then touch "$@"; exit 0; fi; \
	find_python() { \
		for name in $(PYTHONS); do \
			if "$$name" -c '$(SUITS)' >/dev/null 2>&1; then echo "$$name"; return; fi; \
		done; \
	}; \
	found=$$(find_python); \
	if [ -z "$$found" ] && [ "$$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then \
		echo "No Python 3.11 or newer with its venv module is here. Installing from Debian: python3 python3-venv"; \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
			python3 python3-venv; \
		found=$$(find_python); \
	fi; \
	if [ -z "$$found" ]; then \
		echo "Python 3.11 or newer, with its venv module, is needed and was not found." >&2; \
		echo "On Debian or Ubuntu: apt-get install python3 python3-venv. Elsewhere: python.org/downloads." >&2; \
		echo "Where it is installed under another name: make run PYTHON=/path/to/python" >&2; \
		exit 1; \
	fi; \
	echo "Making $(VENV) with $$("$$found" --version)."; \
	"$$found" -m venv "$(VENV)" && "$(BIN)/python" -c 'import pip' || { \
		echo "$(VENV) could not be made or is damaged. Remove it (make clean) and try again." >&2; exit 1; }; \
	touch "$@"

# The browser stories drive the system's Chromium. It is installed here only as root on Debian; elsewhere the
# stories skip, each by name. A failed installation does not stop the other tests.
SYSTEM_PACKAGES := chromium fonts-dejavu-core

system-packages:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null 2>&1 && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && [ -e /etc/debian_version ] && command -v apt-get >/dev/null 2>&1; then \
		echo "Installing system packages for the browser stories: $(SYSTEM_PACKAGES)"; \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
			$(SYSTEM_PACKAGES) \
		|| echo "They could not be installed. The browser stories skip."; \
	else \
		echo "Chromium is not installed, so the browser stories skip. They need: $(SYSTEM_PACKAGES)"; \
	fi
