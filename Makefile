# make lab | app | demo | test | soak | lint: each makes the virtual environment first if it is missing or out of date.
#
#   PYTHON     the interpreter the environment is made with, 3.11 or newer      make lab PYTHON=python3.12
#   VENV       where the environment lies
#   PIP_ARGS   further arguments for pip install                                make lab PIP_ARGS="--extra-index-url …"
#   TEST_WORKERS   processes that share the tests, file by file; 0: none but pytest's own
#   PYTEST_ARGS, DEMO_ARGS, LAB_ARGS, APP_ARGS, BENCH_ARGS   further arguments for those programs

PYTHON   ?= python3
VENV     ?= .venv
PIP_ARGS ?=
TEST_WORKERS ?= 2
NOTEBOOK ?= notebooks/00_quickstart.ipynb

SHARED    := -n $(TEST_WORKERS) --dist loadfile
BIN       := $(VENV)/bin
NOTEBOOKS := $(sort $(wildcard notebooks/*.ipynb))
BENCHES   := recover_step relabel validate labels scaling end_to_end

# OpenMP threads that spin while they wait slow down whoever shares the cores: a kernel, a server, a browser. A short spin is
# better than none: between the small operations of a tiny network nobody should fall asleep.
GOMP_SPINCOUNT ?= 10000
export GOMP_SPINCOUNT

.PHONY: help lab app demo test soak lint bench notebooks clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*  ## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r t d; do printf '  make %-10s %s\n' "$$t" "$$d"; done

# Where no browser can be opened, only say the address.
WINDOW := window=; if [ "$$(uname)" != Darwin ] && [ -z "$$DISPLAY$$WAYLAND_DISPLAY" ]; then window=--no-browser; fi

lab: $(VENV)/.installed-lab  ## open JupyterLab on the quickstart notebook
	@$(WINDOW); root=; \
	[ "$$(id -u)" != 0 ] || root=--allow-root; \
	exec $(BIN)/jupyter lab $$window $$root --ServerApp.root_dir='$(CURDIR)' --LabApp.default_url=/lab/tree/$(NOTEBOOK) $(LAB_ARGS)

app: $(VENV)/.installed-app  ## open the studio as a page without code, served by Voilà
	@$(WINDOW); cd notebooks && exec $(abspath $(BIN))/voila studio.ipynb $$window $(APP_ARGS)

demo: $(VENV)/.installed-core  ## condense the digits end to end on the CPU; results in runs/demo
	@$(BIN)/sre2l demo $(DEMO_ARGS)

test: $(VENV)/.installed-test  ## run the tests, and every notebook in fast mode
	@SRE2L_FAST=1 $(BIN)/python -m pytest $(SHARED) tests $(NOTEBOOKS) \
	  --nbval-lax --nbval-current-env --nbval-cell-timeout=120 $(PYTEST_ARGS)

soak: $(VENV)/.installed-test  ## attack files, inputs and processes for a quarter of an hour; the table goes into docs/trust.md
	@$(BIN)/python -m pytest $(SHARED) tests/fuzz tests/survival --soak --figures docs/trust.md --durations=5 $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev  ## ruff (rules and format, notebooks too) and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(VENV)/.installed-core  ## run the benchmarks, about five minutes on a CPU; each prints one table
	@set -e; for b in $(BENCHES); do $(BIN)/python benchmarks/$$b.py $(BENCH_ARGS); done

notebooks: $(VENV)/.installed-dev  ## run the notebooks anew and keep their outputs, without widget state
	@set -e; for n in $(NOTEBOOKS); do $(BIN)/jupyter execute --inplace $$n; $(BIN)/nbstripout --keep-output --keep-count $$n; done

clean:  ## remove .venv, caches and build output; runs/ stays
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path ./runs -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -prune -exec rm -rf {} +

# --- the environment ---------------------------------------------------------------------------------------
# core < lab < app < test < dev. A stamp says that the extra is installed, and so does the stamp of every larger one.

define CHECK_PYTHON
import sys
if sys.version_info < (3, 11):
    sys.exit("sre2l_core needs Python 3.11 or newer; $(PYTHON) is %d.%d. Try: make PYTHON=python3.11" % sys.version_info[:2])
endef
export CHECK_PYTHON

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found. Try: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c "$$CHECK_PYTHON"
	@echo "Making $(VENV) with $$($(PYTHON) -V)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

define INSTALL
@echo "Installing sre2l-core$(1) into $(VENV) (the first time takes a few minutes: PyTorch is large)"
@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_ARGS) -e ".$(1)"
@touch $(foreach x,$(2),$(VENV)/.installed-$(x))
endef

INPUTS := pyproject.toml constraints.txt

$(VENV)/.installed-core: $(INPUTS) | $(BIN)/python
	$(call INSTALL,,core)

$(VENV)/.installed-lab: $(INPUTS) | $(BIN)/python
	$(call INSTALL,[lab],core lab)

$(VENV)/.installed-app: $(INPUTS) | $(BIN)/python
	$(call INSTALL,[app],core lab app)

$(VENV)/.installed-test: $(INPUTS) | $(BIN)/python
	$(call INSTALL,[test],core lab app test)

$(VENV)/.installed-dev: $(INPUTS) | $(BIN)/python
	$(call INSTALL,[dev],core lab app test dev)
