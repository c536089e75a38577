//! A simulated authorization server with configured claims for every token. It signs with its own key, which replaces the
//! configured ones.

use phantom_token_core::driver::Response;
use phantom_token_core::{Callout, Settings, Timestamp};
use serde_json::{Map, Value, json};

use crate::simulated_key::SimulatedKey;

/// The server, or all configured servers, whose responses differ only in form.
pub struct SimulatedServer {
    claims: Map<String, Value>,
    now: Timestamp,
}

/// Whether the header of a server's JWTs identifies them as access tokens.
pub enum JwtProfile {
    /// The header does (RFC 9068 §2.1).
    Rfc9068,
    /// The header does not.
    Older,
}

/// The form in which one of the configured servers responds.
struct Form<'s> {
    jwt_field: Option<&'s str>,
    issuer: Option<&'s str>,
    client_id: Option<&'s str>,
    is_user_info: bool,
}

impl SimulatedServer {
    /// Creates a server that returns these claims for every token.
    pub fn new(claims: Map<String, Value>, now: Timestamp) -> Self {
        Self { claims, now }
    }

    /// Replaces all keys that a configuration names with the server's own key.
    pub fn take_over(&self, configuration: &mut Value) {
        let Value::Object(members) = configuration else { return };
        for (name, value) in members {
            match (name.as_str(), value) {
                ("keys", keys) => *keys = json!({"jwks": {"keys": [jwk()]}}),
                ("authorization_servers", Value::Array(servers)) => {
                    servers.iter_mut().for_each(|server| self.take_over(server));
                }
                _ => {}
            }
        }
    }

    /// Returns the JWT that a client presents.
    pub fn presented(&self, profile: JwtProfile) -> String {
        match profile {
            JwtProfile::Rfc9068 => self.jwt("at+jwt"),
            JwtProfile::Older => self.jwt("JWT"),
        }
    }

    fn jwt(&self, kind: &str) -> String {
        let mut claims = self.claims.clone();
        claims.retain(|name, _| !matches!(name.as_str(), "active" | "token_type"));
        self.sign(kind, &Value::Object(claims))
    }

    /// Returns the response to an introspection request, in the form of the server that is asked.
    pub fn answer(&self, callout: &Callout, settings: &Settings) -> Option<Response> {
        let field = |name: &str| callout.headers().find(|(own, _)| *own == name).map(|(_, value)| value);
        let (authority, path) = (field(":authority")?, field(":path")?);
        let form = settings.servers.iter().find_map(|server| {
            let introspection = server.introspection.as_ref()?;
            let target = &introspection.endpoint.target;
            let is_asked =
                target.upstream == callout.upstream() && target.authority == authority && target.path == path;
            is_asked.then(|| Form {
                jwt_field: introspection.response.jwt_field.as_deref(),
                issuer: server.token.policy.issuer.as_deref(),
                is_user_info: field(":method") == Some("GET"),
                client_id: introspection.endpoint.client_id(),
            })
        })?;
        Some(self.answer_in(&form, field("accept")?))
    }

    fn answer_in(&self, form: &Form<'_>, media_type: &str) -> Response {
        let is_active = self.claims.get("active") != Some(&Value::Bool(false));
        match media_type {
            _ if form.is_user_info && !is_active => {
                Response::Complete { status: 401, fields: Vec::new(), body: Vec::new() }
            }
            "application/jwt" if !is_active => {
                Response::Complete { status: 204, fields: Vec::new(), body: Vec::new() }
            }
            "application/jwt" => Response::of(media_type, self.jwt("at+jwt")),
            "application/token-introspection+jwt" => {
                let claims = json!({
                    "iss": form.issuer, "aud": form.client_id, "iat": self.now.as_millis() / 1000,
                    "token_introspection": self.response(None),
                });
                Response::of(media_type, self.sign("token-introspection+jwt", &claims))
            }
            _ => Response::of(media_type, self.response(form.jwt_field).to_string()),
        }
    }

    /// Returns the introspection response about an access token (RFC 7662 §2.2). Claims with `active` are such a response already, and at
    /// most the JWT is added to them.
    fn response(&self, jwt_field: Option<&str>) -> Value {
        let is_bound = self.claims.get("cnf").is_some_and(|binding| binding.get("jkt").is_some());
        let mut response = self.claims.clone();
        if !response.contains_key("active") {
            response.insert("active".to_owned(), json!(true));
            response.entry("token_type").or_insert(json!(if is_bound { "DPoP" } else { "Bearer" }));
        }
        if let Some(name) = jwt_field {
            response.insert(name.to_owned(), json!(self.jwt("at+jwt")));
        }
        Value::Object(response)
    }

    fn sign(&self, kind: &str, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "kid": KEY_ID, "typ": kind});
        SimulatedKey::SERVER.sign(&header, claims)
    }
}

/// Returns the public key for the server's signatures.
pub fn jwk() -> Value {
    let mut jwk = SimulatedKey::SERVER.coordinates();
    if let Value::Object(members) = &mut jwk {
        let about = [("alg", "ES256"), ("use", "sig"), ("kid", KEY_ID)];
        members.extend(about.map(|(name, value)| (name.to_owned(), json!(value))));
    }
    jwk
}

const KEY_ID: &str = "simulated";
