# make demo   a conversation in simulation, with report and film      make test   build, all tests, lint, types
# Both set everything up first, on a fresh Debian or Ubuntu, with or without a ROS installation, and do nothing twice.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
VENV ?= $(CURDIR)/.venv
# An installed distribution wins: ROS_DISTRO, else what is under /opt/ros; else the wheels.
ROS_SETUP ?= $(firstword $(wildcard /opt/ros/$(ROS_DISTRO)/setup.bash) $(wildcard /opt/ros/*/setup.bash))
ENV := export VENV='$(VENV)' ROS_SETUP='$(ROS_SETUP)'; . tools/setup/env.sh
AREA ?= all
QUICK ?=
DEMO_OUT ?=
MINUTES ?= 30
CYCLES ?= 100
SEED ?= 0
SOAK_OUT ?=

.PHONY: help setup torch build prepare demo test test-fast lint bench soak clean
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## system libraries, Python environment, models
	@bash tools/setup/system.sh
	@bash tools/setup/python.sh '$(VENV)' '$(ROS_SETUP)'

torch: setup ## torch, ultralytics and transformers, for the engines that need them (5 GB)
	@bash tools/setup/torch.sh '$(VENV)'

build: setup ## messages and package, with colcon
	@$(ENV); colcon --log-base log build --build-base build --install-base install --event-handlers console_cohesion- status- \
	  --cmake-args -DPython3_EXECUTABLE="$(VENV)/bin/python" -DPython3_FIND_VIRTUALENV=ONLY -DBUILD_TESTING=ON -Wno-dev

prepare: build ## compiled scenes, exported models, the visitor's lines: made once, into the cache
	@$(ENV); cd build && python -m bbia_ros.prepare

demo: prepare ## the conversation; leaves a folder with report.html, demo.mp4 and bag/
	@$(ENV); cd build && bbia demo $(if $(DEMO_OUT),--out '$(DEMO_OUT)',--out '$(CURDIR)')

test: torch build lint ## colcon test (fast and heavy), ruff, mypy
	@$(ENV); export PYTHONDONTWRITEBYTECODE=1; \
	colcon --log-base log test --build-base build --install-base install --return-code-on-test-failure \
	  --event-handlers console_direct+ || failed=1; \
	colcon test-result --test-result-base build --verbose | tail -n 60; \
	[ -z "$${failed:-}" ]

test-fast: build ## only tests without models, processes, simulator or graph
	@$(ENV); cd build && for feature in $(CURDIR)/test/*/; do python -m pytest -q -m 'not heavy' $$feature; done

lint: build ## ruff and mypy
	@$(ENV); ruff check . && ruff format --check . && mypy bbia_ros tools benchmarks launch setup.py

bench: $(if $(filter all monolith,$(AREA)),torch) build ## measure; AREA=memory|manager|perception|speech|motion|operations|monolith, QUICK=1
	@$(ENV); cd build && bbia bench $(AREA) $(if $(QUICK),--quick) --out '$(CURDIR)/build/bench'

soak: prepare ## 100 sleep-converse cycles, then 30 minutes of chaos (about an hour); MINUTES=2 CYCLES=3 SEED=0 for a short one
	@$(ENV); cd build && bbia soak --cycles $(CYCLES) --minutes $(MINUTES) \
	  $(if $(filter-out 0,$(MINUTES)),--chaos) --seed $(SEED) --out $(if $(SOAK_OUT),'$(SOAK_OUT)','$(CURDIR)')

clean: ## removes build, install and log; the environment stays
	rm -rf build install log
