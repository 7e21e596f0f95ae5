# The ways in. `make demo` and `make test` install what they need on a Debian host with Rust and Node.js.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

CARGO ?= cargo
# Where cargo puts what it builds.
built := $(or $(CARGO_TARGET_DIR),target)
target := $(built)/x86_64-unknown-linux-gnu
programs := -p agentosd -p agentctl -p sandbox -p fuse-vfs -p executors -p scripted-model
# `make deb PROFILE=dev` packs what the tests have built anyway, features and all: nothing is built twice.
PROFILE ?= release
selected := $(if $(filter dev,$(PROFILE)),--workspace,$(programs))
output := $(target)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))

DESTDIR ?=
prefix ?= /usr
sysconfdir ?= /etc
unitdir ?= $(prefix)/lib/systemd/system
INSTALL ?= install

.PHONY: help
help: ## What there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

.PHONY: setup
setup: ## Install what the build, the demo and the tests need
	@scripts/setup

.PHONY: build
build: ## Build the programs, optimised
	$(CARGO) build --profile $(PROFILE) --locked $(selected) --bins

.PHONY: demo
demo: setup build ## A real agent confined, governed, stopped, killed, and what was recorded
	$(CARGO) build --release --locked -p demo --bins
	demo/run

.PHONY: lint
lint: ## Formatting, lints, documentation, shell scripts
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	# Private items are documented too, so links to them work.
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" $(CARGO) doc --workspace --no-deps --document-private-items --locked
	shellcheck scripts/* .ci/run demo/run tests/agents/install tests/vm/image \
	  $(addprefix packaging/debian/,pack postinst prerm postrm)
	shellcheck --shell=sh tests/vm/image.d/customize
	node --check tests/agents/command

.PHONY: test
test: setup lint ## Everything CI runs
	scripts/fs-suites install
	$(CARGO) build --workspace --bins --locked
	$(MAKE) --no-print-directory deb PROFILE=dev
	CARGO="$(CARGO)" scripts/tests

FSX_SECONDS ?= 600
.PHONY: fsx
fsx: setup ## Random operations on the agent's file system, FSX_SECONDS=600 for each of its parts
	scripts/fs-suites install
	$(CARGO) build --locked -p fuse-vfs -p exerciser --bins
	FSX_SECONDS=$(FSX_SECONDS) $(CARGO) test --locked -p tests --test file_system random -- --nocapture

fuzzers := $(notdir $(basename $(wildcard fuzz/fuzz_targets/*.rs)))
# Besides fuzz/seeds: policies that are there anyway.
seeds_of_policy := policies/profiles policies/tests/data
FUZZ_SECONDS ?= 60

.PHONY: fuzz $(fuzzers:%=fuzz-%)
fuzz: $(fuzzers:%=fuzz-%) ## Hostile bytes by libFuzzer, FUZZ_SECONDS=60 for each target

.PHONY: fuzz-setup
fuzz-setup:
	@command -v c++ > /dev/null || { echo "make fuzz: libFuzzer needs a C++ compiler: apt-get install g++" >&2; exit 1; }
	@command -v cargo-fuzz > /dev/null || $(CARGO) install cargo-fuzz --locked

# The dependencies are tried in the versions that the programs have; cargo adds the fuzzer's own.
fuzz/Cargo.lock: Cargo.lock
	cp $< $@

# Without a sanitizer: those need nightly Rust, and what is tried has no unsafe code of ours.
$(fuzzers:%=fuzz-%): fuzz-%: fuzz-setup fuzz/Cargo.lock
	mkdir -p fuzz/corpus/$*
	[[ ! -f fuzz/corpora/$*.tar.xz ]] || tar -xJf fuzz/corpora/$*.tar.xz -C fuzz/corpus
	$(CARGO) fuzz run --sanitizer none $* fuzz/corpus/$* fuzz/seeds/$* $(seeds_of_$*) -- \
	  -max_total_time=$(FUZZ_SECONDS) -max_len=8192 -timeout=10 -rss_limit_mb=2048

.PHONY: fuzz-keep
fuzz-keep: ## What `make fuzz` has found, as little as reaches as far, to fuzz/corpora
	for one in $(fuzzers); do \
	  mkdir -p fuzz/corpus/$$one.least/$$one; \
	  $(CARGO) fuzz run --sanitizer none $$one -- -merge=1 fuzz/corpus/$$one.least/$$one fuzz/corpus/$$one; \
	  tar --sort=name --mtime=@0 --owner=0 --group=0 -cJf fuzz/corpora/$$one.tar.xz -C fuzz/corpus/$$one.least $$one; \
	  rm -r fuzz/corpus/$$one.least; \
	done

.PHONY: bench
bench: setup build ## Speed, as ratios against peers in one run
	scripts/fs-suites install
	$(CARGO) build --release --locked -p probe -p sealer --bins
	$(CARGO) run --release --locked -p bench
	$(CARGO) bench --locked -p policies

REQUESTS ?= 1000000
.PHONY: second-engine
second-engine: policies/second-engine/Cargo.lock ## Decisions compared with Cedar's, REQUESTS=1000000 of them
	AGENTOS_REQUESTS=$(REQUESTS) $(CARGO) test --release --manifest-path policies/second-engine/Cargo.toml -- --nocapture

policies/second-engine/Cargo.lock: Cargo.lock
	cp $< $@

.PHONY: deny
deny: ## Licences, bans, duplicate versions, sources of the dependencies
	@command -v cargo-deny >/dev/null || $(CARGO) install cargo-deny --locked
	$(CARGO) deny --all-features check bans licenses sources

.PHONY: install
install: build ## Install below DESTDIR and prefix
	$(INSTALL) -d $(DESTDIR)$(prefix)/bin $(DESTDIR)$(prefix)/sbin $(DESTDIR)$(prefix)/libexec/agentos \
	  $(DESTDIR)$(unitdir) $(DESTDIR)$(prefix)/lib/sysusers.d $(DESTDIR)$(prefix)/lib/tmpfiles.d \
	  $(DESTDIR)$(sysconfdir)/agentos/policies $(DESTDIR)$(sysconfdir)/agentos/agents.d $(patsubst %,$(DESTDIR)$(prefix)/share/man/man%,1 5 7 8) \
	  $(DESTDIR)$(prefix)/share/bash-completion/completions $(DESTDIR)$(prefix)/share/zsh/site-functions \
	  $(DESTDIR)$(prefix)/share/fish/vendor_completions.d
	$(INSTALL) -m 0755 $(output)/agentosd $(DESTDIR)$(prefix)/sbin/
	$(INSTALL) -m 0755 $(output)/agentctl $(DESTDIR)$(prefix)/bin/
	$(INSTALL) -m 0755 $(addprefix $(output)/agentos-,stage vfs executor) $(DESTDIR)$(prefix)/libexec/agentos/
	$(INSTALL) -m 0644 systemd/agentosd.socket $(DESTDIR)$(unitdir)/
	# The units name the programs where packages put them.
	for unit in agentosd.service agentos-vfs.service; do \
	  sed -E 's,/usr/(sbin|libexec)/,$(prefix)/\1/,' systemd/$$unit > $(DESTDIR)$(unitdir)/$$unit; \
	  chmod 0644 $(DESTDIR)$(unitdir)/$$unit; \
	done
	$(INSTALL) -m 0644 systemd/sysusers.d/agentos.conf $(DESTDIR)$(prefix)/lib/sysusers.d/
	$(INSTALL) -m 0644 systemd/tmpfiles.d/agentos.conf $(DESTDIR)$(prefix)/lib/tmpfiles.d/
	$(output)/agentctl man $(DESTDIR)$(prefix)/share/man/man1
	$(output)/agentosd --man > $(DESTDIR)$(prefix)/share/man/man8/agentosd.8
	for section in 5 7 8; do $(INSTALL) -m 0644 man/*.$$section $(DESTDIR)$(prefix)/share/man/man$$section/; done
	$(output)/agentctl completion bash > $(DESTDIR)$(prefix)/share/bash-completion/completions/agentctl
	$(output)/agentctl completion zsh > $(DESTDIR)$(prefix)/share/zsh/site-functions/_agentctl
	$(output)/agentctl completion fish > $(DESTDIR)$(prefix)/share/fish/vendor_completions.d/agentctl.fish

.PHONY: deb
deb: build ## The Debian package, target/debian/agentos_VERSION_amd64.deb
	rm -rf $(built)/debian/root
	$(MAKE) --no-print-directory install DESTDIR=$(built)/debian/root prefix=/usr sysconfdir=/etc unitdir=/usr/lib/systemd/system
	packaging/debian/pack $(built)/debian/root $(built)/debian

.PHONY: uninstall
uninstall: ## Remove what `install` put there; configuration and state stay
	rm -f $(DESTDIR)$(prefix)/sbin/agentosd $(DESTDIR)$(prefix)/bin/agentctl $(DESTDIR)$(unitdir)/agentosd.service \
	  $(DESTDIR)$(unitdir)/agentosd.socket $(DESTDIR)$(unitdir)/agentos-vfs.service \
	  $(DESTDIR)$(prefix)/lib/sysusers.d/agentos.conf \
	  $(DESTDIR)$(prefix)/lib/tmpfiles.d/agentos.conf $(DESTDIR)$(prefix)/share/man/man1/agentctl*.1 \
	  $(DESTDIR)$(prefix)/share/man/man8/agentosd.8 \
	  $(foreach section,5 7 8,$(patsubst man/%,$(DESTDIR)$(prefix)/share/man/man$(section)/%,$(wildcard man/*.$(section)))) \
	  $(DESTDIR)$(prefix)/share/bash-completion/completions/agentctl \
	  $(DESTDIR)$(prefix)/share/zsh/site-functions/_agentctl \
	  $(DESTDIR)$(prefix)/share/fish/vendor_completions.d/agentctl.fish
	rm -rf $(DESTDIR)$(prefix)/libexec/agentos
