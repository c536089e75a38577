//! Feeds shared data: the entries that workers wrote, truncated, swapped, mixed up, or overwritten with arbitrary bytes or by another
//! configuration, and on a host where all keys collide.
//!
//! *Invariant:* a worker that cannot introspect lets a token in only with the JWT that an honest worker stored for that very token under
//! the same configuration, no longer than it may be kept, and not expired.
//!
//! If it failed, one client would be let in by an entry for another, by an entry that was half written, or by what an earlier configuration
//! accepted.
#![no_main]

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use phantom_token_core::Call;
use phantom_token_core::driver::Response;
use phantom_token_fuzz::{Choice, Gateway, NOW, Store, authorization, expand, key_set};
use serde_json::{Value, json};

fuzz_target!(|input: Input<'_>| run(&input));

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    is_one_key: Choice<2>,
    keys: Choice<3>,
    /// When the tokens are presented again, in units of four seconds.
    later: Choice<32>,
    changes: [Change; 4],
    bytes: &'a [u8],
}

/// One change to an entry. Entries are selected by the order of their keys.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Change {
    kind: Choice<8>,
    of: Choice<8>,
    by: Choice<8>,
    at: u8,
}

fn run(input: &Input<'_>) {
    let (shared, others) = input.honest_stores();
    for change in input.changes {
        change.apply(&shared, &others, input.bytes);
    }

    let seconds = u64::from(input.later.0) * 4;
    let mut worker = Gateway::new(&input.configuration("now")).expect("no errors");
    // Lets the worker fetch keys first: without keys, it trusts no entry.
    ANOTHER.request(&mut worker, 0, &Store::default(), true);
    for (index, token) in TOKENS.iter().enumerate() {
        if let Some(jwt) = token.request(&mut worker, seconds, &shared, false) {
            assert_eq!(jwt, token.jwt, "another's JWT, for token {index}");
            assert!(seconds < MAX_TTL && seconds < token.lifetime, "kept for too long: token {index}");
        }
    }
}

impl Input<'_> {
    /// Returns what workers of both configurations wrote, and what workers of this one wrote on another host. The entries are written once.
    fn honest_stores(&self) -> (Store, Store) {
        type Values = BTreeMap<String, Vec<u8>>;
        static WRITTEN: [OnceLock<(Values, Values)>; 6] = [const { OnceLock::new() }; 6];
        let place = usize::from(self.is_one_key.0 + 2 * self.keys.0);
        let store = || {
            let store = Store::default();
            store.one_key_for_all.set(self.is_one_key.0 == 1);
            store
        };
        let write = |when, tokens: &[Token], store: &Store| {
            let mut worker = Gateway::new(&self.configuration(when)).expect("no errors");
            for token in tokens {
                assert!(token.request(&mut worker, 0, store, true).is_some(), "the server speaks for it");
            }
        };
        let (shared, others) = WRITTEN[place].get_or_init(|| {
            let (shared, others) = (store(), Store::default());
            write("earlier", &TOKENS[..2], &shared);
            write("now", &TOKENS[1..], &shared);
            write("now", &TOKENS[..], &others);
            (shared.values.into_inner(), others.values.into_inner())
        });
        let (one, other) = (store(), Store::default());
        one.values.replace(shared.clone());
        other.values.replace(others.clone());
        (one, other)
    }

    /// Returns this configuration, or an earlier one that differs only in the endpoint that it calls.
    fn configuration(&self, when: &str) -> Value {
        let mut configuration = json!({
            "introspection": {"endpoint": format!("{ISSUER}/{when}"), "upstream": "a", "auth_method": "none"},
            "token": {"leeway": "0s", "issuer": ISSUER},
            "cache": {"max_entries": 16, "max_ttl": format!("{MAX_TTL}s")},
            "claim_to_headers": [{"header": "x-user", "pointer": "/sub"}],
            "rules": [{"path": "/"}],
        });
        match self.keys.0 {
            0 => {}
            1 => configuration["keys"] = json!({"jwks": key_set()}),
            _ => configuration["keys"] = json!({"jwks_uri": format!("{ISSUER}/jwks")}),
        }
        configuration
    }
}

impl Change {
    fn apply(self, shared: &Store, others: &Store, bytes: &[u8]) {
        let mut values = shared.values.borrow_mut();
        let names: Vec<String> = values.keys().cloned().collect();
        let name = |choice: Choice<8>| names.get(usize::from(choice.0) % names.len().max(1)).cloned();
        let (Some(of), Some(by)) = (name(self.of), name(self.by)) else { return };
        let value = values.get(&of).cloned().unwrap_or_default();
        let source = values.get(&by).cloned().unwrap_or_default();
        let at = usize::from(self.at).min(value.len());
        let changed = match self.kind.0 {
            1 => value[..at].to_vec(),
            2 => value[..value.len() - at].to_vec(),
            3 => [&value, bytes].concat(),
            4 => bytes.to_vec(),
            5 => source,
            // The version and the fingerprints of configuration and token: flipping one bit invalidates the entry.
            6 => {
                let mut value = value;
                let marks = if of.contains("keys") { 32 } else { 65 };
                if let Some(byte) = value.get_mut(usize::from(self.at) % marks) {
                    *byte ^= 1 << self.by.0;
                }
                value
            }
            // The entry of another token under the same configuration on another host.
            7 => {
                let others = others.values.borrow();
                others.values().nth(usize::from(self.by.0) % others.len().max(1)).cloned().unwrap_or_default()
            }
            _ => return,
        };
        values.insert(of, changed);
    }
}

struct Token {
    text: String,
    jwt: String,
    earlier_jwt: String,
    lifetime: u64,
}

impl Token {
    fn new(name: &str, lifetime: u64) -> Self {
        let jwt = |subject: String| {
            let claims = json!({"iss": ISSUER, "sub": subject, "exp": NOW + lifetime});
            let (jwt, _) = expand(format!(r#"<<e|{{"alg":"EdDSA","kid":"e"}}|{claims}>>"#).as_bytes());
            String::from_utf8(jwt).expect("a JWT")
        };
        let (jwt, earlier_jwt) = (jwt(format!("{name}-now")), jwt(format!("{name}-old")));
        Self { text: format!("Bearer opaque-{name}"), jwt, earlier_jwt, lifetime }
    }

    /// Sends a request with the token. Returns the JWT that is forwarded, `None` if the request is refused.
    fn request(
        &self,
        gateway: &mut Gateway,
        seconds: u64,
        shared: &Store,
        is_answered: bool,
    ) -> Option<String> {
        let request = authorization(b"/", self.text.as_bytes());
        let ending = gateway.request(&request, seconds, shared, &mut |call| self.respond(call, is_answered));
        if ending.status().is_some() {
            assert!(!is_answered || ending.status() == Some(503), "{:?}", ending.refusal());
            return None;
        }
        let value = ending.forwarded_field("authorization").expect("credentials");
        Some(value.strip_prefix("Bearer ").expect("a JWT").to_owned())
    }

    fn respond(&self, call: &Call, is_answered: bool) -> Response {
        if call.request.body().is_empty() {
            return Response::of("application/json", key_set().to_string());
        }
        if !is_answered {
            return Response::Lost;
        }
        let is_earlier = call.request.headers().any(|(name, value)| name == ":path" && value == "/earlier");
        let jwt = if is_earlier { &self.earlier_jwt } else { &self.jwt };
        Response::of("application/jwt", jwt.as_str())
    }
}

const ISSUER: &str = "https://login.example.com";
static ANOTHER: LazyLock<Token> = LazyLock::new(|| Token::new("e", 600));
static TOKENS: LazyLock<[Token; 4]> =
    LazyLock::new(|| [Token::new("a", 600), Token::new("b", 600), Token::new("c", 30), Token::new("d", 45)]);
const MAX_TTL: u64 = 60;
