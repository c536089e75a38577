//! Feeds the response to an introspection: status, header fields and body, in every format, with and without keys.
//!
//! *Invariant:* what is forwarded is exactly the JWT that the server returned, or its claims unchanged; active, signed where keys are
//! configured, and not expired, whether fresh or from the cache, which stores nothing that HTTP forbids to store. No forwarded field
//! contains the opaque token. A refusal blames the token only where the server does; any other is a 5xx.
//!
//! If it failed, a broken or forged response would let a request in, a revoked token would live on, or clients would discard valid tokens
//! when the server is down.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use phantom_token_core::NoSharedData;
use phantom_token_core::driver::Response;
use phantom_token_fuzz::{
    Choice, Ending, Gateway, Key, NOW, SECRET, Signed, authorization, claims_of, expand, key_set, lines,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fuzz_target!(|input: Input<'_>| run(&input));

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    format: Choice<6>,
    keys: Choice<3>,
    is_strict: Choice<2>,
    overrides_no_store: Choice<2>,
    /// When the token is presented again, in units of four seconds.
    later: Choice<32>,
    /// The status, header fields, an empty line, and the body.
    text: &'a [u8],
}

fn run(input: &Input<'_>) {
    let (text, signed) = expand(input.text);
    let answer = Answer::read(&text);
    let mut gateway = Gateway::new(&input.configuration()).expect("no errors");
    // The response cannot contain the token, which is derived from it. So where the token shows up, the gateway has put it there.
    let token: String = Sha256::digest(&text)[..9].iter().map(|byte| format!("{byte:02x}")).collect();
    let bearer = format!("Bearer {token}");
    let request = authorization(b"/", bearer.as_bytes());

    let first = gateway.request(&request, 0, &NoSharedData, &mut |_| answer.response());
    assert_eq!(first.calls, 1);
    let granted = first.forwarded();
    match &granted {
        Some(fields) => input.examine_forwarded(fields, &answer, &signed, &token, 0),
        None => input.examine_refusal(&first, &answer),
    }

    let seconds = u64::from(input.later.0) * 4;
    let second = gateway.request(&request, seconds, &NoSharedData, &mut |_| Response::Lost);
    match second.forwarded() {
        Some(fields) => {
            match &granted {
                Some(first) => assert_eq!(fields, *first, "the cache has another answer"),
                None => assert_eq!(first.refusal(), Some("not_yet_valid"), "it became good by waiting"),
            }
            input.examine_forwarded(&fields, &answer, &signed, &token, seconds);
            assert!(
                seconds < MAX_TTL && answer.allows_keeping(seconds, input.overrides_no_store.0 == 1),
                "kept for too long"
            );
        }
        None if second.calls == 0 => {
            // What contradicts itself is cached as well.
            let is_the_same = second.refusal() == first.refusal();
            assert!(second.status() == Some(401) || is_the_same, "{:?}", second.refusal());
        }
        None => assert_eq!(second.status(), Some(503), "{:?}", second.refusal()),
    }
}

impl Input<'_> {
    fn configuration(&self) -> Value {
        let response = match self.format.0 {
            JWT => json!({"accept": "application/jwt"}),
            JWT_OR_FIELD => json!({"accept": "application/jwt", "jwt_field": MEMBER}),
            FIELD_OF_JSON => json!({"accept": "application/json", "jwt_field": MEMBER}),
            JSON => json!({"accept": "application/json"}),
            SIGNED => json!({"accept": SIGNED_TYPE}),
            _ => json!({"accept": SIGNED_TYPE, "require_signed": false}),
        };
        let mut configuration = json!({
            "introspection": {
                "endpoint": "https://login.example.com/introspect", "upstream": "a",
                "client_id": "gateway", "auth_method": "none", "response": response,
            },
            "token": {"leeway": "0s"},
            "cache": {"max_entries": 16, "max_ttl": format!("{MAX_TTL}s")},
            "claim_to_headers": [{"header": "x-user", "pointer": "/sub"}, {"header": "x-roles", "pointer": "/realm/roles/0"}],
            "filter_state": [{"name": "user", "pointer": "/sub"}],
            "rules": [{"path": "/"}],
        });
        if self.is_strict.0 == 1 || self.is_signed() {
            configuration["token"]["issuer"] = json!(ISSUER);
        }
        if self.is_strict.0 == 1 {
            configuration["token"]["audience"] = json!(["orders-api"]);
            configuration["token"]["require_exp"] = json!(true);
        }
        if self.overrides_no_store.0 == 1 {
            configuration["cache"]["no_store_ttl"] = json!(format!("{NO_STORE_TTL}s"));
        }
        match self.keys.0 {
            1 => configuration["keys"] = json!({"hmac_secret": SECRET}),
            0 if !self.is_signed() => {}
            _ => configuration["keys"] = json!({"jwks": key_set()}),
        }
        configuration
    }

    fn is_signed(&self) -> bool {
        self.format.0 >= SIGNED
    }

    fn has_key(&self, key: Key) -> bool {
        match self.keys.0 {
            1 => key == Key::Secret,
            _ => key != Key::Secret,
        }
    }

    fn examine_forwarded(
        &self,
        fields: &[(String, String)],
        answer: &Answer<'_>,
        signed: &[Signed],
        token: &str,
        seconds: u64,
    ) {
        assert_eq!(answer.status, Some(200), "only a 200 says that a token is active");
        let jwt = fields
            .iter()
            .find(|(name, _)| name == "authorization")
            .map(|(_, value)| value.strip_prefix("Bearer ").expect("the JWT behind its scheme"));
        let body = serde_json::from_slice::<Value>(answer.body).ok();
        let is_genuine = |jwt: &str| signed.iter().any(|one| one.jwt == jwt && self.has_key(one.key));
        let says = match (self.format.0, jwt) {
            (JWT, Some(jwt)) => {
                assert_eq!(jwt.as_bytes(), answer.body);
                claims_of(jwt)
            }
            (JWT_OR_FIELD | FIELD_OF_JSON, Some(jwt)) => {
                if jwt.as_bytes() != answer.body {
                    let body = body.as_ref().expect("JSON");
                    assert_eq!(body.get("active"), Some(&Value::Bool(true)));
                    assert_eq!(body.get(MEMBER).and_then(Value::as_str), Some(jwt));
                }
                claims_of(jwt)
            }
            (JSON, None) => body,
            (SIGNED | SIGNED_OR_NOT, None) => {
                let text = std::str::from_utf8(answer.body).expect("text");
                match body.filter(|_| self.format.0 == SIGNED_OR_NOT) {
                    Some(body) => Some(body),
                    None => {
                        assert!(is_genuine(text), "a signed response without its server's signature");
                        claims_of(text).and_then(|claims| claims.get("token_introspection").cloned())
                    }
                }
            }
            (format, jwt) => panic!("format {format} does not lead to {jwt:?}"),
        };
        let says = says.expect("JSON that says something of the token");
        let is_active = says.get("active").map(|active| active == &Value::Bool(true));
        assert_eq!(is_active, jwt.is_none().then_some(true), "{says}");
        if let Some(jwt) = jwt {
            assert!(self.keys.0 == 0 || is_genuine(jwt), "a JWT without its issuer's signature: {says}");
        }
        let expiries = answer.expiries(self.format.0);
        assert!(expiries.iter().all(|exp| ((NOW + seconds) as f64) < *exp), "it has expired: {expiries:?}");
        if self.is_strict.0 == 1 {
            assert_eq!(says["iss"], ISSUER);
            assert!(!expiries.is_empty(), "without an expiry");
            let audience = &says["aud"];
            assert!(
                audience == "orders-api"
                    || audience.as_array().is_some_and(|all| all.iter().any(|one| one == "orders-api"))
            );
        }
        for (name, value) in fields {
            assert!(!value.contains(token), "the opaque token goes on in {name}");
        }
        for (name, pointer) in [("x-user", "/sub"), ("x-roles", "/realm/roles/0")] {
            let value = fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
            if let (Some(value), Some(Value::String(claim))) = (value, says.pointer(pointer)) {
                assert_eq!(value, claim, "the claim of {name}");
            }
            assert!(
                value.is_none() || says.pointer(pointer).is_some_and(|claim| !claim.is_null()),
                "{name} of nothing"
            );
        }
    }

    fn examine_refusal(&self, ending: &Ending, answer: &Answer<'_>) {
        let (Some(status), Some(reason)) = (ending.status(), ending.refusal()) else { panic!("a refusal") };
        if status >= 500 {
            return;
        }
        assert!(
            matches!(answer.status, Some(200 | 204 | 400..500)),
            "the server failed, but it is told as {reason}"
        );
        let says = answer.objects(self.format.0);
        let says_any =
            |claims: &[&str]| claims.iter().any(|claim| says.iter().any(|one| one.get(claim).is_some()));
        let has_passed = |says: &Value| says["exp"].as_f64().is_some_and(|exp| exp.floor() <= NOW as f64);
        let is_said = match reason {
            "inactive" if answer.status == Some(204) => self.format.0 <= JWT_OR_FIELD,
            "inactive" => {
                let is_error = |one: &Value| {
                    ["unsupported_token_type", "invalid_token"].iter().any(|error| one["error"] == *error)
                };
                says.iter().any(|one| one["active"] == Value::Bool(false))
                    || (answer.status == Some(400) && says.iter().any(is_error))
            }
            "expired" => says.iter().any(has_passed),
            "not_yet_valid" => says_any(&["nbf"]),
            "not_an_access_token" => says_any(KINDS),
            "proof_required" => says_any(&["cnf", "token_type"]),
            "wrong_issuer" => self.is_strict.0 == 1 || self.is_signed(),
            "wrong_audience" | "missing_expiration" => self.is_strict.0 == 1,
            _ => false,
        };
        assert!(is_said, "the client hears {status} {reason}, which the server did not say: {says:?}");
    }
}

/// A response, with plain readings of it.
struct Answer<'a> {
    status_text: &'a [u8],
    status: Option<u16>,
    fields: Vec<(&'a [u8], &'a [u8])>,
    body: &'a [u8],
}

impl<'a> Answer<'a> {
    fn read(text: &'a [u8]) -> Self {
        let (lines, body) = lines(text);
        let mut lines = lines.into_iter();
        let status_text = lines.next().unwrap_or_default();
        let status = std::str::from_utf8(status_text).ok().and_then(|text| text.parse().ok());
        let field = |line: &'a [u8]| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            Some((&line[..colon], line[colon + 1..].trim_ascii()))
        };
        Self { status_text, status, fields: lines.filter_map(field).collect(), body }
    }

    /// Returns the response as a proxy shows it: the status is a number, 0 if its text is not one.
    fn response(&self) -> Response {
        match self.status_text {
            b"lost" => return Response::Lost,
            b"oversized" => return Response::Oversized,
            _ => {}
        }
        let field =
            |(name, value): &(&[u8], &[u8])| (String::from_utf8_lossy(name).into_owned(), value.to_vec());
        let fields = self.fields.iter().map(field).collect();
        Response::Complete { status: self.status.unwrap_or_default(), fields, body: self.body.to_vec() }
    }

    /// Returns all objects that may describe the token: the body, the claims of the body if it is a JWT, and what is nested in either.
    fn objects(&self, format: u8) -> Vec<Value> {
        let body = serde_json::from_slice::<Value>(self.body).ok();
        // A JSON body that holds a JWT has two dots as well.
        let text = std::str::from_utf8(self.body).ok().filter(|_| body.is_none());
        let jwt = text.and_then(claims_of);
        let inner = match format {
            JWT_OR_FIELD | FIELD_OF_JSON => {
                body.as_ref().and_then(|body| body.get(MEMBER)?.as_str()).and_then(claims_of)
            }
            SIGNED | SIGNED_OR_NOT => jwt.as_ref().and_then(|jwt| jwt.get("token_introspection").cloned()),
            _ => None,
        };
        [body, jwt, inner].into_iter().flatten().filter(Value::is_object).collect()
    }

    /// Returns every `exp` of the token. The `exp` of a signed response is about the response itself.
    fn expiries(&self, format: u8) -> Vec<f64> {
        let objects = self.objects(format).into_iter();
        let of_token = objects.filter(|one| one.get("token_introspection").is_none());
        of_token.filter_map(|one| one["exp"].as_f64()).collect()
    }

    /// Whether RFC 9111 allows to keep the response for so long. Reads only directives that are written plainly.
    fn allows_keeping(&self, seconds: u64, overrides_no_store: bool) -> bool {
        let number = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten()
        };
        let values = |name: &str| {
            let of_name = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()));
            of_name.map(|(_, value)| String::from_utf8_lossy(value).to_ascii_lowercase()).collect::<Vec<_>>()
        };
        let age = values("age").iter().filter_map(|value| number(value)).max().unwrap_or(0);
        values("cache-control").iter().flat_map(|value| value.split(',')).all(|directive| {
            let directive = directive.trim_matches([' ', '\t']);
            let despite = overrides_no_store && seconds < NO_STORE_TTL;
            match directive.split_once('=').unwrap_or((directive, "")) {
                ("no-store" | "no-cache", _) => despite,
                ("max-age", lifetime) => number(lifetime).is_none_or(|lifetime| {
                    let left = lifetime.saturating_sub(age);
                    seconds < left || (left == 0 && despite)
                }),
                _ => true,
            }
        })
    }
}

const JWT: u8 = 0;
const JWT_OR_FIELD: u8 = 1;
const FIELD_OF_JSON: u8 = 2;
const JSON: u8 = 3;
const SIGNED: u8 = 4;
const SIGNED_OR_NOT: u8 = 5;

const MEMBER: &str = "jwt";
const SIGNED_TYPE: &str = "application/token-introspection+jwt";
const ISSUER: &str = "https://login.example.com";
const MAX_TTL: u64 = 60;
const NO_STORE_TTL: u64 = 8;

/// Members that may state the kind of a token.
const KINDS: &[&str] = &[
    "token_type",
    "token_use",
    "token_usage",
    "token_class",
    "token_kind",
    "tok_type",
    "tty",
    "typ",
    "type",
    "kind",
    "use",
    "tokenType",
    "tokenName",
    "purpose",
];
