# Needs make and python3 (3.11 or newer); everything else is installed into .uv/ and .venv/ from uv.lock.

PYTHON ?= python3
UV_VERSION := 0.13.9
PYTEST_ARGS ?=
# Processes that run tests at the same time: twice the cores of a small machine, because many tests wait.
JOBS ?= 4
ARGS ?=
# More for `uv sync`, such as --no-dev for a machine where the program only runs.
SYNC ?=

BIN := .venv/bin
UV := UV_PROJECT_ENVIRONMENT=.venv UV_PYTHON_DOWNLOADS=never .uv/bin/uv
# Empty files that say when something was installed.
UV_STAMP := .uv/made-$(UV_VERSION)
STAMP := .venv/made
REAL_STAMP := .venv/made-real
BENCH_STAMP := build/bench/env/made

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help install demo test coverage soak faults deb lint format types contracts bench bench-tools bench-all bench-following real oracles clean system-packages python-is-new

help: ## show this
	@echo "make TARGET; TARGET is one of"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: $(STAMP) ## install the program and its tools into .venv/

demo: $(STAMP) ## make sample data, broken files too, load it, and show what became of it (in ./demo)
	@$(BIN)/python docs/demo.py $(ARGS)

test: $(STAMP) system-packages ## run the tests; PYTEST_ARGS='-k word' chooses
	@mkdir -p build && rm -f build/tests.xml
	$(BIN)/pytest -n $(JOBS) --dist worksteal --junitxml=build/tests.xml $(PYTEST_ARGS)
	@$(BIN)/python -c "import xml.etree.ElementTree as tree; \
	s = tree.parse('build/tests.xml').getroot().find('testsuite').attrib; \
	ran = int(s['tests']) - int(s['skipped']); \
	print(f'{ran} tests ran, {s[\"skipped\"]} were skipped'); \
	raise SystemExit('no test ran' if ran < 1 else 0)"

coverage: $(STAMP) system-packages ## run the tests and report which lines they reach; about half as fast
	@mkdir -p build && rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -n $(JOBS) --dist worksteal $(PYTEST_ARGS)
	@$(BIN)/coverage combine -q && $(BIN)/coverage report --skip-covered --skip-empty

soak: $(STAMP) system-packages ## run the long tests: hundreds of kills on both databases (minutes)
	SGTEST_SOAK=1 $(BIN)/pytest -m soak --timeout=7200 tests/soak tests/unit/test_terminal.py tests/e2e/test_watcher.py $(PYTEST_ARGS)

faults: $(STAMP) system-packages ## run all trials in an unwell world, real clients and systemd too (minutes)
	SGTEST_FAULTS=1 $(BIN)/pytest --timeout=900 tests/faults tests/clients tests/deploy $(PYTEST_ARGS)

deb: $(STAMP) ## build the Debian package into build/
	deploy/deb/build.sh $(ARGS)

lint: $(STAMP) ## check style
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(STAMP) ## correct style where a program can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(STAMP) ## check types
	$(BIN)/mypy

contracts: $(STAMP) ## check which package may import which
	$(BIN)/lint-imports --no-logo

bench: $(STAMP) $(BENCH_STAMP) ## measure loading a file of a million rows, beside others; ARGS='--quick'
	$(BIN)/python -m benchmarks.load $(ARGS)

bench-tools: $(BENCH_STAMP) ## install what stands beside the program in benchmarks, in an environment of its own

# in this order: what needs the quietest machine comes first
bench-all: $(STAMP) $(BENCH_STAMP) ## measure all that docs/performance.md says (an hour)
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.burst
	$(BIN)/python -m benchmarks.idle
	$(BIN)/python -m benchmarks.load
	$(BIN)/python -m benchmarks.load --rows 10000000 --rounds 3 --only import,pandas,drain,run,copy,run-postgresql --name load-10m
	$(BIN)/python -m benchmarks.waiting
	$(BIN)/python -m benchmarks.growth --millions 0 1 10 50 --sizes 1000 10000 100000 1000000 10000000

bench-following: $(STAMP) ## measure what follows a delivery, against history; ARGS='--millions 1'
	$(BIN)/python -m benchmarks.following $(ARGS)

real: $(REAL_STAMP) ## load a retailer's real year and compare it with its source; ARGS='--days 14'
	$(BIN)/python -m benchmarks.real_year $(ARGS)

oracles: $(UV_STAMP) ## compare the features with the libraries that people trust, in an environment of its own
	@$(UV) venv --quiet --clear --python .uv/bin/python build/oracles
	@$(UV) pip install --quiet --python build/oracles/bin/python -r tests/oracles/requirements.txt
	PYTHONPATH=. build/oracles/bin/python -m pytest -q -c /dev/null --rootdir=. --noconftest -W ignore tests/oracles

clean: ## remove everything that was made here, .venv/ and ./demo too
	rm -rf .venv .uv build dist demo htmlcov .coverage .coverage.* .hypothesis
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- how the above comes to be

$(STAMP): $(UV_STAMP) pyproject.toml uv.lock
	@echo "installing what uv.lock names into .venv/"
	@$(UV) sync --quiet --frozen --compile-bytecode --python .uv/bin/python --extra postgres $(SYNC)
	@touch $@

$(REAL_STAMP): $(STAMP)
	@$(UV) sync --quiet --frozen --python .uv/bin/python --extra postgres --group real
	@touch $@

$(BENCH_STAMP): $(UV_STAMP) benchmarks/peers/requirements.txt
	@echo "installing what the benchmarks compare with into build/bench/env/"
	@$(UV) venv --quiet --clear --python .uv/bin/python build/bench/env
	@$(UV) pip install --quiet --compile-bytecode --python build/bench/env/bin/python -r benchmarks/peers/requirements.txt
	@touch $@

# uv lives in a folder of its own, because it removes from .venv/ what uv.lock does not name: itself, for one.
$(UV_STAMP):
	@$(MAKE) --no-print-directory python-is-new
	@rm -rf .uv
	@$(PYTHON) -m venv .uv
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

python-is-new:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "$(PYTHON) is not Python 3.11 or newer; name one that is: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
	  then DEBIAN_FRONTEND=noninteractive apt-get install -y -q python3-venv </dev/null; \
	  else echo "python3 cannot make virtual environments; run: sudo apt-get install python3-venv" >&2; exit 1; fi; }

# What tests use beyond Python, as command:package. Without them those tests are skipped, and say so.
PAIRS := jq:jq strace:strace sftp:openssh-client faketime:faketime
faults: PAIRS += lftp:lftp rclone:rclone rsync:rsync smbclient:smbclient smbd:samba systemd-nspawn:systemd-container shellcheck:shellcheck lintian:lintian
system-packages:
	@missing=""; \
	for pair in $(PAIRS); do \
	  command -v "$${pair%%:*}" >/dev/null || missing="$$missing $${pair#*:}"; \
	done; \
	[ -x /usr/sbin/sshd ] || missing="$$missing openssh-server"; \
	[ -x /usr/lib/openssh/sftp-server ] || [ -x /usr/libexec/openssh/sftp-server ] \
	  || [ -x /usr/libexec/sftp-server ] || missing="$$missing openssh-sftp-server"; \
	command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	[ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing for the tests:$$missing"; \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing </dev/null >/dev/null && exit 0; \
	fi; \
	echo "some tests will be skipped; to run them: sudo apt-get install$$missing" >&2
