//! JWTs as other implementations write them: what is accepted, what is malformed, and what is ignored. One table covers all JWTs: presented
//! by clients, returned by introspection, and wrapping a response (RFC 9701).

use serde_json::{Value, json};

use super::{Presented, RequestHead, Worker, bearer};
use crate::host::NoSharedData;
use crate::testing::signer::{key_set, sign};
use crate::testing::{self, NOW, test};

/// The outcome of a JWT with a valid signature.
#[derive(Clone, Copy, Debug)]
enum Right {
    /// The JWT is accepted.
    Passes,
    /// This member of the JWT is malformed.
    Malformed(&'static str),
    /// The JWT is refused for this reason if a client presents it, and accepted in a response, where the member does not matter.
    Presented(&'static str),
    /// The JWT is refused for this reason wherever it comes from.
    Refused(&'static str),
}

use Right::{Malformed, Passes, Presented as Only, Refused};

fn signed(header: &str, payload: &str) -> String {
    let header: Value = serde_json::from_str(header).expect("JSON");
    sign("ES256", &header, payload, b"")
}

/// Replaces members of `text` by those of `edits`. That is raw text, so that null stays null and a number stays as written.
fn edited(text: &Value, edits: &str) -> String {
    let edits: serde_json::Map<String, Value> = serde_json::from_str(edits).expect("an object");
    let mut members = text.as_object().cloned().expect("an object");
    members.extend(edits);
    Value::Object(members).to_string()
}

fn check(header_edits: &str, claim_edits: &str, right: Right, source: &str) {
    let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1"});
    let mut claims = testing::claims();
    testing::merge(&mut claims, json!({"client_id": "app", "jti": "1"}));
    let case = format!("{header_edits} {claim_edits}: {source}");
    let jwt = signed(&edited(&header, header_edits), &edited(&claims, claim_edits));

    let mut presented = Worker::new(verifying(), &NoSharedData);
    presented.keys = key_set("k1");
    let authorization = bearer(&jwt);
    let head = RequestHead {
        method: b"GET",
        authority: b"api",
        path: b"/orders",
        authorization: Presented::Once(authorization.as_bytes()),
        ..RequestHead::default()
    };
    let expected = match right {
        Passes => bearer(&jwt),
        Malformed(_) => "malformed_jwt".to_owned(),
        Only(reason) | Refused(reason) => reason.to_owned(),
    };
    assert_eq!(presented.send(0, &head), expected, "presented: {case}");
    if let Malformed(member) = right {
        let reply = presented.refusal(0, &head);
        let text = format!("The access token is a malformed JWT: {member}");
        assert!(reply.body.contains(&format!(r#""error_description":"{text}""#)), "{case}: {}", reply.body);
    }

    let answered = |keys: Value| {
        let mut worker = Worker::new(answering(keys), &NoSharedData);
        worker.keys = key_set("k1");
        worker.answer_with(jwt.clone());
        worker.get(0, "a")
    };
    let expected = match right {
        Passes | Only(_) => bearer(&jwt),
        Malformed(_) => "unexpected_response".to_owned(),
        Refused(reason) => reason.to_owned(),
    };
    let published = json!({"jwks_uri": "https://login.example.com/jwks"});
    assert_eq!(answered(published), expected, "answered: {case}");
    assert_eq!(answered(Value::Null), expected, "answered, without keys: {case}");
}

fn verifying() -> Value {
    let mut configuration = answering(json!({"jwks_uri": "https://login.example.com/jwks"}));
    configuration["token"]["jwts"] = json!("verify");
    configuration
}

fn answering(keys: Value) -> Value {
    json!({"token": {"issuer": "https://login.example.com", "audience": ["orders-api"]}, "keys": keys})
}

/// If a header member that the gateway does not use mattered, all tokens of a server that writes it differently would be refused, with an
/// error about their signature.
#[test]
fn r061_r155_of_a_header_counts_what_is_used() {
    for (edits, right, source) in [
        (r#"{"x5t": "f1e2d3"}"#, Passes, "hex: slowli/jwt-compact#141"),
        (r#"{"x5t": "q83vASNFZ4mrze8BI0VniavN7wE="}"#, Passes, "padded: MicrosoftDocs/azure-docs#95348"),
        (r#"{"x5t": "q83v+SNFZ4mrze8B/0VniavN7wE"}"#, Passes, "the other alphabet"),
        (r#"{"x5t": "q83vASNFZ4mrze8BI0VniavN7wE%3D"}"#, Passes, "escaped"),
        (r#"{"x5t": ""}"#, Passes, "frasertweedale/hs-jose#75"),
        (r#"{"x5t": null, "x5t#S256": null}"#, Passes, "null"),
        (r#"{"x5t": 5, "x5t#S256": ["a"]}"#, Passes, "no texts"),
        (r#"{"x5t#S256": "AAAA"}"#, Passes, "of another length"),
        (
            r#"{"x5t#S256": "ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef0123456789"}"#,
            Passes,
            "hex",
        ),
        (r#"{"x5c": "MIIB"}"#, Passes, "no list"),
        (r#"{"x5c": [], "x5u": 5, "jku": ""}"#, Passes, "R62: they choose no key"),
        (r#"{"jku": "https://evil.example.com/jwks"}"#, Passes, "R62"),
        (r#"{"jwk": {"kty": "EC"}}"#, Passes, "R62"),
        (r#"{"cty": "application/example"}"#, Passes, "RFC 7515 §4.1.10: only the application looks at it"),
        (r#"{"cty": "CBOR"}"#, Passes, "likewise"),
        (r#"{"cty": null}"#, Passes, "likewise"),
        (r#"{"zip": "DEF", "enc": null}"#, Passes, "of JWE"),
        (r#"{"ver": "1.0", "nonce": "x", "client_id": "app", "org.iso.18": {}}"#, Passes, "RFC 7515 §4.3"),
        (r#"{"iss": 5, "exp": "x", "aud": null}"#, Passes, "copies of claims (RFC 7519 §5.3)"),
        (r#"{"b64": true}"#, Passes, "RFC 7797 §3: what holds without it"),
        (r#"{"b64": null}"#, Passes, "null is absent"),
        (r#"{"kid": null}"#, Passes, "null is absent: any key is meant"),
        (r#"{"kid": ""}"#, Passes, "an empty name is none"),
        (r#"{"kid": 1}"#, Passes, "RFC 7515 §4.1.4: a name is a text"),
        (r#"{"typ": "application/at+JWT"}"#, Passes, "RFC 7515 §4.1.9"),
        (r#"{"typ": "AT+JWT;v=1"}"#, Passes, "a parameter"),
        (r#"{"typ": "JWT"}"#, Only("not_an_access_token"), "R68"),
        (r#"{"typ": null}"#, Only("not_an_access_token"), "R68"),
        (r#"{"typ": 5}"#, Only("not_an_access_token"), "no text is no type"),
        (r#"{"typ": ["at+jwt"]}"#, Only("not_an_access_token"), "no text is no type"),
        (r#"{"crit": ["exp"]}"#, Malformed("crit"), "RFC 7515 §4.1.11"),
        (r#"{"crit": []}"#, Malformed("crit"), "RFC 7515 §4.1.11"),
        (r#"{"crit": null}"#, Malformed("crit"), "RFC 7515 §4.1.11"),
        (r#"{"b64": false}"#, Malformed("b64"), "RFC 7797 §3"),
        (r#"{"b64": "false"}"#, Malformed("b64"), "no boolean"),
        (r#"{"alg": null}"#, Malformed("alg"), "RFC 7515 §4.1.1"),
        (r#"{"alg": ["ES256"]}"#, Malformed("alg"), "no text"),
    ] {
        check(edits, "{}", right, source);
    }
}

/// If null or a fraction were malformed, all tokens of servers that write them would be refused; if text were accepted as a date, the end
/// of a token would be ambiguous.
#[test]
fn r031_r155_r156_dates_are_numbers_and_null_is_none() {
    let now = NOW;
    for (edits, right, source) in [
        (r#"{"nbf": null}"#.to_owned(), Passes, "networknt/light-4j#2360"),
        (format!(r#"{{"exp": {}.75}}"#, now + 60), Passes, "Convex-Dev/convex#678"),
        (format!(r#"{{"iat": {now}.9375, "nbf": {now}.0}}"#), Passes, "Python's time.time()"),
        (format!(r#"{{"exp": {}e0}}"#, now + 60), Passes, "an exponent"),
        (r#"{"exp": 9999999999999}"#.to_owned(), Passes, "milliseconds: it ends late"),
        (r#"{"exp": 18446744073709551615}"#.to_owned(), Passes, "2^64 - 1"),
        (r#"{"exp": 99999999999999999999999}"#.to_owned(), Passes, "beyond all integers"),
        (r#"{"exp": 1e300}"#.to_owned(), Passes, "no clock will show it"),
        (r#"{"nbf": 0, "iat": 0}"#.to_owned(), Passes, "of the epoch"),
        (r#"{"nbf": -1, "iat": -62135596800}"#.to_owned(), Passes, "before the epoch: an empty date of .NET"),
        (r#"{"exp": null}"#.to_owned(), Only("missing_expiration"), "null is absent (R32, R67)"),
        (r#"{"iat": null}"#.to_owned(), Only("missing_claim"), "null is absent (R68)"),
        (r#"{"iat": "2026-01-01"}"#.to_owned(), Only("malformed_jwt"), "an answer's is not looked at"),
        (r#"{"exp": 0}"#.to_owned(), Refused("expired"), "it has passed"),
        (r#"{"exp": -5}"#.to_owned(), Refused("expired"), "it has passed"),
        (format!(r#"{{"exp": {}.5}}"#, now - 6), Refused("expired"), "it has passed"),
        (format!(r#"{{"nbf": {}.5}}"#, now + 5), Refused("not_yet_valid"), "it has not come"),
        (r#"{"nbf": 1e300}"#.to_owned(), Refused("not_yet_valid"), "it will not come"),
        (format!(r#"{{"exp": "{}"}}"#, now + 60), Malformed("exp"), "a text"),
        (r#"{"exp": "2026-01-01T00:10:00Z"}"#.to_owned(), Malformed("exp"), "ISO 8601"),
        (r#"{"exp": true}"#.to_owned(), Malformed("exp"), "no number"),
        (format!(r#"{{"exp": [{}]}}"#, now + 60), Malformed("exp"), "a list"),
        (r#"{"nbf": ""}"#.to_owned(), Malformed("nbf"), "an empty text"),
        (r#"{"nbf": {}}"#.to_owned(), Malformed("nbf"), "an object"),
    ] {
        check("{}", &edits, right, source);
    }
}

/// If a claim of the wrong type were reported as an invalid signature, client and operator would examine the keys.
#[test]
fn r035_r156_a_claim_of_the_wrong_type_is_named() {
    for (edits, right, source) in [
        (r#"{"aud": ["orders-api", "other"]}"#, Passes, "RFC 7519 §4.1.3"),
        (r#"{"scope": null}"#, Passes, "null is absent"),
        (r#"{"scope": ""}"#, Passes, "an empty scope"),
        (r#"{"name": 5, "groups": {}, "amr": null, "auth_time": "x"}"#, Passes, "not asked about"),
        (r#"{"scope": ["orders:read"]}"#, Malformed("scope"), "DuendeArchive/IdentityServer4#1061, #5396"),
        (r#"{"scope": []}"#, Malformed("scope"), "spring-attic/spring-authorization-server#877"),
        (r#"{"scope": {"orders": "read"}}"#, Malformed("scope"), "an object"),
        (r#"{"scope": 5}"#, Malformed("scope"), "a number"),
        (r#"{"aud": 5}"#, Malformed("aud"), "a number"),
        (r#"{"aud": {"a": 1}}"#, Malformed("aud"), "an object"),
        (r#"{"aud": ["orders-api", null]}"#, Malformed("aud"), "a list with what is no text"),
        (r#"{"iss": 5}"#, Malformed("iss"), "a number"),
        (r#"{"iss": ["https://login.example.com"]}"#, Malformed("iss"), "a list"),
        (r#"{"sub": 5}"#, Only("malformed_jwt"), "RFC 9068 §2.2; an answer's is not looked at"),
        (r#"{"client_id": ["app"]}"#, Only("malformed_jwt"), "likewise"),
        (r#"{"jti": 17}"#, Only("malformed_jwt"), "likewise"),
        (r#"{"jti": null}"#, Only("missing_claim"), "null is absent"),
        (r#"{"iss": null}"#, Refused("wrong_issuer"), "null is absent (R33)"),
        (r#"{"aud": null}"#, Refused("wrong_audience"), "null is absent (R34)"),
        (r#"{"aud": []}"#, Refused("wrong_audience"), "no audience"),
    ] {
        check("{}", edits, right, source);
    }
}

/// If the wrapper of a signed response were parsed differently, members that are harmless in any other JWT would make all requests fail.
#[test]
fn r043_r155_a_signed_answer_is_read_as_any_jwt() {
    let mut configuration = answering(json!({"jwks_uri": "https://login.example.com/jwks"}));
    testing::merge(
        &mut configuration,
        json!({
            "introspection": {"response": {"accept": "application/token-introspection+jwt"}},
            "claim_to_headers": [{"header": "x-user", "pointer": "/sub"}],
        }),
    );
    let mut inside = testing::claims();
    inside["active"] = json!(true);
    let header = json!({"alg": "ES256", "typ": "token-introspection+jwt", "kid": "k1"});
    let claims = json!({
        "iss": "https://login.example.com", "aud": "gateway", "iat": NOW, "token_introspection": inside,
    });
    let passes = r#"[("x-user", "alice")]"#;
    for (header_edits, claim_edits, expected) in [
        (r#"{"x5t": "f1e2d3", "cty": "x", "jku": 5}"#, "{}", passes),
        (r#"{"kid": 1}"#, "{}", passes),
        ("{}", r#"{"exp": null, "nbf": null, "sub": 5, "scope": ["a"]}"#, passes),
        ("{}", r#"{"exp": 1e300, "nbf": 0.5}"#, passes),
        ("{}", r#"{"iat": null}"#, "unexpected_response"),
        ("{}", r#"{"iat": "now"}"#, "unexpected_response"),
        ("{}", r#"{"exp": "later"}"#, "unexpected_response"),
        (r#"{"typ": ["token-introspection+jwt"]}"#, "{}", "unexpected_response"),
        (r#"{"crit": ["x"], "x": 1}"#, "{}", "unexpected_response"),
    ] {
        let mut worker = Worker::new(configuration.clone(), &NoSharedData);
        worker.keys = key_set("k1");
        let answer = signed(&edited(&header, header_edits), &edited(&claims, claim_edits));
        let media_type = vec![("content-type", "application/token-introspection+jwt".to_owned())];
        worker.answer = ("200".to_owned(), answer, media_type);
        assert_eq!(worker.get(0, "a"), expected, "{header_edits} {claim_edits}");
    }
}
