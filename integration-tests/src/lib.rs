//! Code shared by the tests, the demo and the benchmark: a real Envoy with the filter, authorization servers, services behind it that
//! report what they received, a client that can send what well-behaved clients cannot, and a real browser.
//!
//! Each component is obtained by a recipe of the justfile. A missing component is an error, never a reason to skip a test.

pub mod api;
pub mod app;
pub mod artefact;
pub mod authorization_server;
pub mod bench;
pub mod browser;
pub mod certificates;
pub mod client;
pub mod control_planes;
pub mod dashboard;
pub mod deterministic_host;
pub mod documentation;
pub mod dpop;
pub mod echo;
pub mod envoy;
pub mod envoy_config;
pub mod eventually;
pub mod example;
pub mod fault;
pub mod faulty_server;
pub mod flood;
pub mod health;
mod http1;
pub mod image;
pub mod json;
pub mod jwt;
pub mod keys;
pub mod load;
pub mod load_token;
pub mod login;
pub mod manifests;
pub mod memory;
pub mod paths;
pub mod plain_authorization_server;
pub mod plot;
pub mod port;
pub mod process;
pub mod prometheus;
pub mod promises;
pub mod received;
pub mod recording_api;
pub mod registry;
pub mod scenario;
pub mod scripted_server;
pub mod secrets;
pub mod server;
pub mod sidecar;
pub mod testkit;
pub mod timeline;
pub mod tls_client;
pub mod trial;
pub mod web_app;
pub mod website;
pub mod zero_trust;
