//! The filter in a real Envoy: one program, so that it is linked once.

mod assertions;
mod browser;
mod certificate_bound;
mod configuration;
mod dpop;
mod envoy_config;
mod envoy_gateway;
mod faults;
mod forwarding;
mod image;
mod istio;
mod jwt_access_tokens;
mod keys;
mod lifetimes;
mod limits;
mod minting;
mod monitoring;
mod plain_server;
mod protocols;
mod real_server;
mod rules;
mod several_servers;
mod signed_responses;
mod token_places;
mod workloads;
mod zero_trust;
