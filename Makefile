# SPDX-License-Identifier: GPL-3.0-or-later
# Every target installs what it needs by itself: system packages (scripts/packages.txt) and .cache/venv.

SHELL := /bin/sh
BIN := .cache/venv/bin
TREE := .cache/collections
DIST := .cache/dist
VERSION := $(shell sed -n 's/^version: *//p' galaxy.yml)
ARTIFACT := $(DIST)/gfapi-virt-$(VERSION).tar.gz

# Tools find the virtualenv's other tools, and leave nothing outside .cache.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export ANSIBLE_HOME := $(CURDIR)/.cache/ansible
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help
help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## from nothing to a guest on gfapi, with the lab left up to look around
	lab/demo

.PHONY: test
test: ## the whole gate, cheapest first
	@scripts/gate venv ruff mypy unit changelog-lint awx ansible-lint,fuzz docs,unit-oldest sanity,mutants build molecule

.PHONY: lint
lint: ruff mypy changelog-lint ansible-lint docs ## everything that only reads: style, types, changelog, roles, documentation

.PHONY: ruff
ruff: venv ## Python style and form
	ruff check
	ruff format --check

.PHONY: format
format: venv ## put Python files in form
	ruff check --fix
	ruff format

.PHONY: mypy
mypy: venv ## types
	cd $(TREE) && mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.cache/mypy \
		-p ansible_collections.gfapi.virt.plugins

.PHONY: unit
unit: venv ## unit tests: no root, no network, no gluster
	pytest -n auto $(ARGS)

.PHONY: changelog-lint
changelog-lint: venv ## changelog fragments
	antsibull-changelog lint

.PHONY: ansible-lint
ansible-lint: venv ## roles, playbooks, metadata, YAML
	ansible-lint

.PHONY: docs
docs: venv ## documentation of modules and roles, and the site
	antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs=self --skip-rstcheck .
	@$(MAKE) --no-print-directory site

SITE := .cache/site
.PHONY: site
site: venv ## the guides, and the reference of modules, roles and filters, as HTML in .cache/site/html
	rm -rf $(SITE)
	mkdir -p $(SITE)/source/reference
	cp -R *.md *.txt execution-environment.yml COPYING docs molecule playbooks plugins roles tests scripts/site/. $(SITE)/source
	antsibull-docs collection --use-current --fail-on-error --squash-hierarchy --no-add-antsibull-docs-version \
		--dest-dir $(SITE)/source/reference gfapi.virt
	sphinx-build --quiet --fail-on-warning --nitpicky --builder html --doctree-dir $(SITE)/doctrees $(SITE)/source $(SITE)/html

.PHONY: awx
awx: venv ## job templates and surveys are those of the playbooks, and awx.awx takes them
	scripts/awx --check

COUNT := 100000
SEED := 0
.PHONY: fuzz
fuzz: venv ## give all that reads what others wrote COUNT=100000 inputs that are wrong; another SEED=0 makes others
	tests/fuzz/run --count $(COUNT) --seed $(SEED) $(ARGS)

.PHONY: mutants
mutants: venv ## lose our guards one by one, each of which turns a test red
	tests/mutants/run $(ARGS)

.PHONY: sanity
sanity: ## ansible-test sanity, with every supported Python that the machine has
	scripts/ansible-test sanity $(ARGS)

.PHONY: unit-oldest
unit-oldest: ## unit tests of what runs on hosts, with Python 3.9
	scripts/ansible-test units-oldest

.PHONY: build
build: venv ## build the collection, import it as Galaxy would, and install it into an empty place
	scripts/build $(ARTIFACT)

.PHONY: from-tarball
from-tarball: build lab-packages ## the demo with what is installed from the built file, on a fresh host
	scripts/from-tarball $(ARTIFACT) demo

.PHONY: release
release: venv ## a release of main, as a commit and a tag: make release VERSION=1.2.3
	scripts/release "$(VERSION)"

.PHONY: molecule
molecule: venv lab-packages browser-packages ## scenarios on real hosts, and the playbooks on them as AWX runs them
	molecule reset --all
	lab/lab image
	MOLECULE_COMMAND_BORDERS=false scripts/scenarios cluster default

.PHONY: runner
runner: venv browser-packages ## the playbooks as AWX runs them, on the hosts that the scenarios left
	GFAPI_LAB_INVENTORY=.cache/lab/default/inventory.yml GFAPI_CLUSTER_INVENTORY=.cache/lab/cluster/inventory.yml \
		pytest tests/runner $(ARGS)

.PHONY: ee
ee: venv lab-packages ## build the execution environment, and run gfapi.virt.site out of it on a lab host as AWX does
	scripts/ee

.PHONY: bench
bench: venv lab-packages ## measure what the documentation claims, and write docs/performance.md
	tests/bench/run $(ARGS)

.PHONY: faults
faults: venv lab-packages ## break a cluster in every way while guests write, and write docs/reliability.md
	molecule reset --scenario-name faults
	lab/lab up --fresh faults
	molecule converge --scenario-name faults
	pytest -c molecule/pytest.ini molecule/faults/tests --turns 2 --rounds 20 --write $(ARGS)

.PHONY: compat
compat: venv ## try each ansible-core with its Pythons, and write what came of it into docs/compatibility.md
	scripts/compat controllers $(ARGS)

SUITE := trixie
.PHONY: compat-hosts
compat-hosts: venv lab-packages ## the scenario default on hosts of Debian SUITE=trixie, and what came of it into README.md
	scripts/compat hosts $(SUITE) $(ARGS)

.PHONY: torture
torture: venv lab-packages ## kill modules at each call by which they change something, on a real host
	tests/torture/run $(ARGS)

.PHONY: venv
venv: ## only the virtualenv, .cache/venv
	@scripts/venv

.PHONY: lab-packages
lab-packages:
	@scripts/packages lab

.PHONY: browser-packages
browser-packages:
	@scripts/packages browser

.PHONY: clean
clean: ## remove the lab's hosts and images, and .cache; system packages stay, and are named
	@if command -v podman >/dev/null; then lab/lab clean; fi
	rm -rf .cache
	@echo "These system packages were installed if they were missing, and stay:"
	@scripts/packages --list tools lab browser | tr '\n' ' '; echo
