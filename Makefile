# Everything a person or CI runs. `make` alone prints the targets.

SHELL         := bash
.SHELLFLAGS   := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS     += --no-print-directory

BIN     := build/bin
CACHE   := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/gatestay
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# One build configuration for lint, vet and build, so that they share Go's
# cache: compiling PostgreSQL's parser in C takes minutes. net and os/user in
# pure Go are what lets the services be static.
TAGS     := netgo,osusergo
GOBUILD  := go build -trimpath -tags $(TAGS)
STAMP    := -s -w

# The services are static; those that parse SQL need the C linker for it.
# gatestay is dynamic: it loads the embedded ClickHouse as a library.
SERVICES := gateway policy masking approval archival
CGO      := gateway policy masking
BUF      := $(CACHE)/buf-1.75.0/node_modules/.bin/buf
PATTERNS  = $(patsubst %,./%/...,$(shell go list -m -f '{{.Dir}}' | sed "s|^$(CURDIR)/||"))

.PHONY: help
help: ## print these targets
	@if [ -t 1 ] && [ -z "$${NO_COLOR:-}" ]; then c=$$'\e[36m' r=$$'\e[0m'; else c= r=; fi; \
	awk -v c="$$c" -v r="$$r" -F ':.*## ' '/^[a-z]+:.*## /{printf "  %s%-9s%s %s\n", c, $$1, r, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(BIN)/gatestay ## play the whole story on real parts: a job, a hold, a click in Slack, the audit
	@$(BIN)/gatestay demo

.PHONY: dev
dev: $(BIN)/gatestay ## run everything on this machine and print how to connect
	@$(BIN)/gatestay dev --sample

# The black-box tests run alone: they start whole servers and watch the clock.
.PHONY: test
test: ## run every test of every module with the race detector, on real servers
	@.ci/install
	go test -race -timeout 10m $(filter-out ./e2e/...,$(PATTERNS))
	go test -race -timeout 20m -parallel 8 $(filter-out %/regress,$(shell go list ./e2e/...))
	go test -timeout 10m ./e2e/regress

.PHONY: lint
lint: $(BIN)/golangci-lint $(BUF) ## check style, bugs, imports and the event schema
	GOFLAGS=-trimpath $(BIN)/golangci-lint run --timeout 15m $(PATTERNS)
	go vet -trimpath -tags $(TAGS) work
	cd schemas && "$(BUF)" lint

.PHONY: build
build: $(SERVICES:%=$(BIN)/%) $(BIN)/gatestay ## build the five services and gatestay into build/bin

# Go's own cache decides what is stale.
.PHONY: $(SERVICES:%=$(BIN)/%) $(BIN)/gatestay
$(SERVICES:%=$(BIN)/%): $(BIN)/%: | $(BIN)
	$(GOBUILD) -ldflags '$(STAMP)$(if $(filter $*,$(CGO)), -linkmode external -extldflags -static)' -o $@ ./services/$*/cmd/$*

$(BIN)/gatestay: | $(BIN)
	$(GOBUILD) -ldflags '$(STAMP)' -o $@ ./services/gatestay/cmd/gatestay

.PHONY: images
images: $(SERVICES:%=$(BIN)/%) ## build a container image of each service
	@for s in $(SERVICES); do deploy/docker/build "$$s" "$(VERSION)"; done

.PHONY: bench
bench: build ## measure against direct, pgbouncer and a bare splice; leaves build/bench.json
	@.ci/install
	go run -tags $(TAGS) ./e2e/cmd/bench --bin $(BIN) --output build/bench.json $(ARGS)

.PHONY: fuzz
fuzz: ## fuzz every decoder and parser for FUZZTIME (10s) each
	@.ci/fuzz "$(or $(FUZZTIME),10s)"

.PHONY: redteam
redteam: ## run the attack classes; one line each: number, name, tests, passed or not yet
	@.ci/install
	@go run ./e2e/cmd/redteam $(ARGS)

.PHONY: regress
regress: ## run PostgreSQL's own regression suite directly and through the gateway, and compare
	@.ci/install
	go test -count=1 -timeout 60m ./e2e/regress -files all $(ARGS)

.PHONY: generate
generate: $(BIN)/protoc-gen-go $(BUF) ## generate Go code from the event schema
	cd schemas && PATH="$(CURDIR)/$(BIN):$$PATH" "$(BUF)" generate

# Tools are pinned in .tools/go.mod and built only when it changes.
TOOLS := golangci-lint protoc-gen-go
$(TOOLS:%=$(BIN)/%): $(BIN)/%: .tools/go.mod | $(BIN)
	cd .tools && GOWORK=off go build -o $(CURDIR)/$@ "$$(GOWORK=off go list -f '{{.ImportPath}}' tool | grep '/$*$$')"
	@touch $@

$(BUF):
	npm install --prefix "$(CACHE)/buf-1.75.0" --no-save --no-audit --no-fund --loglevel error @bufbuild/buf@1.75.0

$(BIN):
	@mkdir -p $@
