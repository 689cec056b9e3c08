# Everything that a developer or a build machine runs. make help lists the targets.

GO          ?= go
BIN         := $(CURDIR)/.bin
GOFUMPT     := $(BIN)/gofumpt
GOLANGCI    := $(BIN)/golangci-lint
PACKAGES    := ./...
FUZZTIME    ?= 20s

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## Run the hub on 127.0.0.1:8080 with an SQLite file here
	$(GO) run ./cmd/matric-events serve

.PHONY: build
build: ## Build the program into .bin
	$(GO) build -trimpath -o $(BIN)/matric-events ./cmd/matric-events

.PHONY: test
test: prepare ## Run all tests; installs what they need, and says what is left out
	$(GO) test -count=1 -timeout 10m $(PACKAGES)

.PHONY: race
race: prepare ## Run all tests under the race detector
	$(GO) test -race -count=1 -timeout 20m $(PACKAGES)

# What tests need beside Go. What cannot be had is named here, and its tests are skipped; with CI=true they fail.
NPM_PACKAGES := $(foreach folder,clients docs,tests/$(folder)/node_modules/.package-lock.json)
HAVE_INITDB  := $(shell command -v initdb || ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null)

.PHONY: prepare postgres nginx promtool chromium
prepare: postgres nginx promtool chromium $(if $(shell command -v npm),$(NPM_PACKAGES))
	@command -v npm >/dev/null || echo "npm is not installed: tests that use npm packages are skipped"

$(NPM_PACKAGES): %/node_modules/.package-lock.json: %/package-lock.json
	npm ci --silent --prefix $* || echo "npm packages of $* cannot be installed: the tests that use them are skipped"

# $(call apt,PACKAGE,WHAT) installs a package of Debian's where that is possible, and says what is left out where it is not.
apt = @if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -q >/dev/null && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $(1) >/dev/null; then :; \
	else echo "$(1) is not installed: $(2)"; fi

postgres:
ifeq ($(HAVE_INITDB),)
	$(call apt,postgresql,tests on PostgreSQL are skipped)
endif

nginx:
ifeq ($(shell command -v nginx),)
	$(call apt,nginx,tests of the example site are skipped)
endif

# Of Debian's package only the tool is wanted; the server that comes with it is not started by tests.
promtool:
ifeq ($(shell command -v promtool),)
	$(call apt,prometheus,alert rules are not tried)
endif

CHROMIUM := chromium chromium-browser google-chrome google-chrome-stable

chromium:
ifeq ($(shell command -v $(CHROMIUM)),)
	$(call apt,chromium,tests in a browser are skipped)
endif
	@command -v rustc >/dev/null || echo "rustc is not installed: tests of the examples in Rust are skipped"

.PHONY: lint
lint: $(GOFUMPT) $(GOLANGCI) ## Check format, vet and lint
	@unformatted=$$($(GOFUMPT) -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofumpt would change:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet $(PACKAGES)
	$(GOLANGCI) run $(PACKAGES)
	$(GO) mod tidy -diff

.PHONY: format
format: $(GOFUMPT) ## Format all code
	$(GOFUMPT) -w $$(git ls-files '*.go')

# Counted is what is shipped: not what the tests bring for themselves. GOCOVERDIR is where the real program leaves its counters, which
# tests build and start; go test sets it to a folder of its own for each package, so env sets it once more.
COVER    := $(CURDIR)/.cache/cover
MODULE   := github.com/matric/matric-events
COUNTED  := $(MODULE)/domain/...,$(MODULE)/app/...,$(MODULE)/adapters/...,$(MODULE)/cmd/...,$(MODULE)/migrations/...,$(MODULE)/docs/examples/...

.PHONY: cover
cover: prepare ## Print what share of the statements all tests together run, in their own processes and in the real program
	@rm -rf $(COVER) && mkdir -p $(COVER)
	$(GO) test -count=1 -timeout 20m -cover -coverpkg=$(PACKAGES) -exec 'env GOCOVERDIR=$(COVER)' $(PACKAGES) -args -test.gocoverdir=$(COVER)
	@echo; echo "All together (tests/README.md says what is not covered, and why):"
	@$(GO) tool covdata percent -i=$(COVER) -pkg=$(COUNTED)
	@$(GO) tool covdata textfmt -i=$(COVER) -pkg=$(COUNTED) -o=$(COVER).out
	@$(GO) tool cover -func=$(COVER).out | tail -1
	@$(GO) tool covdata textfmt -i=$(COVER) -o=$(COVER)-all.out
	@$(GO) tool cover -func=$(COVER)-all.out | tail -1 | sed 's/total:/with what only tests use:/'

# Up to Go 1.27 the end of FUZZTIME may be reported as a failure, without an input (go.dev/issue/75804).
FUZZLOG := .cache/fuzz.log

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (20s) each, and stop at the first input that fails
	@mkdir -p .cache
	@$(GO) vet $(PACKAGES)
	@count=0; for pkg in $$($(GO) list $(PACKAGES)); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    if ! $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s $$pkg >$(FUZZLOG) 2>&1 && \
	      { grep -q 'Failing input' $(FUZZLOG) || ! grep -q '^    context deadline exceeded$$' $(FUZZLOG); }; then \
	      cat $(FUZZLOG); echo "FAILED: $$target in .$${pkg#$(MODULE)}"; exit 1; \
	    fi; \
	    count=$$((count+1)); \
	    printf '%-24s %-28s %s\n' "$${pkg#$(MODULE)/}" $$target "$$(sed -n 's/.*execs: \([0-9]*\) .*new interesting: \([0-9]*\) .*/\1 runs, \2 new inputs/p' $(FUZZLOG) | tail -1)"; \
	  done; \
	done; echo "$$count targets, $(FUZZTIME) each, and nothing found"

.PHONY: bench
bench: ## Run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem $(PACKAGES) | grep -v 'no test files'

.PHONY: bench-webhooks
bench-webhooks: prepare ## Measure webhooks end to end on both stores, receivers in another process (some minutes)
	$(GO) test -run '^$$' -bench 'Webhooks|Latency' -benchtime 30000x -timeout 20m ./tests/load/webhooks
	$(GO) test -run '^$$' -bench NoisyNeighbour -benchtime 1x -timeout 30m ./tests/load/webhooks

# tests/load/README.md says what the numbers mean. Shorter: make bench-peers SIZES=1000 RUNS=1 DURATION=2s SERVERS=hub,limit1
SERVERS  ?= hub,hub-sse,centrifuge,gorilla,go-sse,limit1,limit16
SIZES    ?= 1000,10000
RATES    ?= max,10
RUNS     ?= 3
DURATION ?= 4s
JSON     ?= .cache/bench-peers.json

.PHONY: bench-peers
bench-peers: build peers ## Measure the streams beside other libraries and the machine's limit (15 minutes)
	@mkdir -p .cache
	$(GO) build -o $(BIN)/streams ./tests/load/streams
	$(BIN)/streams compare --hub $(BIN)/matric-events --peers $(BIN)/peers --servers $(SERVERS) --sizes $(SIZES) --rates $(RATES) \
	  --runs $(RUNS) --duration $(DURATION) --json $(JSON)

.PHONY: bench-telemetry
bench-telemetry: build ## Measure what a line for each event costs (3 minutes)
	$(GO) build -o $(BIN)/streams ./tests/load/streams
	$(BIN)/streams compare --hub $(BIN)/matric-events --servers hub,hub-logs --sizes 1000 --rates 100,max --runs $(RUNS) --duration 10s

# The peers are a module of their own, so that what they need does not become what the hub needs.
.PHONY: peers
peers:
	cd tests/load/peers && $(GO) vet ./... && $(GO) build -o $(BIN)/peers/ ./centrifuge ./gorilla ./gosse

# tests/soak/README.md says how to read the ledger. Longer, or again by the same chance: make soak SOAK=1h SEED=7
SOAK ?= 3m
SEED ?= 0

.PHONY: soak
soak: prepare ## Load and faults for SOAK (3m), and a ledger of every promise
	$(GO) test -v -count=1 -timeout 0 -run '^TestSoak$$' ./tests/soak -soak $(SOAK) -seed $(SEED)

.PHONY: ci
ci: lint race test ## What the build machine runs

$(GOFUMPT):
	GOBIN=$(BIN) $(GO) install mvdan.cc/gofumpt@v0.12.0

$(GOLANGCI):
	GOBIN=$(BIN) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
