# Everything runs in .venv, which the first target makes from hash-locked requirements. Needs Python 3.11 to 3.13 and make.
.DEFAULT_GOAL := help
.PHONY: help install demo test backends lint bench notebooks docs clean lock
.DELETE_ON_ERROR:
.NOTPARALLEL:

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
export PYTHON ?=
export TF_CPP_MIN_LOG_LEVEL ?= 3

# Compiled at install: with PYTHONDONTWRITEBYTECODE each process would compile what it imports, TensorFlow for example.
export UV_COMPILE_BYTECODE ?= 1

# uv does not read pip's settings: hand an index and a certificate on.
ifneq ($(PIP_INDEX_URL),)
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
ifneq ($(PIP_CERT),)
export SSL_CERT_FILE ?= $(PIP_CERT)
endif

EXECUTED := $(patsubst notebooks/%,build/notebooks/%,$(wildcard notebooks/*.ipynb))

help:  ## show this help
	@echo "usage: make TARGET [PYTHON=/path/to/python]"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' Makefile

install: $(STAMPS)/main  ## make .venv with the command vad

demo: $(STAMPS)/main  ## run all stages on generated videos and score one: about five minutes on two cores
	@$(BIN)/vad demo $(ARGS)

test: $(STAMPS)/dev  ## run the tests, two files at a time (ARGS="-k crf" passes arguments to pytest)
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

backends: $(STAMPS)/backends  ## also install JAX and PyTorch: make test then compares all three backends

lint: $(STAMPS)/dev  ## check style (ruff), types (mypy) and import rules (import-linter)
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

bench: $(STAMPS)/main  ## measure this machine: decoding, extraction, training, scoring, memory, and the core
	@$(BIN)/vad bench $(ARGS)
	@$(BIN)/python -m benchmarks

notebooks: $(STAMPS)/dev  ## run every notebook in build/notebooks; the files in git do not change
	@rm -f $(EXECUTED)
	@$(MAKE) --no-print-directory $(EXECUTED)

docs: $(STAMPS)/dev $(EXECUTED)  ## build the documentation site into build/docs; runs the notebooks that have changed
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build -q -f docs/site/mkdocs.yml && \
		echo "open build/docs/index.html; with the search: python -m http.server -d build/docs"

clean:  ## remove .venv, the caches and the demo's output; your own runs stay
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis build runs/demo runs/bench
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

build/notebooks/03_mean_field_crf.ipynb: NEEDS = jax

# All run in one folder, so that what one has trained the next one finds.
build/notebooks/%.ipynb: notebooks/%.ipynb
	@mkdir -p build/notebooks && cp $< $@
	@if [ -z "$(NEEDS)" ] || $(BIN)/python -c "import $(NEEDS)" 2>/dev/null; then \
		echo "running $<" && cd build/notebooks && \
		{ "$(CURDIR)/$(BIN)/jupyter-execute" --inplace $*.ipynb >$*.log 2>&1 || { cat $*.log; exit 1; }; } && rm $*.log; \
	else \
		echo "$< was not run: it needs $(NEEDS). Run make backends, then make notebooks."; \
	fi

lock: $(STAMPS)/uv  ## resolve requirements/*.txt from pyproject.toml again
	$(LOCK) requirements/uv.in -o requirements/uv.txt
	$(LOCK) pyproject.toml requirements/build.in --extra pipelines --extra serving --extra live --extra mqtt -o requirements/main.txt
	$(LOCK) pyproject.toml requirements/build.in --extra dev -c requirements/main.txt -o requirements/dev.txt
	$(LOCK) requirements/backends.in -c requirements/dev.txt -o requirements/backends.txt

LOCK = $(BIN)/uv pip compile -q --upgrade --universal --fork-strategy fewest --generate-hashes --no-header --no-annotate \
	--no-emit-index-url

# A stamp says which requirements .venv holds. An install that fails is tried once more without the cache.
UV_INSTALL = install() { $(BIN)/uv pip install -q -p $(BIN)/python "$$@" || $(BIN)/uv pip install -q --no-cache -p $(BIN)/python "$$@"; }

$(STAMPS)/venv: .ci/find-python
	@PYTHON=$(BIN)/python sh .ci/find-python >/dev/null 2>&1 || { \
		python=$$(sh .ci/find-python) && echo "making $(VENV) with $$python" && "$$python" -m venv --clear $(VENV); }
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/uv: requirements/uv.txt $(STAMPS)/venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

$(STAMPS)/main: requirements/main.txt pyproject.toml $(STAMPS)/uv
	@echo "installing the requirements of the program (about 2.4 GB unpacked)"
	@$(UV_INSTALL); install --require-hashes -r requirements/main.txt && install --no-deps --no-build-isolation -e .
	@touch $@

$(STAMPS)/dev: requirements/dev.txt $(STAMPS)/main
	@echo "installing the requirements of the tests"
	@$(UV_INSTALL); install --require-hashes -r requirements/dev.txt
	@touch $@

# PyTorch comes by pip, from wherever pip is told to look: a CPU build where there is one, else what PyPI has for this
# machine (on Linux gigabytes of CUDA). Its version is fixed; its own needs and JAX are locked.
$(STAMPS)/backends: requirements/backends.txt $(STAMPS)/dev
	@echo "installing JAX and PyTorch"
	@$(UV_INSTALL); install --require-hashes -r requirements/backends.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check torch==2.13.0
	@$(BIN)/python -c "import jax, torch"
	@touch $@
