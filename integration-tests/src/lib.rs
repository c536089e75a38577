

pub mod api;
mod app;
pub mod authorization_server;
pub mod browser;
pub mod client;
pub mod echo;
pub mod envoy;
pub mod health;
pub mod jwt;
pub mod paths;
pub mod plain_authorization_server;
pub mod process;
pub mod received;
pub mod scripted_server;
pub mod secrets;
pub mod server;
pub mod sidecar;
