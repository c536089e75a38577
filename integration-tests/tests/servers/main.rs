//! The filter in front of authorization servers of other makers, each as its chapter of docs/servers.md has it: `./justw servers` obtains
//! them, runs this, and writes what came out into that page. The other tests do without: `cargo test` runs this only if it is named.

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
