# The filter's image, for those who build with Docker. What is published is made by `./justw image`; the module is the same.
#
#   docker build --provenance=false --tag REGISTRY/phantom-token .
#
# With provenance, Docker would make an index of two manifests: docs/image.md.
FROM docker.io/library/rust:1.95.0-bookworm AS build
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /phantom-token
COPY . .
RUN scripts/wasm-cargo wasm32-wasip1 build --locked --release --package phantom-token \
    && cargo run --locked --package xtask --bin package-filter -- \
        target/wasm32-wasip1/release/phantom_token.wasm target/phantom_token.wasm

FROM scratch
LABEL org.opencontainers.image.title="phantom-token" \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /phantom-token/target/phantom_token.wasm /plugin.wasm
