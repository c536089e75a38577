//! Fixtures of the tests, which run natively and, compiled to wasm32-unknown-unknown, under Node.

#[cfg(all(feature = "schema", not(target_arch = "wasm32")))]
mod schema;
pub(crate) mod signer;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

#[cfg(not(all(target_arch = "wasm32", target_os = "unknown")))]
pub(crate) use core::prelude::v1::test;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
pub(crate) use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::credentials::bearer::{Alphabet, TokenSyntax};
use crate::fields::ConfigErrors;
use crate::host::{Host, NoMetrics, NoSharedData, Randomness, SharedData};
use crate::settings::Settings;
use crate::time::Timestamp;

/// The "now" of most tests: 2026-01-01T00:00:00Z.
pub(crate) const NOW: u64 = 1_767_225_600;

/// A moment, in seconds after [`NOW`].
pub(crate) const fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis((NOW + seconds) * 1000)
}

/// A host without shared data, this many seconds after [`NOW`].
pub(crate) fn host(seconds: u64) -> Host<'static> {
    let randomness = &CountingRandomness;
    Host { now: at(seconds), shared_data: &NoSharedData, metrics: &NoMetrics, randomness }
}

/// The smallest configuration: any valid token, everywhere.
pub(crate) fn minimal() -> Value {
    json!({
        "introspection": {
            "endpoint": "https://login.example.com/oauth/v2/introspect",
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": "s3cr3t",
        },
        "rules": [{"path": "/"}],
    })
}

/// The minimal configuration with the members of `edits` merged into it.
pub(crate) fn configured(edits: Value) -> Value {
    let mut configuration = minimal();
    merge(&mut configuration, edits);
    configuration
}

pub(crate) fn parse(configuration: &Value) -> Result<Settings, ConfigErrors> {
    let environment = |name: &str| (name == "SECRET").then(|| "from-the-environment".to_owned());
    let result = Settings::parse(configuration.to_string().as_bytes(), &environment);
    #[cfg(all(feature = "schema", not(target_arch = "wasm32")))]
    schema::check(configuration, result.as_ref().err());
    result
}

/// The default syntax of tokens, but with a small maximum length.
pub(crate) const TOKEN_SYNTAX: TokenSyntax = TokenSyntax { max_length: 100, alphabet: Alphabet::B64token };

pub(crate) fn settings(edits: Value) -> Settings {
    parse(&configured(edits)).expect("a configuration without errors")
}

/// The claims of a token that passes: issued at [`NOW`], for ten minutes.
pub(crate) fn claims() -> Value {
    json!({
        "iss": "https://login.example.com", "aud": "orders-api", "sub": "alice",
        "scope": "orders:read profile", "iat": NOW, "exp": NOW + 600,
    })
}

/// The JWT of [`claims`], with the members of `edits` merged into them; null removes one.
pub(crate) fn jwt(edits: Value) -> String {
    let mut payload = claims();
    merge(&mut payload, edits);
    jws(&json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1"}).to_string(), &payload.to_string())
}

/// A JWS of these texts.
pub(crate) fn jws(header: &str, payload: &str) -> String {
    let [header, payload] = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{header}.{payload}.c2lnbmF0dXJl")
}

/// Merges `edits` into a value; null removes a member.
pub(crate) fn merge(into: &mut Value, edits: Value) {
    match edits {
        Value::Object(edits) => {
            if !into.is_object() {
                *into = json!({});
            }
            for (name, edit) in edits {
                match edit {
                    Value::Null => drop(into.as_object_mut().and_then(|object| object.remove(&name))),
                    edit => merge(&mut into[name], edit),
                }
            }
        }
        edit => *into = edit,
    }
}

/// Unique numbers, which are not random.
pub(crate) struct CountingRandomness;

impl Randomness for CountingRandomness {
    fn bytes(&self) -> Option<[u8; 16]> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Some(u128::from(COUNT.fetch_add(1, Ordering::Relaxed)).to_be_bytes())
    }
}

/// Shared data in memory, as in Envoy; with `one_key_for_all` keys collide, as checksums of them do on Kong.
#[derive(Default)]
pub(crate) struct MemorySharedData {
    pub(crate) values: RefCell<HashMap<String, (Vec<u8>, u32)>>,
    pub(crate) one_key_for_all: Cell<bool>,
}

impl MemorySharedData {
    fn key(&self, key: &str) -> String {
        if self.one_key_for_all.get() { String::new() } else { key.to_owned() }
    }
}

impl SharedData for MemorySharedData {
    fn get(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.values.borrow().get(&self.key(key)).cloned()
    }

    fn set(&self, key: &str, value: &[u8], cas: u32) -> bool {
        let mut values = self.values.borrow_mut();
        let current = values.get(&self.key(key)).map_or(0, |(_, cas)| *cas);
        let is_current = cas == current;
        if is_current {
            values.insert(self.key(key), (value.to_vec(), current + 1));
        }
        is_current
    }
}
