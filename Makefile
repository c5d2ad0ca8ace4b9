# make run      start Frist with made-up data on this machine
# make test     vet and all tests, on a real PostgreSQL and in Chromium
# make browser  of these, only the walks in Chromium: the story, axe on every page
# make lint     house rules (.golangci.yml); make fmt puts the layout right
# make verify   generated and copied files are what their sources say
# make proof    the long random tests
# make fuzz     of these, every parser of outside input with what nobody would send, FUZZTIME each
# make bench    the measurements
# make generate rest code from api/openapi.yaml
# make assets   front-end files from web/package.json into web/static/vendor

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
TOOL := go tool -modfile=internal/tools/go.mod
OAPI := $(TOOL) oapi-codegen -config api/oapi.yaml

.PHONY: run build test browser lint fmt verify proof fuzz bench generate assets deps-run deps-test

run: deps-run build
	exec ./bin/frist demo

build:
	go build -o bin/frist ./cmd/frist

# Two packages at a time: each starts a PostgreSQL of its own.
test: deps-test
	go vet ./...
	FRIST_CHROMIUM="$$(deploy/deps.sh chromium)" $(TOOL) gotestsum --format standard-quiet -- -p 2 -timeout 30m ./...

browser: deps-test
	FRIST_CHROMIUM="$$(deploy/deps.sh chromium)" go test -count=1 -timeout 30m ./internal/browsertest

lint:
	$(TOOL) golangci-lint run ./...
	@# %+v prints what a database error hides: the values of a row. No linter reads formats.
	@! grep -rnF '%+v' --include='*.go' --exclude='*_test.go' cmd internal

fmt:
	$(TOOL) golangci-lint fmt

verify:
	go mod verify
	go mod tidy -diff
	fresh=$$(mktemp) && trap 'rm -f "$$fresh"' EXIT && $(OAPI) -o "$$fresh" api/openapi.yaml && diff -u internal/rest/gen.go "$$fresh"
	go test -count=1 ./web

proof: deps-test
	FRIST_CHROMIUM="$$(deploy/deps.sh chromium)" FRIST_PROOF=long go test -p 2 -timeout 4h ./internal/...
	$(MAKE) fuzz

# Every function that begins with Fuzz, found anew each time, so that none is forgotten. What one finds is written to its
# corpus and fails the second run too; that the time ran out in the middle of a try does not.
FUZZTIME ?= 30s
fuzz: deps-test
	@grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9]*' cmd internal | sed 's|/[^/]*_test.go:func | |' | sort | while read -r package target; do \
		echo "$$package $$target"; \
		run() { go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -parallel 2 "./$$package" < /dev/null; }; \
		run || run || exit 1; \
	done

bench: deps-run
	go run ./internal/bench

generate:
	$(OAPI) -o internal/rest/gen.go api/openapi.yaml

assets:
	npm ci --prefix web --ignore-scripts
	node web/vendor.mjs
	node web/passwords.mjs

deps-run:
	deploy/deps.sh run

deps-test:
	deploy/deps.sh test
