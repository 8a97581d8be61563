# `make` lists the targets.

GO   ?= go
NPM  := $(shell command -v npm)
# What the released binary is built with: no C library, no paths of this machine.
RELEASE := CGO_ENABLED=0 $(GO) build -trimpath

# The race detector, but not within SQLite and cryptography: the memory of SQLite lies outside of Go's, where the detector
# sees nothing, and there it takes four fifths of the time of all tests.
RACE := $(shell cat scripts/race.flags)

DIST := internal/console/dist/index.html

.PHONY: help run build playground test test-fast parity parity-rest errors docs bench bench-compare bench-growth bench-peers lint proto clean FORCE

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## Build, and run a server for development on 127.0.0.1:8080
	bin/stoa dev

build: bin/stoa ## Build bin/stoa with the playground in it

bin/stoa: playground FORCE
	$(RELEASE) -o $@ ./cmd/stoa

# The same with the race detector, for the end-to-end tests.
bin/stoa-race: playground FORCE
	CGO_ENABLED=1 $(GO) build $(RACE) -o $@ ./cmd/stoa

ifdef NPM
playground: $(DIST) ## Build the playground's page
else
playground:
	@echo 'npm is not installed: the binary is built without the playground' >&2
endif

$(DIST): playground/node_modules/.package-lock.json playground/index.html playground/vite.config.mjs \
		errcode/error-codes.json $(wildcard playground/src/* playground/public/*)
	cd playground && npm run --silent build -- --logLevel warn
	touch $@

# npm itself writes this file when it has installed everything.
%/node_modules/.package-lock.json: %/package-lock.json
	cd $* && npm ci --no-audit --no-fund --loglevel error
	touch $@

test: ## Run all tests: unit, race, fuzz, crash, cluster, web SDKs, browser
	@scripts/test.sh

test-fast: bin/stoa ## Run the Go unit tests, without race detector, database, browser and cluster
	$(GO) test $$($(GO) list ./... | grep -v /test/)

# The tests write down what they prove of which method of the SDK.
parity: bin/stoa test/websdk/node_modules/.package-lock.json ## Print which methods of the web SDK work, and write docs/parity.md
	@rm -f bin/parity.jsonl
	@STOA_PARITY=$(CURDIR)/bin/parity.jsonl npm --prefix test/websdk run --silent test:e2e >bin/parity.log || true
	@node scripts/parity.mjs bin/parity.jsonl --markdown >docs/parity.md || true
	@node scripts/parity.mjs bin/parity.jsonl

parity-rest: ## Print which routes for backends work, and write docs/parity-rest.md
	@mkdir -p bin && rm -f bin/parity-rest.jsonl
	@status=0; \
	STOA_PARITY_REST=$(CURDIR)/bin/parity-rest.jsonl $(GO) test -count=1 ./internal/rest >bin/parity-rest.log 2>&1 || status=$$?; \
	[ $$status -eq 0 ] || tail -n 40 bin/parity-rest.log >&2; \
	node scripts/parity-rest.mjs bin/parity-rest.jsonl --status=$$status --markdown >docs/parity-rest.md || true; \
	node scripts/parity-rest.mjs bin/parity-rest.jsonl --status=$$status

errors: bin/stoa test/websdk/node_modules/.package-lock.json ## Print which code reaches which client, and write docs/conformance.md
	@rm -f bin/errors.jsonl
	@STOA_ERRORS=$(CURDIR)/bin/errors.jsonl $(GO) test -count=1 ./test/errors >bin/errors.log || true
	@cd test/websdk && STOA_ERRORS=$(CURDIR)/bin/errors.jsonl node --test --test-force-exit local/errors.test.js local/rehearsal.test.js e2e/translation.test.js >>$(CURDIR)/bin/errors.log || true
	@node scripts/errors.mjs bin/errors.jsonl --markdown >docs/conformance.md || true
	@node scripts/errors.mjs bin/errors.jsonl

docs: ## Write the pages of the documentation that are made from the code
	$(GO) generate ./internal/muc ./internal/rest

bench: ## Run the Go benchmarks of the message path, the stores and files
	$(GO) test -run '^$$' -bench . -benchmem \
		./internal/msync ./internal/token ./internal/bus ./internal/delivery ./internal/gateway ./internal/store/sqlite \
		./internal/file ./internal/picture

bench-compare: ## Compare the benchmarks of the message path with those of a revision (BASE=REVISION)
	@scripts/bench-compare.sh '$(BASE)'

bench-growth: ## Measure whether a million stored messages cost more than ten thousand (STOA_TEST_POSTGRES for PostgreSQL)
	$(GO) test ./internal/message -run '^$$' -bench Growth -benchtime 1x -timeout 30m -v

bench-peers: ## Measure Stoa beside its peers, and write docs/performance.md (BENCH=FOLDER of the load generator; QUICK=1 to try)
	@BENCH='$(BENCH)' scripts/bench-peers.sh

lint: ## Check format, vet, staticcheck and known vulnerabilities
	@scripts/lint.sh

proto: ## Generate internal/msync from chat.proto
	scripts/proto.sh

clean: ## Remove what was built
	rm -rf bin playground/node_modules test/websdk/node_modules
	find internal/console/dist -mindepth 1 ! -name .gitkeep -delete
