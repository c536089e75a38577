//! Feeds a JWT that a client presents, and every document that may vouch for its key: a JWK Set in the configuration, at the server or in
//! shared data, and the metadata that locate the set.
//!
//! *Invariant:* what is forwarded is exactly the JWT that was presented, signed by a key that one of those documents publishes (a shared
//! secret is in none of them), for the configured issuer and audience, of an acceptable kind, and not expired. Whatever the documents say,
//! only the configured server is called, and a missing or broken document is never the client's fault.
//!
//! If it failed, anyone able to write JSON could pass as any user; or the gateway would fetch URLs that clients choose.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::{Corpus, fuzz_target};
use phantom_token_core::Call;
use phantom_token_core::driver::{Fields, Response};
use phantom_token_fuzz::{
    Choice, Ending, Gateway, Key, NOW, SECRET, Signed, Store, authorization, claims_of, expand, header_of,
    key_set, parts, publishes,
};
use serde_json::{Value, json};

fuzz_target!(|input: Input<'_>| -> Corpus { run(&input) });

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    source: Choice<4>,
    is_lax: Choice<2>,
    introspects: Choice<2>,
    /// Whether the document in shared data follows the fingerprint of this configuration.
    is_marked: Choice<2>,
    /// When the document in shared data was fetched, and when the JWT is presented again, in units of four seconds.
    fetched: Choice<64>,
    later: Choice<64>,
    /// The JWT, the JWK Set, the metadata, and the JWK Set in shared data.
    text: &'a [u8],
}

fn run(input: &Input<'_>) -> Corpus {
    let (text, signed) = expand(input.text);
    let [token, keys, metadata, stored] = parts(&text);
    let Some(configuration) = input.configuration(keys) else { return Corpus::Reject };
    let Some(mut gateway) = Gateway::new(&configuration) else { return Corpus::Reject };
    let shared = Store::default();
    let is_shared = !stored.is_empty() && input.is_published();
    if is_shared {
        input.store(&configuration, stored, &shared);
    }
    let bearer = [b"Bearer ", token].concat();
    let request = authorization(b"/", &bearer);
    let scene =
        Scene { token, keys, stored: if is_shared && input.is_marked.0 == 1 { stored } else { b"" }, signed };

    let mut documents = 0;
    let first = gateway.request(&request, 0, &shared, &mut |call| {
        documents += 1;
        respond(call, keys, metadata)
    });
    input.examine(&first, &scene, 0);
    if first.refusal() == Some("invalid_signature") && documents > 0 && scene.stored.is_empty() {
        let has_keys = serde_json::from_slice::<Value>(keys).is_ok_and(|set| set["keys"].is_array());
        assert!(has_keys, "there are no keys, but the client hears that its signature is wrong");
    }
    let seconds = u64::from(input.later.0) * 4;
    let second = gateway.request(&request, seconds, &shared, &mut |call| {
        assert_target(call);
        Response::Lost
    });
    input.examine(&second, &scene, seconds);
    Corpus::Keep
}

/// What the target knows about the signature.
struct Scene<'a> {
    token: &'a [u8],
    keys: &'a [u8],
    stored: &'a [u8],
    signed: Vec<Signed>,
}

impl Input<'_> {
    fn configuration(&self, keys: &[u8]) -> Option<Value> {
        let keys = match self.source.0 {
            SET => json!({"jwks": serde_json::from_slice::<Value>(keys).ok()?}),
            URI => json!({"jwks_uri": "https://login.example.com/jwks", "upstream": UPSTREAM}),
            DISCOVERY => json!({"metadata_url": format!("{ISSUER}{METADATA_PATH}"), "upstream": UPSTREAM}),
            _ => json!({"hmac_secret": SECRET}),
        };
        let mut configuration = json!({
            "token": {
                "issuer": ISSUER, "audience": ["orders-api"], "leeway": "0s", "jwts": "verify",
                "jwt_profile": if self.is_lax.0 == 1 { "lax" } else { "rfc9068" },
            },
            "keys": keys,
            "cache": {"max_entries": 16, "max_ttl": "60s"},
            "claim_to_headers": [{"header": "x-user", "pointer": "/sub"}],
            "rules": [{"path": "/"}],
        });
        if self.introspects.0 == 1 {
            configuration["introspection"] = json!({"endpoint": format!("{ISSUER}{INTROSPECTION_PATH}"), "upstream": UPSTREAM, "auth_method": "none"});
        }
        Some(configuration)
    }

    fn is_published(&self) -> bool {
        matches!(self.source.0, URI | DISCOVERY)
    }

    /// Writes a key set to shared data as another worker would have, or without the fingerprint of this configuration.
    fn store(&self, configuration: &Value, stored: &[u8], shared: &Store) {
        let honest = Store::default();
        let jwt = format!(
            r#"<<e|{{"alg":"EdDSA","typ":"at+jwt"}}|{{"iss":"{ISSUER}","aud":"orders-api","sub":"a","client_id":"a","jti":"a","iat":{NOW},"exp":{}}}>>"#,
            NOW + 9
        );
        let (jwt, _) = expand(jwt.as_bytes());
        let bearer = [b"Bearer ", jwt.as_slice()].concat();
        let metadata = json!({"issuer": ISSUER, "jwks_uri": format!("{ISSUER}/jwks")}).to_string();
        let keys = key_set().to_string();
        let mut other = Gateway::new(configuration).expect("a configuration that was taken before");
        other.request(&authorization(b"/", &bearer), 0, &honest, &mut |call| {
            respond(call, keys.as_bytes(), metadata.as_bytes())
        });
        let values = honest.values.into_inner();
        let (key, value) =
            values.iter().find(|(key, _)| key.contains("keys")).expect("a set that was fetched");
        let fetched = (NOW - 120 + u64::from(self.fetched.0) * 4) * 1000;
        let mark = if self.is_marked.0 == 1 { &value[..32] } else { &[0; 32] };
        shared.values.borrow_mut().insert(key.clone(), [mark, &fetched.to_be_bytes(), stored].concat());
    }

    fn examine(&self, ending: &Ending, scene: &Scene<'_>, seconds: u64) {
        if let Some(status) = ending.status() {
            assert!(matches!(status, 400 | 401 | 431 | 502..=504), "{status}: {:?}", ending.refusal());
            return;
        }
        let value = ending.forwarded_field("authorization");
        let jwt = value.as_deref().and_then(|value| value.strip_prefix("Bearer ")).expect("a JWT");
        assert_eq!(
            jwt.as_bytes(),
            scene.token.trim_ascii().trim_ascii_start(),
            "another JWT than was presented"
        );
        let signed = scene.signed.iter().find(|one| one.jwt == jwt);
        let signed = signed.unwrap_or_else(|| panic!("nobody signed this: {jwt}"));
        let is_key = match self.source.0 {
            SECRET_OF_BOTH => signed.key == Key::Secret,
            _ => publishes(scene.keys, signed.key) || publishes(scene.stored, signed.key),
        };
        assert!(is_key, "nobody published the key that signed it, {:?}: {jwt}", signed.key);
        let (header, claims) = (header_of(jwt).expect("a header"), claims_of(jwt).expect("claims"));
        assert!(header.get("crit").is_none(), "with extensions that nobody understood");
        assert_eq!(claims["iss"], ISSUER);
        let audience = &claims["aud"];
        assert!(
            audience == "orders-api"
                || audience.as_array().is_some_and(|all| all.contains(&json!("orders-api")))
        );
        assert!(
            claims["exp"].as_f64().is_some_and(|exp| ((NOW + seconds) as f64) < exp),
            "it has expired: {claims}"
        );
        assert!(
            claims["nbf"].as_f64().is_none_or(|nbf| nbf.floor() <= (NOW + seconds) as f64),
            "too early: {claims}"
        );
        assert!(claims.get("cnf").is_none_or(Value::is_null), "bound to its sender: {claims}");
        let typ = header["typ"].as_str().unwrap_or_default().to_ascii_lowercase();
        assert!(self.is_lax.0 == 1 || typ.contains("at+jwt"), "no access token: {header}");
    }
}

fn respond(call: &Call, keys: &[u8], metadata: &[u8]) -> Response {
    match assert_target(call).as_str() {
        INTROSPECTION_PATH => Response::Complete { status: 204, fields: Fields::new(), body: Vec::new() },
        METADATA_PATH => Response::of("application/json", metadata),
        _ => Response::of("application/json", keys),
    }
}

/// Asserts that a call goes to the configured server, and returns its path.
fn assert_target(call: &Call) -> String {
    let callout = &call.request;
    let field =
        |name: &str| callout.headers().find(|(field, _)| *field == name).map(|(_, value)| value.to_owned());
    assert_eq!(callout.upstream(), UPSTREAM);
    assert_eq!(field(":scheme").as_deref(), Some("https"));
    assert_eq!(field(":authority").as_deref(), Some("login.example.com"));
    let path = field(":path").unwrap_or_default();
    assert!(path.starts_with('/') && !path.contains(['#', ' ']), "{path}");
    path
}

const SET: u8 = 0;
const URI: u8 = 1;
const DISCOVERY: u8 = 2;
const SECRET_OF_BOTH: u8 = 3;

const ISSUER: &str = "https://login.example.com";
const UPSTREAM: &str = "authorization-server";
const INTROSPECTION_PATH: &str = "/introspect";
const METADATA_PATH: &str = "/.well-known/openid-configuration";
