# Every target sets up what it needs: a virtual environment, .venv, made by PYTHON once and again
# when what it is made from changes. The second time is quick.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
# Built where there is a compiler, with the rest of the package; see setup.py.
NATIVE := $(wildcard liquid_nav/onboard/native/*.cpp liquid_nav/onboard/native/*.h sim/render/native/*.cpp)
# Compiled likewise, by mypyc: an edit of these acts once they are compiled again.
INNER_LOOP := $(patsubst %,sim/%.py,normals rotation sensors/clock sensors/imu sensors/sources vehicle/autopilot \
    vehicle/battery vehicle/body vehicle/mixer vehicle/rotors vehicle/velocity_loops)

# ROS 2 as wheels, for the tests over real DDS: there are some for Linux on x86-64, and they must not
# meet a ROS installation that is sourced, which the tests then use instead.
ifeq ($(shell uname -sm)$(AMENT_PREFIX_PATH),Linux x86_64)
ROS := ,ros
endif

EPISODES ?= 3
SEED ?= 100000
OUT ?= out/fly
RUN ?= runs/target

.DEFAULT_GOAL := help
.PHONY: help fly train test format clean

help:
	@echo 'make fly     fly the shipped policy in the simulator: EPISODES=$(EPISODES) SEED=$(SEED) OUT=$(OUT)'
	@echo 'make test    lint, types, tests'
	@echo 'make train   train a policy: RUN=$(RUN)'
	@echo 'make format  format the sources and mend what ruff can'
	@echo 'make clean   remove the environment, caches and what was built'

fly: $(STAMP)
	$(BIN)/liquid-nav fly --task target --episodes $(EPISODES) --seed $(SEED) --out $(OUT)

train: $(STAMP)
	$(BIN)/liquid-nav train target --out $(RUN)

test: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest --numprocesses 2

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) build dist install log *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis \
	    liquid_nav/onboard/native/*.so sim/*.so sim/*/*.so

# The constraints pin the build's tools as well, so nothing is built in isolation from them.
$(STAMP): setup.py setup.cfg pyproject.toml constraints.txt Makefile $(NATIVE) $(INNER_LOOP)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo 'liquid_nav needs Python 3.10 or newer: make PYTHON=/path/to/python' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt setuptools wheel mypy
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation \
	    --editable '.[sim,train,replay,view,viz,test,dev$(ROS)]'
	mkdir -p $(VENV)/typing
	ln -sfn ../../sim $(VENV)/typing/liquid_nav_sim
	touch $@
