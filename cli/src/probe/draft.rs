//! The configuration under test: with the defaults of its profile, and with candidate changes.

use phantom_token_core::Settings;
use serde_json::{Map, Value, json};

use crate::environment;

/// A configuration, and which of its servers is probed.
#[derive(Clone, Debug)]
pub struct Draft {
    configuration: Value,
    /// The server's index in `authorization_servers` and its name, if there are several servers.
    server: Option<(usize, String)>,
}

/// A change to one field of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The path of the field, from the server's own section or from the top.
    pub path: String,
    /// The new value; `None` to leave the field out.
    pub value: Option<Value>,
    /// The reason for the change.
    pub why: String,
}

impl Change {
    /// Sets a field to a value.
    pub fn to(path: impl Into<String>, value: impl Into<Value>, why: impl Into<String>) -> Self {
        Self { path: path.into(), value: Some(value.into()), why: why.into() }
    }

    /// Leaves a field out.
    pub fn without(path: impl Into<String>, why: impl Into<String>) -> Self {
        Self { path: path.into(), value: None, why: why.into() }
    }
}

impl Draft {
    /// Reads a configuration, and adds the defaults of its profiles.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(text: &str, server: Option<(usize, String)>) -> Result<Self, String> {
        let written: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let effective = Settings::effective(text.as_bytes()).map_err(|errors| errors.to_string())?;
        let mut configuration: Value = serde_json::from_str(&effective).map_err(|error| error.to_string())?;
        // The effective configuration hides secrets.
        lay_over(&mut configuration, &written);
        let servers = configuration.get_mut("authorization_servers").and_then(Value::as_array_mut);
        servers.into_iter().flatten().for_each(|server| remove(server, "profile"));
        remove(&mut configuration, "profile");
        Ok(Self { configuration, server })
    }

    /// Returns the value at this path.
    pub fn get(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(self.holder(path), |value, name| value.get(name))
    }

    /// Returns the text at this path, or the value of the environment variable that it names.
    pub fn text(&self, path: &str) -> Option<String> {
        let written = self.get(path)?;
        let variable = written.get("env").and_then(Value::as_str).and_then(|name| std::env::var(name).ok());
        written.as_str().map(str::to_owned).or(variable)
    }

    /// Returns the draft with these changes. A new `mint` section refers to a key that does not exist yet, so a placeholder replaces it.
    pub fn with(&self, changes: &[Change]) -> Self {
        let mut draft = self.clone();
        for Change { path, value, .. } in changes {
            if path == "mint" {
                draft = draft.forwarding_claims();
                continue;
            }
            draft.set(path, value.clone());
        }
        draft
    }

    /// Returns the draft without conditions on tokens, for any token that the server knows.
    pub fn without_policy(&self) -> Self {
        let mut draft = self.clone();
        for path in ["token.audience", "token.clients", "token.require_exp", "token.require_token_type"] {
            draft.set(path, None);
        }
        for path in [
            "token.allow_missing_iss",
            "token.allow_scope_list",
            "token.allow_bearer_type",
            "token.allow_zero_exp",
        ] {
            draft.set(path, Some(json!(true)));
        }
        draft.set("token.jwts", Some(json!("introspect")));
        draft
    }

    /// Returns the draft with minting, unless it already forwards claims: the filter needs one of them to use a JSON response.
    pub fn forwarding_claims(&self) -> Self {
        match self.forwards_claims() {
            true => self.clone(),
            false => {
                let mut draft = self.clone();
                draft.set("mint", Some(placeholder()));
                draft
            }
        }
    }

    /// Whether services receive a minted JWT, or claims as fields.
    pub fn forwards_claims(&self) -> bool {
        self.configuration.get("mint").is_some() || self.configuration.get("claim_to_headers").is_some()
    }

    /// Returns the settings with a single rule, which requires nothing but a valid bearer token of this server.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn for_any_request(&self) -> Result<Settings, String> {
        let mut draft = self.clone();
        let rule = match &self.server {
            Some((_, name)) => json!({"path": "/", "authorization_server": name}),
            None => json!({"path": "/"}),
        };
        draft.set("rules", Some(json!([rule])));
        draft.set("token.dpop", None);
        draft.settings()
    }

    /// Returns the settings with the configuration's own rules.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn settings(&self) -> Result<Settings, String> {
        parse(&self.configuration)
    }

    /// Returns the rules as they are written.
    pub fn rules(&self) -> &[Value] {
        self.configuration.get("rules").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn set(&mut self, path: &str, value: Option<Value>) {
        match (self.holder_mut(path), value) {
            (Some(holder), Some(value)) => put(holder, path, value),
            (Some(holder), None) => remove(holder, path),
            (None, _) => {}
        }
    }

    fn holder(&self, path: &str) -> &Value {
        let server = self.server.as_ref().filter(|_| is_of_server(path));
        let server =
            server.and_then(|(place, _)| self.configuration.get("authorization_servers")?.get(place));
        server.unwrap_or(&self.configuration)
    }

    fn holder_mut(&mut self, path: &str) -> Option<&mut Value> {
        let place = self.server.as_ref().filter(|_| is_of_server(path)).map(|(place, _)| *place);
        let pointer = match place {
            Some(place) => format!("/authorization_servers/{place}"),
            None => String::new(),
        };
        let pointer = if self.configuration.pointer(&pointer).is_some() { pointer } else { String::new() };
        self.configuration.pointer_mut(&pointer)
    }
}

/// Sets the value at a path like `token.issuer`.
pub fn put(holder: &mut Value, path: &str, value: Value) {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    if !holder.is_object() {
        *holder = Value::Object(Map::new());
    }
    let Value::Object(members) = holder else { return };
    match rest {
        None => drop(members.insert(name.to_owned(), value)),
        Some(rest) => put(members.entry(name.to_owned()).or_insert(Value::Null), rest, value),
    }
}

fn remove(holder: &mut Value, path: &str) {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let Value::Object(members) = holder else { return };
    match rest {
        None => drop(members.remove(name)),
        Some(rest) => members.get_mut(name).into_iter().for_each(|inner| remove(inner, rest)),
    }
}

fn lay_over(lower: &mut Value, upper: &Value) {
    match (lower, upper) {
        (Value::Object(lower), Value::Object(upper)) => {
            for (name, value) in upper {
                lay_over(lower.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(lower), Value::Array(upper)) if lower.len() == upper.len() => {
            lower.iter_mut().zip(upper).for_each(|(lower, upper)| lay_over(lower, upper));
        }
        (lower, upper) => *lower = upper.clone(),
    }
}

/// Parses a configuration with the environment of this process, instead of the proxy's.
pub fn parse(configuration: &Value) -> Result<Settings, String> {
    let environment = |name: &str| std::env::var(name).ok();
    Settings::parse(configuration.to_string().as_bytes(), &environment).map_err(|errors| errors.to_string())
}

fn is_of_server(path: &str) -> bool {
    let section = path.split('.').next().unwrap_or_default();
    matches!(section, "introspection" | "userinfo" | "token" | "keys")
        || matches!(path, "mint.subject" | "mint.client_as_subject")
}

/// Returns a `mint` section with a placeholder key.
fn placeholder() -> Value {
    let key = environment::private_key();
    json!({"issuer": "https://gateway.example.com", "audience": "services", "keys": [{"private_key": key}]})
}
