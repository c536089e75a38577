//! A second authorization server, independent of the first: Authlib under Flask, with two clients, `app` and `gateway`. Its introspection
//! is plain RFC 7662: no response contains a JWT.

use std::ops::Deref;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::app::{APP_SECRET, App, start_server};
use crate::client::{Client, Request};
use crate::process::Process;
use crate::{paths, secrets};

pub struct PlainAuthorizationServer {
    _process: Process,
    issuer: String,
    client: Client,
    app: App,
}

/// The secret of the client `gateway`, with characters that client_secret_basic has to encode (RFC 6749 §2.3.1), including a space: Authlib
/// decodes `%20`, but not `+`.
pub const GATEWAY_SECRET: &str = "plain gateway's-p@ssw:rd+100%";

impl Deref for PlainAuthorizationServer {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}

impl PlainAuthorizationServer {
    pub fn start(name: &str) -> Result<Self> {
        let (python, script) = paths::plain_authorization_server()?;
        let secrets = [("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET), ("APP_CLIENT_SECRET", APP_SECRET)];
        for (_, secret) in secrets {
            secrets::noted(secret.to_owned());
        }
        secrets::noted(STANDARD.encode(format!("gateway:{ENCODED_GATEWAY_SECRET}")));
        let arguments = [script.to_str().context("a path that is not UTF-8")?, "0"];
        let name = format!("{name}-plain-authorization-server");
        let (process, issuer, client) = start_server(&name, &python, arguments, &secrets)?;
        Ok(Self { _process: process, issuer, client, app: App::at(client) })
    }

    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    pub fn port(&self) -> u16 {
        self.client.port()
    }

    pub async fn introspections(&self, token: &str) -> Result<u64> {
        let answer = self.client.send(Request::get("/test/introspections").header("token", token)).await?;
        answer.json()?["count"].as_u64().context("no count")
    }
}

const ENCODED_GATEWAY_SECRET: &str = "plain%20gateway%27s-p%40ssw%3Ard%2B100%25";
