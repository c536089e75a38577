//! Feeds the engine a script of requests, responses, clients that leave, ticks and clock jumps, in any order, at two workers that share
//! data, on a host with any set of capabilities.
//!
//! *Invariant:* every request gets one action, and none once its client has left. It continues only on a public path; or by what the server
//! said about its own token, signed, unexpired and no older than caching allows; or without credentials, where its rule only reports.
//! Neither services nor the log see the client's token. A 401 is always the client's fault, and a failure of the server is a 5xx. When all
//! calls have ended, no request waits.
//!
//! If it failed, a request would continue with another client's answer, hang, or be forwarded with its token.
#![no_main]

mod client;
mod model;
mod script;
mod server;
mod world;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use phantom_token_core::Capabilities;
use phantom_token_fuzz::{Choice, key_set};
use serde_json::{Value, json};

use crate::model::Model;
use crate::script::Step;
use crate::world::World;

fuzz_target!(|input: Input<'_>| run(&input));

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    capabilities: Choice<16>,
    caching: Choice<4>,
    limits: Choice<4>,
    publishes_keys: Choice<2>,
    /// The script, one step a line.
    script: &'a [u8],
}

fn run(input: &Input<'_>) {
    let model = Model::new(input.stale_if_error() * 1000, input.publishes_keys.0 == 1);
    let mut world = World::new(&input.configuration(), input.capabilities(), model);
    for step in input.script.split(|&byte| byte == b'\n').filter_map(Step::read).take(MAX_STEPS) {
        world.perform(step);
    }
    world.end();
}

impl Input<'_> {
    fn capabilities(&self) -> Capabilities {
        let has = |bit: u8| self.capabilities.0 & bit == 0;
        Capabilities {
            switches_streams: has(1),
            outlives_streams: has(2),
            has_timers: has(4),
            edits_repeated_fields: has(8),
        }
    }

    fn stale_if_error(&self) -> u64 {
        if self.caching.0 & 1 == 0 { 0 } else { 30 }
    }

    fn configuration(&self) -> Value {
        let refresh_ahead = if self.caching.0 & 2 == 0 { "0s" } else { "20s" };
        let (max_concurrent, max_waiting, failures) =
            [(256, 1024, 0), (2, 2, 0), (256, 1024, 2), (2, 3, 1)][usize::from(self.limits.0)];
        let keys = match self.publishes_keys.0 {
            0 => json!({"jwks": key_set()}),
            _ => json!({"jwks_uri": format!("{}/jwks", server::ISSUER), "upstream": "a", "timeout": TIMEOUT}),
        };
        json!({
            "introspection": {
                "endpoint": format!("{}/introspect", server::ISSUER), "upstream": "a",
                "client_id": "gateway", "client_secret": server::CLIENT_SECRET, "timeout": TIMEOUT,
                "max_concurrent": max_concurrent, "max_waiting": max_waiting,
                "circuit_breaker": {"failures": failures, "open_for": "5s"},
            },
            "token": {"issuer": server::ISSUER, "leeway": "0s", "dpop": "allowed"},
            "keys": keys,
            // Shared proofs are written slot by slot, which would take most of a run's time.
            "dpop": {"origins": [client::ORIGIN], "max_proofs": 1024, "shared": false},
            "token_sources": {
                "query_parameter": "access_token", "cookie": "session", "header": "x-token",
                "websocket_protocol": "token.",
            },
            "cache": {
                "max_entries": 16, "max_ttl": format!("{}ms", server::MAX_TTL), "inactive_ttl": "5s",
                "refresh_ahead": refresh_ahead, "stale_if_error": format!("{}s", self.stale_if_error()),
            },
            "claim_to_headers": [{"header": "x-user", "pointer": "/sub"}, {"header": "x-answer", "pointer": "/jti"}],
            "log_level": "trace",
            "rules": [
                {"path": "/orders"},
                {"path": "/admin", "scopes": ["admin"]},
                {"path": "/public", "access": "public"},
                {"path": "/trial", "report_only": true},
            ],
        })
    }
}

const MAX_STEPS: usize = 64;
const TIMEOUT: &str = "10s";
