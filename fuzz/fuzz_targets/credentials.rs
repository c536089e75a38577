//! Feeds the `Authorization` field and the path with its query to a protected and to a public rule.
//!
//! *Invariant:* the token introspected is exactly the one bearer token of the field, written whole into the one `token` parameter of the
//! form; a field with anything else is the client's fault and causes no introspection. A public rule forwards no bearer credentials, and
//! leaves other credentials alone. A token that is also in the query is not forwarded.
//!
//! If it failed, one client could be taken for another, add parameters to the gateway's own request, or have its token sent to the
//! services.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use phantom_token_core::NoSharedData;
use phantom_token_core::driver::Response;
use phantom_token_fuzz::{Choice, Gateway, parts, request};
use serde_json::json;

fuzz_target!(|input: Input<'_>| run(&input));

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    is_public: Choice<2>,
    presence: Choice<3>,
    jwts: Choice<2>,
    /// The `Authorization` field and the path.
    text: &'a [u8],
}

fn run(input: &Input<'_>) {
    let access = if input.is_public.0 == 1 { "public" } else { "protected" };
    let jwts = ["introspect", "refuse"][usize::from(input.jwts.0)];
    let configuration = json!({
        "introspection": {
            "endpoint": "https://login.example.com/introspect", "upstream": "a", "client_id": "gateway",
            "auth_method": "client_secret_post", "client_secret": "s3cr3t",
        },
        "token": {"jwts": jwts},
        "token_sources": {"max_length": MAX_LENGTH},
        "cache": {"max_entries": 16},
        "rules": [{"path": "/", "access": access}],
    });
    let mut gateway = Gateway::new(&configuration).expect("no errors");
    let [field, path] = parts(input.text);
    let mut request = request("GET", b"api", path);
    let times = [1, 2, 0][usize::from(input.presence.0)];
    request.fields.extend(std::iter::repeat_n(("authorization".to_owned(), field.to_vec()), times));
    let mut asked = None;
    let ending = gateway.request(&request, 0, &NoSharedData, &mut |call| {
        asked = Some(token_of(call.request.body()));
        Response::Lost
    });

    let token = bearer_token(field).filter(|token| input.presence.0 == 0 && token.len() <= MAX_LENGTH);
    if input.is_public.0 == 1 {
        assert_eq!(asked, None);
        let has_bearer = match input.presence.0 {
            0 => names_bearer(field),
            presence => presence == 1,
        };
        let Some(fields) = ending.forwarded() else { panic!("a public rule: {:?}", ending.outcome) };
        let goes_on = fields.iter().any(|(name, _)| name == "authorization");
        assert!(!has_bearer || !goes_on, "a bearer's credentials go on");
        assert!(has_bearer || goes_on == (times == 1), "no bearer was there to be removed");
        return;
    }
    match (asked, token) {
        (Some(asked), token) => {
            assert_eq!(Some(asked.as_slice()), token, "asked about another token than the bearer's");
            assert!(!is_in_query(path, &asked), "the token is in the query, which services receive");
            assert_eq!(ending.status(), Some(503), "the server did not answer");
        }
        (None, token) => {
            assert!(
                matches!(ending.status(), Some(400 | 401 | 431)),
                "the client's fault: {:?}",
                ending.refusal()
            );
            let is_elsewhere = |token: &[u8]| {
                path.contains(&b'%') || path.windows(token.len()).any(|window| window == token)
            };
            let is_acceptable = |token: &[u8]| !token.contains(&b'.') && !is_elsewhere(token);
            assert!(!token.is_some_and(is_acceptable), "a good token: {:?}", ending.refusal());
        }
    }
}

/// Returns the bearer token as RFC 6750 §2.1 defines it, without a parser.
fn bearer_token(field: &[u8]) -> Option<&[u8]> {
    let field = field.trim_ascii();
    let scheme = field.get(..7)?;
    let token = field.get(7..)?;
    let token = token.get(token.iter().take_while(|&&byte| byte == b' ').count()..)?;
    let text = token.get(..token.iter().rposition(|&byte| byte != b'=')? + 1)?;
    let is_character = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
    (scheme.eq_ignore_ascii_case(b"bearer ") && text.iter().all(is_character)).then_some(token)
}

/// Whether any element of the comma-separated list has a scheme for access tokens.
fn names_bearer(field: &[u8]) -> bool {
    field.to_ascii_lowercase().split(|&byte| byte == b',').any(|part| {
        let is = |scheme: &[u8]| {
            part.trim_ascii()
                .strip_prefix(scheme)
                .is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
        };
        is(b"bearer") || is(b"dpop")
    })
}

fn is_in_query(path: &[u8], token: &[u8]) -> bool {
    let query = path.splitn(2, |&byte| byte == b'?').nth(1).unwrap_or_default();
    query.split(|&byte| byte == b'&').any(|parameter| {
        parameter == token
            || parameter.splitn(2, |&byte| byte == b'=').nth(1).is_some_and(|value| value == token)
    })
}

/// Returns the value of the form's one `token` parameter.
fn token_of(form: &[u8]) -> Vec<u8> {
    let mut tokens = form.split(|&byte| byte == b'&').filter_map(|pair| pair.strip_prefix(b"token="));
    let (Some(encoded), None) = (tokens.next(), tokens.next()) else { panic!("a form with one token") };
    let mut decoded = Vec::new();
    let mut rest = encoded;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = std::str::from_utf8(&behind[..2]).expect("hexadecimal digits");
                rest = &behind[2..];
                u8::from_str_radix(digits, 16).expect("hexadecimal digits")
            }
            other => other,
        });
    }
    decoded
}

const MAX_LENGTH: usize = 40;
