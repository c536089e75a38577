//! The filter with third-party authorization servers, each set up as its chapter of docs/servers.md describes: `./justw servers` obtains
//! them, runs this, and writes the results into that page. The other tests do not need the servers: `cargo test` runs this only if it is
//! named.

mod browser;
mod canaille;
mod django;
mod django_oauth_toolkit;
mod django_oidc_provider;
mod doorkeeper;
mod glewlwyd;
mod hydra;
mod idpyoidc;
mod jmondi;
mod keycloak;
mod lemonldap_ng;
mod load;
mod real_server;
mod results;
mod spring;
mod story;
