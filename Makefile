# Muxflow. `make demo` does the main job, `make test` the checks; both make and use .venv/ here.
#
#   make demo              the whole job on the shipped digits network (BOARD=pynq-z2 SELECT=channel)
#   make test              lint, types and tests
#   make build MODEL=...   fold a model to BOARD and write its HLS project
#   make csim  MODEL=...   ... and simulate it (DATA=digits for a data set, random codes otherwise)
#   make report MODEL=...  ... and write its report
#   make train             train the digits network again (SELECT=channel|channel-mean|element|always)
#   make benchmark         measure import, fit, compile and simulation of a CIFAR-sized network
#   make lint              ruff and mypy only
#   make clean             remove build/ and .venv/

PYTHON ?= python3
BOARD ?= pynq-z2
SELECT ?= channel
MODEL ?= frontend/pretrained/mognet_digits.onnx
NAME := $(basename $(notdir $(MODEL)))
PROJECT := build/$(NAME)
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint build csim report train benchmark clean venv update-golden

demo: $(READY)
	$(BIN)/muxflow demo --board $(BOARD) --select $(SELECT)

test: lint
	$(BIN)/pytest -n $(JOBS) --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPY=$(CURDIR)/$(BIN)/mypy tools/typecheck.sh

build: $(READY)
	$(BIN)/muxflow build $(MODEL) --board $(BOARD) --output $(PROJECT)

csim: build
	$(BIN)/muxflow csim $(PROJECT) $(if $(DATA),--data $(DATA))

report: build
	$(BIN)/muxflow report $(PROJECT)

train: $(READY)
	$(BIN)/muxflow train mognet_digits --select $(SELECT) --output build/train

benchmark: $(READY)
	$(BIN)/python benchmarks/mognet_cifar.py

update-golden: $(READY)
	$(BIN)/pytest --update-golden tests/hls tests/reports

venv: $(READY)

# A half-made environment has no stamp, so the next make goes on with it.
$(READY): constraints.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "no $(PYTHON) on PATH: Muxflow needs Python 3.11 (make PYTHON=...)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than Python 3.11" >&2; exit 1; }
	@echo "making $(VENV) (about 2 GB, a minute or two) ..."
	$(PYTHON) -m venv $(VENV)
	@echo "installing the build tools and torch ..."
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt setuptools torch
	@echo "installing Muxflow and everything it is tested with ..."
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[all]'
	@touch $(READY)

clean:
	rm -rf build $(VENV)
