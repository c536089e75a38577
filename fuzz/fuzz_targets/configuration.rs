//! Feeds configurations, whole or as a patch to a valid one, and then a few requests to each that parses.
//!
//! *Invariant:* no secret of a configuration appears in its error messages, in debug output, or in what clients and services receive. An
//! accepted configuration survives requests, and whatever text it contains, no challenge, reply, callout or forwarded field has a control
//! character.
//!
//! If it failed, the gateway's credentials would appear in the host's log, or a worker would stop because of a setting written weeks ago.
#![no_main]

use arbitrary::Arbitrary;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::{Corpus, fuzz_target};
use phantom_token_core::driver::{Outcome, Response};
use phantom_token_core::{Call, Settings};
use phantom_token_fuzz::{Choice, Gateway, NOW, Store, expand, key_set, request};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

fuzz_target!(|input: Input<'_>| -> Corpus { run(&input) });

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    is_whole: Choice<2>,
    /// The configuration, or a merge patch to the minimal one, as JSON.
    text: &'a [u8],
}

fn run(input: &Input<'_>) -> Corpus {
    let secrets = Secrets::unlike(input.text);
    let environment = |name: &str| match name {
        "SECRET" => Some(secrets.text.clone()),
        "KEY" => Some(secrets.private_key.clone()),
        _ => None,
    };
    let Ok(written) = serde_json::from_slice::<Value>(input.text) else {
        let broken = [input.text, br#"","secret":""#, secrets.text.as_bytes()].concat();
        if let Err(errors) = Settings::parse(&broken, &environment) {
            secrets.assert_absent("an error", &format!("{errors} {errors:?}"));
        }
        return Corpus::Keep;
    };
    let mut configuration = if input.is_whole.0 == 1 { written } else { changed(minimal(), written) };
    secrets.hide_in(&mut configuration);
    limit_cache(&mut configuration);
    match Settings::parse(configuration.to_string().as_bytes(), &environment) {
        Err(errors) => {
            let text = errors.to_string();
            assert!(!text.is_empty(), "refused without an error");
            secrets.assert_absent("an error", &format!("{text} {errors:?}"));
        }
        Ok(settings) => {
            secrets.assert_absent("a print", &format!("{settings} {settings:?}"));
            survives_requests(Gateway::of(settings, &configuration), &configuration, &secrets);
        }
    }
    Corpus::Keep
}

fn survives_requests(mut gateway: Gateway, configuration: &Value, secrets: &Secrets) {
    let shared = Store::default();
    let rule_paths =
        configuration["rules"].as_array().into_iter().flatten().filter_map(|rule| rule["path"].as_str());
    let mut paths: Vec<String> = rule_paths.take(3).map(|path| format!("{path}/x")).collect();
    paths.extend(["/", "/%2e./a", "/.well-known/oauth-protected-resource"].map(str::to_owned));
    let origin = configuration["cors"]["allow_origins"][0].as_str();
    let issuer = Issuer::of(configuration);
    let bearer = format!("Bearer {}", issuer.jwt);
    for (index, path) in paths.iter().enumerate() {
        let credentials = ["Bearer opaque", &bearer, "Basic YTpi", "Bearer opaque opaque"];
        for authorization in std::iter::once(None).chain(credentials.map(Some)) {
            let method = if index % 2 == 0 { "GET" } else { "OPTIONS" };
            let authority = configuration["rules"][0]["hosts"][0].as_str().unwrap_or("api");
            let mut request = request(method, authority.as_bytes(), path.as_bytes());
            let fields = [
                ("authorization", authorization),
                ("origin", origin),
                ("access-control-request-method", (index == 1).then_some("GET")),
            ];
            let present =
                fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
            request.fields.extend(present);
            let mut respond = |call: &Call| if index == 2 { Response::Lost } else { issuer.respond(call) };
            let ending = gateway.request(&request, index as u64, &shared, &mut respond);
            for (name, value) in ending.forwarded().into_iter().flatten() {
                secrets.assert_absent("a forwarded field", &format!("{name}: {value}"));
            }
            match &ending.outcome {
                Outcome::Answered(reply) => {
                    secrets.assert_absent("a reply", &format!("{reply:?}"));
                    assert!(reply.reason.is_some() || reply.status == 200, "{reply:?}");
                }
                Outcome::Forwarded { filter_state, .. } => {
                    secrets.assert_absent("filter state", &format!("{filter_state:?}"));
                }
                Outcome::Waiting => {}
            }
        }
    }
}

/// Secrets that cannot occur in the input, since they are derived from its digest.
struct Secrets {
    text: String,
    private_key: String,
    private_part: String,
}

impl Secrets {
    fn unlike(input: &[u8]) -> Self {
        let digest = Sha256::digest(input);
        let text = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let key = p256::ecdsa::SigningKey::from_slice(&digest).expect("hardly a digest is no key");
        let point = key.verifying_key().to_encoded_point(false);
        let [x, y] = [point.x(), point.y()].map(|part| URL_SAFE_NO_PAD.encode(part.expect("a coordinate")));
        let private_part = URL_SAFE_NO_PAD.encode(digest);
        let private_key = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "d": private_part}).to_string();
        Self { text, private_key, private_part }
    }

    /// Puts a secret into every member where an operator would.
    fn hide_in(&self, value: &mut Value) {
        match value {
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.hide_in(element)),
            Value::Object(members) => {
                for (name, member) in members {
                    match name.as_str() {
                        "client_secret" | "bearer_token" | "secret" | "headers" => self.replace_texts(member),
                        "private_key" if member.as_str().is_some_and(|text| text.starts_with('$')) => {
                            *member = json!(self.private_key);
                        }
                        "private_key" => self.replace_texts(member),
                        _ => self.hide_in(member),
                    }
                }
            }
            _ => {}
        }
    }

    fn replace_texts(&self, value: &mut Value) {
        match value {
            Value::String(text) => text.push_str(&self.text),
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.replace_texts(element)),
            Value::Object(members) => {
                let secret = members.iter_mut().filter(|(name, _)| *name != "env");
                secret.for_each(|(_, member)| self.replace_texts(member));
            }
            _ => {}
        }
    }

    fn assert_absent(&self, place: &str, text: &str) {
        for secret in [&self.text, &self.private_part] {
            assert!(!text.contains(secret.as_str()), "a secret of the configuration is in {place}: {text}");
        }
    }
}

/// The authorization server that a configuration expects.
struct Issuer {
    issuer: Value,
    member: String,
    jwt: String,
}

impl Issuer {
    fn of(configuration: &Value) -> Self {
        let token = |name: &str| match &configuration["token"][name] {
            Value::Null => configuration["authorization_servers"][0]["token"][name].clone(),
            value => value.clone(),
        };
        let member =
            configuration["introspection"]["response"]["jwt_field"].as_str().unwrap_or("jwt").to_owned();
        let claims = json!({
            "iss": token("issuer"), "aud": token("audience"), "sub": "alice\r\n", "client_id": "app", "jti": "1", "iat": NOW,
            "exp": NOW + 600, "scope": configuration["rules"][0]["scopes"][0], "acr": configuration["rules"][0]["acr_values"][0],
            "auth_time": NOW, "roles": ["a"],
        });
        let (jwt, _) =
            expand(format!(r#"<<e|{{"alg":"EdDSA","typ":"at+jwt","kid":"e"}}|{claims}>>"#).as_bytes());
        Self { issuer: token("issuer"), member, jwt: String::from_utf8_lossy(&jwt).into_owned() }
    }

    fn respond(&self, call: &Call) -> Response {
        let callout = &call.request;
        let field = |name: &str| callout.headers().find(|(field, _)| *field == name).map(|(_, value)| value);
        match (callout.body().is_empty(), field("accept")) {
            (true, _) => {
                let origin = format!(
                    "{}://{}",
                    field(":scheme").unwrap_or_default(),
                    field(":authority").unwrap_or_default()
                );
                let mut document = key_set();
                document["issuer"] = self.issuer.clone();
                document["jwks_uri"] = json!(format!("{origin}/jwks"));
                Response::of("application/json", document.to_string())
            }
            (false, Some("application/jwt")) => Response::of("application/jwt", self.jwt.as_str()),
            (false, _) => {
                let mut body = Map::new();
                body.insert(self.member.clone(), json!(self.jwt));
                body.insert("active".to_owned(), json!(true));
                Response::of("application/json", Value::Object(body).to_string())
            }
        }
    }
}

fn minimal() -> Value {
    json!({
        "introspection": {
            "endpoint": "https://login.example.com/introspect", "upstream": "a",
            "client_id": "gateway", "client_secret": "",
        },
        "rules": [{"path": "/"}],
    })
}

/// Applies a JSON Merge Patch (RFC 7396).
fn changed(mut value: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { return changes };
    for (name, change) in changes {
        if !value.is_object() {
            value = json!({});
        }
        let Value::Object(members) = &mut value else { continue };
        match change {
            Value::Null => drop(members.remove(&name)),
            change => {
                let member = members.remove(&name).unwrap_or_default();
                members.insert(name, changed(member, change));
            }
        }
    }
    value
}

/// Reduces the cache to 64 entries: large caches take long to allocate and behave the same.
fn limit_cache(configuration: &mut Value) {
    let Value::Object(members) = configuration else { return };
    let cache = members.entry("cache").or_insert_with(|| json!({}));
    let entries = cache["max_entries"].as_u64().unwrap_or(10_000);
    if cache.is_object() && (cache["max_entries"].is_null() || (64..=1_000_000).contains(&entries)) {
        cache["max_entries"] = json!(64);
    }
}
