# The one list of commands. `make` alone prints it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PREFIX ?= /usr/local
DESTDIR ?=
SECONDS ?= 10
# Tests wait more than they work. One that hangs fails, with its name, after some minutes.
JOBS ?= $(shell expr $$(nproc) + 1)
TESTS ?= $(wildcard t/*.bats)
TARGET := $(or $(CARGO_TARGET_DIR),target)
SCRIPTS := script/bootstrap script/demo script/test-dir .ci/run t/bench/run $(wildcard t/bench/*.bash) $(wildcard t/*.bash) $(wildcard t/*.bats) t/git-annex-remote-shelf
BIN = $(DESTDIR)$(PREFIX)/bin
SHARE = $(DESTDIR)$(PREFIX)/share

.PHONY: help demo build test bench lint deny fuzz install clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile
	@echo "Variables: TESTS=t/FILE.bats JOBS=$(JOBS) (test), SECONDS=$(SECONDS) (fuzz, each target), PREFIX=$(PREFIX) DESTDIR= (install)"

demo: ## Show a cluster of three Keep nodes at work: ssh, git and git-annex, in a directory that goes away
	script/bootstrap demo
	cargo build --release
	script/demo

build: ## Build the program: target/release/annex-keep
	cargo build --release

# `cargo test` builds the program, too: `cargo build` would compile half of the crates again, without the tests' features.
test: ## Run every test: Rust's own, then t/*.bats with the real git, git-annex and sshd
	script/bootstrap test
	cargo test --workspace --no-run
	timeout 900 cargo test --workspace
	export TMPDIR="$$(script/test-dir)" BATS_TEST_TIMEOUT=600; \
	prove --timer --failures --comments --jobs $(JOBS) \
	    --exec 'timeout --kill-after=20 1200 bats --tap --print-output-on-failure' $(TESTS)

bench: ## Measure this program and git-annex side by side, and write the tables of docs/performance.md; SCALE=0.1 for a quick look
	script/bootstrap test
	cargo build --release
	failed=0; t/bench/run || failed=$$?; \
	python3 t/bench/report.py $(TARGET)/bench/results.jsonl docs/performance.md; \
	exit $$failed

lint: ## Check format, clippy, shell scripts, and that the fuzz targets build
	script/bootstrap lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	if [ -e protocol/fuzz/Cargo.toml ]; then \
	    cargo fmt --manifest-path protocol/fuzz/Cargo.toml --check; \
	    cargo build --manifest-path protocol/fuzz/Cargo.toml --target-dir $(TARGET)/fuzz; \
	fi
	shellcheck -x $(SCRIPTS)

deny: ## Check licences, banned crates and where crates come from
	if ! command -v cargo-deny >/dev/null; then \
	    echo "Installing cargo-deny from crates.io: this takes several minutes, once."; \
	    cargo install cargo-deny --locked; \
	fi
	cargo deny check bans licenses sources

fuzz: ## Run every fuzz target for SECONDS each
	if ! command -v cargo-fuzz >/dev/null; then \
	    echo "Installing cargo-fuzz from crates.io: this takes a few minutes, once."; \
	    cargo install cargo-fuzz --locked; \
	fi
	cd protocol/fuzz; for target in $$(cargo fuzz list --fuzz-dir .); do \
	    echo "fuzz: $$target"; \
	    mkdir -p "corpus/$$target"; \
	    inputs=("corpus/$$target"); [ ! -d "seeds/$$target" ] || inputs+=("seeds/$$target"); \
	    options=(-max_total_time=$(SECONDS) -verbosity=0 -print_final_stats=1); \
	    [ ! -e "dictionaries/$$target.dict" ] || options+=("-dict=dictionaries/$$target.dict"); \
	    cargo fuzz run --fuzz-dir . --sanitizer none "$$target" "$${inputs[@]}" -- "$${options[@]}"; \
	done

install: $(TARGET)/release/annex-keep ## Install what `make build` built, the name git-annex-remote-keep, man pages, completions
	install -D -m 755 $(TARGET)/release/annex-keep $(BIN)/annex-keep
	ln -sfn annex-keep $(BIN)/git-annex-remote-keep
	$< man $(SHARE)/man/man1 >/dev/null
	ln -sfn annex-keep-special-remote.1 $(SHARE)/man/man1/git-annex-remote-keep.1
	install -d $(SHARE)/bash-completion/completions $(SHARE)/zsh/site-functions $(SHARE)/fish/vendor_completions.d
	$< completions bash >$(SHARE)/bash-completion/completions/annex-keep
	$< completions zsh >$(SHARE)/zsh/site-functions/_annex-keep
	$< completions fish >$(SHARE)/fish/vendor_completions.d/annex-keep.fish
	@echo "git-annex-shell is left alone. On a server without git-annex: annex-keep link DIR"

$(TARGET)/release/annex-keep:
	cargo build --release

clean: ## Remove what was built. The peers of the tests stay in .peers
	cargo clean
