# What one does with this repository; `make help` lists it.
.DEFAULT_GOAL := help
.PHONY: help run test kill-test chaos crm-test attack fuzz check bench schema fmt tools

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile

run: ## build it and start everything with sample data: SQLite, queue in memory, API, worker and page
	cargo build --release
	@echo
	@echo "nachfass starts with sample data: http://localhost:8080 (GraphiQL: http://localhost:8080/graphiql)"
	@echo "Its data is in nachfass-data; Ctrl-C ends it."
	@echo
	@cargo run --release --quiet -- demo

test: tools ## all tests, with a PostgreSQL, a Redis and a browser of their own; ARGS="-p domain bounce" for some of them
	@for browser in chromium chromium-headless-shell chromium-browser google-chrome; do \
		command -v $$browser >/dev/null 2>&1 && exit 0; \
	done; scripts/need.sh chromium=chromium
	@scripts/services.sh run cargo nextest run $(or $(ARGS),--workspace)

kill-test: tools ## kill its processes 50 times in a row under load, in every mode; NACHFASS_TEST_KILLS=N for another number
	@NACHFASS_TEST_KILLS=$${NACHFASS_TEST_KILLS:-50} scripts/services.sh run \
		cargo nextest run -p nachfass --test it kill_9 --no-capture

chaos: tools ## everything at once while everything goes wrong: 100 kills, Redis emptied and stopped, PostgreSQL restarted; KILLS=N
	@NACHFASS_TEST_CHAOS=$(or $(KILLS),100) scripts/services.sh run \
		cargo nextest run -p nachfass --test it chaos --no-capture

crm-test: tools ## 200,000 persons read from a CRM outside, 100,000 put on a selection while workers are killed ten times
	@NACHFASS_TEST_CRM=200000 scripts/services.sh run \
		cargo nextest run -p nachfass --test it persons_are_read --no-capture
	@NACHFASS_TEST_CRM=100000 scripts/services.sh run \
		cargo nextest run -p nachfass --test it everybody_gets_on --no-capture

attack: tools ## attack the release build: others must be served within a second, memory stay below 400 MB
	cargo build --release
	@NACHFASS_TEST_PROGRAM=$${CARGO_TARGET_DIR:-$(CURDIR)/target}/release/nachfass scripts/services.sh run \
		cargo nextest run --workspace -E 'binary(it) & test(/^hostile/)' --test-threads 1 --success-output final $(ARGS)

fuzz: ## feed every target hostile input for SECONDS each; TARGETS="email time" for some of them (docs/FUZZING.md)
	@scripts/fuzz.sh $(or $(SECONDS),30) $(TARGETS)

check: tools ## formatting, lints, arrows, lengths, licences, sources, advisories, schema.graphql and a client made from it
	cargo fmt --all --check
	scripts/lengths.sh
	cargo clippy --workspace --all-targets -- -D warnings
	scripts/arrows.sh --self-test
	scripts/arrows.sh
	scripts/licences.sh --self-test
	scripts/licences.sh
	scripts/sources.sh --self-test
	scripts/sources.sh
	scripts/advisories.sh --self-test
	scripts/advisories.sh
	scripts/schema.sh --check
	scripts/client.sh

bench: ## measure it
	bench/run

schema: ## write schema.graphql
	scripts/schema.sh

fmt: ## format all sources
	cargo fmt --all

# What the targets above need beside cargo itself.
tools:
	@cargo nextest --version >/dev/null 2>&1 || cargo install --locked cargo-nextest
	@cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
	@cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
