# `make demo` and `make test` work from a fresh clone: each makes the environment it needs.
# PYTHON chooses the interpreter (3.10 to 3.13), PYTHON_TF215 the one for TensorFlow 2.15 (3.10 or 3.11).

PYTHON ?= python3
# A version manager's stand-in may be on PATH without its interpreter, so a name counts only if it runs.
PYTHON_TF215 ?= $(firstword $(foreach name,python3.11 python3.10 python3,$(shell \
	$(name) -c 'import sys, ensurepip; sys.exit(sys.version_info[:2] not in [(3, 10), (3, 11)])' 2>/dev/null && echo $(name))))

VENV := .venv
VENV_TF215 := .venv-tf215
# Written last: an installation that was cut short is done again.
STAMP := $(VENV)/.installed
STAMP_TF215 := $(VENV_TF215)/.installed
PACKAGING := setup.py pyproject.toml

# The second generation runs what can differ there: what meets Keras, less the tests marked one_generation or slow, but for
# those marked both_generations.
TESTS_TF215 := -m "both_generations or not (one_generation or slow)" $(addprefix tests/,backbones boxes/segmentation callbacks \
	data/test_dataset_masks.py data/test_shards.py $(patsubst %,losses/test_%.py,attention attention_forms class_logits \
	classification contrastive dice embedding focal n_pair outside_loss triplet) $(patsubst %,metrics/test_%.py,attention_inside \
	macro_auc mean_class_accuracy metrics_in_fit) model network runs/test_distribution.py runs/test_run_training.py \
	runs/test_stage_training.py runs/test_start_weights.py serving/test_export.py serving/test_attention_box.py \
	serving/test_portable_resize.py test_model_file.py test_unpacked_size.py test_labels.py test_registration.py)

# The package, what its tests use, and the tools, in the versions and files of locks/. INSTALLER=uv takes a fifth of the time,
# but knows no pip.conf.
INSTALLER ?= pip
ifeq ($(filter pip uv,$(INSTALLER)),)
$(error INSTALLER must be pip or uv, not '$(INSTALLER)')
endif
INSTALL_uv = $(1)/bin/python -m pip install --quiet --disable-pip-version-check uv && \
	$(1)/bin/uv pip install --quiet --python $(1)/bin/python
INSTALL_pip = $(1)/bin/python -m pip install --quiet --disable-pip-version-check
INSTALL = $(INSTALL_$(INSTALLER)) --require-hashes -r locks/$(2).txt && \
	$(INSTALL_$(INSTALLER)) --no-deps --no-build-isolation --editable .
# Annotated with who wants what; markers for every Python and platform.
UV := .venv-uv/bin/uv
LOCK = $(UV) pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header --upgrade

# Tests of one file stay in one process: they share what they have traced. tests/conftest.py decides the files' order.
PYTEST_ARGUMENTS ?= --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
export TF_CPP_MIN_LOG_LEVEL ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test test-tf215 docs notebooks wheel lint format bench soak fuzz lock sbom clean

help: ## lists the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(STAMP) ## trains baseline and CARE on drawn lesions and compares them; writes demo/
	$(VENV)/bin/care demo

test: $(STAMP) ## the whole test suite, on current TensorFlow and Keras 3
	$(VENV)/bin/python -m pytest $(PYTEST_ARGUMENTS)

test-tf215: $(STAMP_TF215) ## what meets Keras, on TensorFlow 2.15 and Keras 2.15
	$(VENV_TF215)/bin/python -m pytest $(PYTEST_ARGUMENTS) $(TESTS_TF215)

docs: $(STAMP) ## the documentation site, checked, in site/
	$(VENV)/bin/python tools/docs/build.py

notebooks: $(STAMP) ## runs docs/notebooks/ and keeps what they draw and print
	$(VENV)/bin/python tools/docs/notebook_run.py docs/notebooks/*.ipynb

wheel: $(STAMP) ## the installable package, as sdist and wheel, in dist/
	$(VENV)/bin/python -m build

lint: $(STAMP) ## ruff (rules and format) and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(STAMP) ## lets ruff rewrite what it can
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(STAMP) ## the measurements in benchmarks/ as ratios, and what became slower (one to two hours); BENCH="--only step_cost"
	$(VENV)/bin/python benchmarks/run.py --compare benchmarks/reference.json $(BENCH)

soak: $(STAMP) ## kills the commands at random moments and compares what they end with (about an hour); SOAK="--trials 50" for less
	$(VENV)/bin/python tools/soak/soak.py --docs docs/reliability.md $(SOAK)

fuzz: $(STAMP) ## feeds broken inputs to every parser (about an hour); FUZZ="--inputs 1000" for less
	$(VENV)/bin/python tools/fuzz/fuzz.py --docs docs/reliability.md $(FUZZ)

$(UV):
	$(PYTHON) -m venv $(@D)/..
	$(@D)/pip install --quiet --disable-pip-version-check uv

lock: $(UV) ## resolves requirements*.txt into locks/ anew: the newest versions within the ranges, with hashes
	$(LOCK) --output-file locks/current.txt requirements.txt requirements-dev.txt requirements-docs.txt
	$(LOCK) --output-file locks/tf215.txt requirements-tf215.txt requirements.txt requirements-dev.txt

sbom: $(UV) $(STAMP) ## what .venv holds, as CycloneDX, in sbom.json
	$(UV) tool run --quiet --from cyclonedx-bom cyclonedx-py environment $(VENV) --output-file sbom.json

clean: ## removes the environments and everything generated
	rm -rf $(VENV) $(VENV_TF215) .venv-uv sbom.json demo site build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): $(PACKAGING) locks/current.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
		echo "care_tf needs Python 3.10 to 3.13, and PYTHON=$(PYTHON) is: $$($(PYTHON) --version 2>&1 | head -n 1)." \
			"Choose another: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@echo "Installing TensorFlow and the rest of requirements.txt into $(VENV): about 2 GB, a few minutes."
	$(PYTHON) -m venv --clear $(VENV)
	$(call INSTALL,$(VENV),current)
	touch $@

$(STAMP_TF215): $(PACKAGING) locks/tf215.txt
	@test -n "$(PYTHON_TF215)" || { \
		echo "TensorFlow 2.15 needs Python 3.10 or 3.11, and neither was found." \
			"Name one: make PYTHON_TF215=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	@echo "Installing TensorFlow 2.15 and what goes with it into $(VENV_TF215): about 2 GB, a few minutes."
	$(PYTHON_TF215) -m venv --clear $(VENV_TF215)
	$(call INSTALL,$(VENV_TF215),tf215)
	touch $@
