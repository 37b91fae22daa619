# bff-operator. `make help` lists what there is to call.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CACHE      := $(CURDIR)/.cache
BIN        := $(CACHE)/bin
VERSION    ?= dev
# Where images live. The cluster of `make cluster-up` takes them from here; for
# a cluster of your own set CLUSTER=current and a registry it can pull from.
IMAGE_PREFIX ?= localhost
IMAGE_TAG    ?= $(VERSION)
# What they run on, for a registry: one platform or several, comma separated.
IMAGE_PLATFORM ?= linux/$(shell go env GOARCH)
# own: a one-node Kubernetes built from source. current: the cluster kubectl talks to now.
CLUSTER    ?= own

CONTROLLER_GEN := sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0
STATICCHECK    := honnef.co/go/tools/cmd/staticcheck@v0.8.2

ifeq ($(CLUSTER),own)
export KUBECONFIG := $(CACHE)/cluster/kubeconfig
export PATH := $(BIN):$(PATH)
endif
export KUBEBUILDER_ASSETS := $(BIN)

##@ Use it

.PHONY: demo
demo: cluster-up images-load ## From nothing to a shop in your browser, on a real Kubernetes
	go run ./hack/quickstart up --image-prefix $(IMAGE_PREFIX) --image-tag $(IMAGE_TAG)

.PHONY: demo-down
demo-down: ## Take the demo and its cluster away
	go run ./hack/quickstart down
	$(MAKE) cluster-down

.PHONY: dev
dev: ## The same shop in seconds, on this machine, without a cluster
	go run ./sidecar/dev -f config/samples/shop/policy.yaml

##@ Build

.PHONY: build
build: ## The two binaries, into .cache/bin
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o $(BIN)/bff-operator .
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o $(BIN)/bff-sidecar ./sidecar

IMAGES := bff-operator bff-sidecar bff-demo bff-redis

.PHONY: images
images: prerequisites ## The images, as files, without Docker
	go -C hack/images run . build --out .cache/images --tag $(IMAGE_TAG) $(IMAGES)

.PHONY: images-load
ifeq ($(CLUSTER),own)
images-load: images
	go -C hack/cluster run . load $(IMAGES:%=.cache/images/%.tar)
else
images-load: prerequisites
	@[ "$(IMAGE_PREFIX)" != localhost ] || { echo "Set IMAGE_PREFIX to a registry that your cluster pulls from, for example IMAGE_PREFIX=ghcr.io/me" >&2; exit 1; }
	go -C hack/images run . push --to $(IMAGE_PREFIX) --tag $(IMAGE_TAG) --platform $(IMAGE_PLATFORM) $(IMAGES)
endif

.PHONY: generate
generate: ## Deepcopy code, CRD, RBAC and the chart's copies of them
	GOFLAGS=-mod=mod go run $(CONTROLLER_GEN) object paths=./api/... \
		crd paths=./api/... output:crd:artifacts:config=config/crd
	GOFLAGS=-mod=mod go run $(CONTROLLER_GEN) rbac:roleName=bff-operator \
		paths=./controllers/... paths=./webhook/... output:rbac:artifacts:config=config/rbac
	go run ./hack/chart
	go run ./hack/reference

.PHONY: verify
verify: ## Fail when generated files, formatting or vet differ from what is checked in
	STATICCHECK=$(STATICCHECK) hack/verify.sh

##@ Test

.PHONY: test
test: prerequisites envtest verify ## Everything that needs no cluster: unit, envtest, real Redis, real provider
	go test -race -timeout 15m ./...
	go -C hack/cluster test ./...
	go -C hack/images test ./...

.PHONY: conformance
conformance: prerequisites ## The built sidecar against every row of the standards, and real providers; prints a table
	cd hack/conformance/oidcprovider && npm ci --no-progress --loglevel=error
	cd hack/conformance && go test -tags conformance -timeout 30m

.PHONY: budget
budget: prerequisites ## A call's allocations and instructions, against what it may cost
	go test -run '^TestAllocationsOfACall$$' -v ./sidecar/internal/server
	go run ./hack/bench instructions

.PHONY: bench
bench: prerequisites ## What the sidecar costs, next to other session proxies: about 20 minutes on a quiet machine
	go run ./hack/bench rivals --out $(CACHE)/bench/rivals
	go run ./hack/bench loads --out $(CACHE)/bench/loads

.PHONY: e2e
e2e: cluster-up images-load ## The product on a real Kubernetes, with a real browser
	hack/e2e/run.sh

##@ A cluster without Docker

.PHONY: prerequisites
prerequisites: ## Install the Debian packages that tests and cluster need, if missing
	hack/prerequisites.sh

.PHONY: envtest
envtest: ## The API server and etcd that envtest runs
	go -C hack/cluster run . build --for envtest

.PHONY: cluster-up
.PHONY: cluster-down
ifeq ($(CLUSTER),own)
cluster-up: prerequisites ## A one-node Kubernetes, built from source the first time
	go -C hack/cluster run . up
cluster-down: ## End it, leaving nothing
	go -C hack/cluster run . down
else
cluster-up: ;
cluster-down: ;
endif

.PHONY: help
help: ## This list
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*##/ {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
