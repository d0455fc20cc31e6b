# Every target is one job; `.ci/run` calls lint and test. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help packages model cluster-parts build fmt lint generate fixtures test test-build test-unit test-contract test-server test-cluster test-node sweep mutants images cluster demo demo-local eval bench deny clean

CARGO ?= cargo
# The same selection everywhere, so that features are the same and nothing is built twice.
WORKSPACE := --workspace
TARGET := $(or $(CARGO_TARGET_DIR),target)/x86_64-unknown-linux-gnu/debug

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

packages: ## install the Debian packages that the real node and the images need (root; does nothing when they are there)
	@bash tests/packages.sh

model: ## fetch the embedding model into model/ (21 MB, by exact version and checksum)
	@bash rag-server/model/fetch.sh

cluster-parts: ## build Kubernetes from Go modules into a cache outside the checkout (once, about 11 minutes on 2 cores)
	@bash tests/cluster/parts/build.sh

build: ## build both programs
	$(CARGO) build $(WORKSPACE) --bins

fmt: ## format the code
	$(CARGO) fmt --all

generate: ## write the generated files (crds/, the chart's copies, the configuration reference)
	@bash tests/lint/generate.sh

fixtures: ## write down what this version of the operator makes of every example; once for each version, never again
	RAGOPS_WRITE_FIXTURES=1 $(CARGO) test $(WORKSPACE) --test contract -- --exact upgrade::this_version_and_every_one_that_was_released_has_its_fixtures

lint: ## formatting, clippy, import rule, generated files
	$(CARGO) fmt --all --check
	python3 tests/lint/import_rule.py --self-test
	python3 tests/lint/import_rule.py
	bash tests/lint/features.sh
	$(CARGO) clippy $(WORKSPACE) --all-targets -- -D warnings
	bash tests/lint/generate.sh --check

test: test-build test-unit test-contract test-server test-cluster test-node ## all that this machine can run; says what it skips and why

test-build: packages model ## build every test, and Kubernetes beside it
	@bash tests/build.sh

test-unit: ## pure tests, no input or output
	$(CARGO) test $(WORKSPACE) --lib --bins

test-contract: model ## adapters against their ports' suites, the operator's output against the server and the API server
	$(CARGO) test $(WORKSPACE) --test contract

test-server: model ## the real rag-server, started as a process
	$(CARGO) test $(WORKSPACE) --test server

test-cluster: ## a real control plane with simulated nodes (any user)
	$(CARGO) test $(WORKSPACE) --test cluster

test-node: images ## a real node (root on Linux)
	$(CARGO) test $(WORKSPACE) --test node

sweep: ## kill the operator between any two of its writes: of clusters, snapshots, restores and drills, every position
	RAGOPS_SWEEP=all $(CARGO) test $(WORKSPACE) --test cluster -- --nocapture sweep

mutants: ## break the code in one place after the other; unit tests must notice (BASE=main: what changed since, FILES='glob': these files)
	@bash tests/mutants.sh

images: build model packages ## image archives in target/images: operator, rag-server with its model, the Qdrant double
	@bash tests/images.sh $(TARGET)

cluster: build cluster-parts ## start a real control plane (NODE=1: with a real node), print its KUBECONFIG, stay until Ctrl-C
	@$(TARGET)/cluster up $(if $(NODE),--node)

demo: ## the main job on a real node: apply, ingest, ask (as root on Linux; elsewhere demo-local, or KUBECONFIG=... IMAGE_PREFIX=...)
	@bash tests/demo/run.sh

demo-local: model ## rag-server alone: ingest the sample documents, ask three questions
	@bash tests/demo/local.sh

eval: build model ## retrieval quality on judged sets, through the real HTTP server
	@bash tests/eval/run.sh $(TARGET)

bench: build model ## speed and memory beside goals and a peer (PARTS="server records snapshots corpora peers operator" chooses)
	@bash tests/bench/run.sh $(TARGET) $(PARTS)

deny: ## licences, advisories and sources of the dependencies
	cargo deny check

clean: ## remove what was built here; the caches outside the checkout stay
	$(CARGO) clean
	rm -rf model
