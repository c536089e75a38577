//! The format of the authorization server's responses, and what services receive of them.

use fastrand::Rng;
use integration_tests::deterministic_host::Answer;
use serde_json::{Value, json};

use crate::bounds::ISSUER;
use crate::signer::Signer;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JWT, which services receive.
    Jwt,
    /// The claims as plain JSON.
    Json,
    /// The claims, signed for the gateway (RFC 9701). Services never receive the signed response.
    Signed,
}

impl Format {
    /// The media type that the filter accepts.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jwt => "application/jwt",
            Self::Json => "application/json",
            Self::Signed => SIGNED,
        }
    }

    /// The format with this media type.
    pub fn of(media_type: &str) -> Option<Self> {
        [Self::Jwt, Self::Json, Self::Signed].into_iter().find(|format| format.media_type() == media_type)
    }

    /// Returns the response that a token with these claims is active, and its body. `sign` makes a JWT from a type and claims.
    pub fn active(
        self,
        claims: &Value,
        now: u64,
        sign: impl FnOnce(&str, &Value) -> String,
    ) -> (Answer, String) {
        let body = match self {
            Self::Jwt => sign("at+jwt", claims),
            Self::Json => introspection(claims).to_string(),
            Self::Signed => sign(SIGNED_TYPE, &enclosed(introspection(claims), now)),
        };
        (Answer::response(200, self.media_type(), body.as_str()), body)
    }

    /// Returns a response that a token is not active.
    pub fn inactive(self, claims: &Value, now: u64, signer: &Signer, rng: &mut Rng) -> Answer {
        let json = |body: Value| Answer::response(200, "application/json", body.to_string());
        match (rng.u8(..4), self) {
            (0, _) => Answer::response(400, "application/json", r#"{"error":"unsupported_token_type"}"#),
            (1, Self::Jwt) => Answer::response(204, "", ""),
            (_, Self::Signed) => {
                let response = enclosed(json!({"active": false}), now);
                Answer::response(200, SIGNED, signer.sign(SIGNED_TYPE, json!({}), &response))
            }
            (2, Self::Jwt) => json(json!({"active": false, "jwt": signer.sign("at+jwt", json!({}), claims)})),
            (2, Self::Json) => {
                let mut claims = claims.clone();
                claims["active"] = json!(false);
                json(claims)
            }
            _ => json(json!({"active": false})),
        }
    }

    /// Returns a response that is invalid in this format, although it would be valid in another. It leads to a 502.
    pub fn misplaced(self, claims: &Value, now: u64, signer: &Signer, rng: &mut Rng) -> Answer {
        let json = |body: Value| Answer::response(200, "application/json", body.to_string());
        let jwt = || signer.sign("at+jwt", json!({}), claims);
        let signed = |response: &Value| signer.sign(SIGNED_TYPE, json!({}), response);
        let response = || enclosed(introspection(claims), now);
        match (self, rng.u8(..5)) {
            (Self::Jwt, 0) => Answer::response(404, "application/jwt", jwt()),
            (Self::Jwt, 1) => json(json!({"active": true})),
            (Self::Jwt, 2) => Answer::jwt(&signed(&response())),
            (Self::Jwt, 3) => Answer::response(200, "application/jwt", vec![0xff; 40]),
            (Self::Jwt, _) => Answer::response(200, "application/jwt", vec![b'e'; 200_000]),
            (Self::Json, 0) => Answer::response(204, "", ""),
            (Self::Json, 1) => Answer::jwt(&jwt()),
            (Self::Json, 2) => Answer::response(200, "application/json", r#"{"active":true,"active":true}"#),
            (Self::Json, 3) => Answer::response(200, SIGNED, signed(&response())),
            (Self::Json, _) => Answer::response(200, "application/json", r#"{"active":true"#),
            (Self::Signed, 0) => json(introspection(claims)),
            (Self::Signed, 1) => Answer::response(200, SIGNED, jwt()),
            (Self::Signed, 2) => {
                let mut response = response();
                response["aud"] = json!("another-gateway");
                Answer::response(200, SIGNED, signed(&response))
            }
            (Self::Signed, 3) => {
                Answer::response(200, SIGNED, signed(&enclosed(introspection(claims), now - 3600)))
            }
            (Self::Signed, _) => {
                let mut response = response();
                response["iss"] = json!("https://evil.example.com");
                Answer::response(200, SIGNED, signed(&response))
            }
        }
    }
}

fn introspection(claims: &Value) -> Value {
    let mut response = claims.clone();
    response["active"] = json!(true);
    response
}

fn enclosed(introspection: Value, now: u64) -> Value {
    json!({"iss": ISSUER, "aud": "gateway", "iat": now, "token_introspection": introspection})
}

const SIGNED: &str = "application/token-introspection+jwt";
const SIGNED_TYPE: &str = "token-introspection+jwt";
