//! The configuration as the operator wrote it. Any field may be absent, of the wrong type, or none of ours: that is noted,
//! not an error, so that all mistakes can be told at once.

use std::collections::BTreeMap;

use serde_json::Value;

/// What was written for one field.
#[derive(Default)]
pub(super) enum Field<T> {
    /// Nothing.
    #[default]
    Absent,
    /// A value of its type.
    Written(T),
    /// Something else; what, is nobody's business: it may be a secret in the wrong place.
    Mistyped,
}

/// A type that a field can have.
pub(super) trait Shape: Sized {
    /// What the operator calls it.
    const WHAT: &'static str;

    /// The value, if it is of this type.
    fn read(value: Value) -> Option<Self>;
}

/// A secret: the value itself, or an object that names an environment variable of the proxy.
pub(super) enum Confidential {
    Literal(String),
    Elsewhere(BTreeMap<String, String>),
}

/// Defines objects by their fields. The names that are left over are `unknown`.
macro_rules! objects {
    ($(struct $object:ident { $($field:ident: $shape:ty,)+ })+) => {
        $(
            #[derive(Default)]
            pub(super) struct $object {
                $(pub(super) $field: Field<$shape>,)+
                pub(super) unknown: Vec<String>,
            }

            impl Shape for $object {
                const WHAT: &'static str = "an object";

                fn read(value: Value) -> Option<Self> {
                    let Value::Object(mut members) = value else { return None };
                    Some(Self {
                        $($field: Field::read(members.remove(stringify!($field))),)+
                        unknown: members.into_iter().map(|(name, _)| name).collect(),
                    })
                }
            }
        )+
    };
}

objects! {
    struct Configuration {
        introspection: Introspection,
        token: Token,
        keys: Keys,
        authorization_servers: Vec<Field<Server>>,
        credentials: Credentials,
        dpop: Dpop,
        mint: Mint,
        client_certificate: String,
        jwt_header: String,
        claim_headers: Vec<Field<ClaimHeader>>,
        filter_state: Vec<Field<FilterState>>,
        cache: Cache,
        cors: Cors,
        realm: String,
        resource_metadata: ResourceMetadata,
        ignore_port_in_host_matching: bool,
        single_flight: bool,
        report_only: bool,
        rules: Vec<Field<Rule>>,
        error_body: ErrorBody,
        log_level: String,
        log_key: Confidential,
    }

    struct Server {
        name: String,
        introspection: Introspection,
        token: Token,
        keys: Keys,
    }

    struct Introspection {
        endpoint: String,
        upstream: String,
        auth_method: String,
        client_id: String,
        client_secret: Confidential,
        private_key: Confidential,
        key_id: String,
        audience: String,
        bearer_token: Confidential,
        parameters: BTreeMap<String, String>,
        headers: BTreeMap<String, Confidential>,
        response: Response,
        token_type_hint: bool,
        timeout: String,
        retries: u64,
        forward_traceparent: bool,
        max_concurrent: u64,
        max_per_second: u64,
        max_waiting: u64,
        circuit_breaker: CircuitBreaker,
    }

    struct CircuitBreaker {
        failures: u64,
        open_for: String,
    }

    struct Response {
        accept: String,
        jwt_member: String,
        max_jwt_length: u64,
        require_signed: bool,
    }

    struct Keys {
        uri: String,
        discovery: String,
        set: Value,
        secret: Confidential,
        upstream: String,
        algorithms: Vec<String>,
        max_age: String,
        max_stale: String,
        cooldown: String,
        timeout: String,
    }

    struct Token {
        issuer: String,
        allow_missing_iss: bool,
        audience: Vec<String>,
        leeway: String,
        require_exp: bool,
        require_token_type: bool,
        scope_claim: String,
        allow_scope_list: bool,
        jwts: String,
        jwt_profile: String,
        dpop: String,
        allow_bearer_type: bool,
    }

    struct Credentials {
        max_length: u64,
        query_parameter: String,
        cookie: String,
        header: String,
        websocket_protocol: String,
    }

    struct ClaimHeader {
        header: String,
        pointer: String,
        encoding: String,
    }

    struct Mint {
        issuer: String,
        keys: Vec<Field<MintKey>>,
        lifetime: String,
        audience: String,
        claims: Vec<Field<MintClaim>>,
        jwks_path: String,
    }

    struct MintKey {
        private_key: Confidential,
        key_id: String,
    }

    struct MintClaim {
        name: String,
        pointer: String,
    }

    struct RuleMint {
        audience: String,
        claims: Vec<Field<MintClaim>>,
    }

    struct Dpop {
        origins: Vec<String>,
        algorithms: Vec<String>,
        max_age: String,
        max_proofs: u64,
        shared: bool,
        nonce_secret: Confidential,
        nonce_period: String,
    }

    struct FilterState {
        name: String,
        pointer: String,
    }

    struct Cache {
        max_entries: u64,
        max_bytes: u64,
        shared_max_bytes: u64,
        max_ttl: String,
        no_store_ttl: String,
        inactive_ttl: String,
        refresh_ahead: String,
        stale_if_error: String,
        shared: bool,
    }

    struct Cors {
        allow_origins: Vec<String>,
    }

    struct ResourceMetadata {
        resource: String,
        authorization_servers: Vec<String>,
        scopes_supported: Vec<String>,
        resource_name: String,
        resource_documentation: String,
    }

    struct ErrorBody {
        media_type: String,
        template: String,
    }

    struct Rule {
        authorization_server: String,
        hosts: Vec<String>,
        path: String,
        path_match: String,
        routes: Vec<String>,
        methods: Vec<String>,
        access: String,
        report_only: bool,
        peers: Vec<String>,
        dpop: String,
        mint: RuleMint,
        audience: Vec<String>,
        scopes: Vec<String>,
        any_scopes: Vec<String>,
        claims: Vec<Field<Condition>>,
        acr_values: Vec<String>,
        max_age: String,
    }

    struct Condition {
        pointer: String,
        present: bool,
        one_of: Vec<Value>,
        contains: Value,
    }
}

impl<T: Shape> Field<T> {
    fn read(value: Option<Value>) -> Self {
        match value {
            None => Self::Absent,
            Some(value) => T::read(value).map_or(Self::Mistyped, Self::Written),
        }
    }
}

impl Shape for String {
    const WHAT: &'static str = "a string";

    fn read(value: Value) -> Option<Self> {
        if let Value::String(text) = value { Some(text) } else { None }
    }
}

impl Shape for bool {
    const WHAT: &'static str = "true or false";

    fn read(value: Value) -> Option<Self> {
        value.as_bool()
    }
}

impl Shape for u64 {
    const WHAT: &'static str = "a whole number";

    fn read(value: Value) -> Option<Self> {
        value.as_u64()
    }
}

impl Shape for Value {
    const WHAT: &'static str = "a value other than null";

    fn read(value: Value) -> Option<Self> {
        Some(value).filter(|value| !value.is_null())
    }
}

impl<T: Shape> Shape for Field<T> {
    const WHAT: &'static str = T::WHAT;

    fn read(value: Value) -> Option<Self> {
        Some(Self::read(Some(value)))
    }
}

impl<T: Shape> Shape for Vec<T> {
    const WHAT: &'static str = "a list, each element of its type";

    fn read(value: Value) -> Option<Self> {
        if let Value::Array(elements) = value { elements.into_iter().map(T::read).collect() } else { None }
    }
}

impl<T: Shape> Shape for BTreeMap<String, T> {
    const WHAT: &'static str = "an object, each member of its type";

    fn read(value: Value) -> Option<Self> {
        let Value::Object(members) = value else { return None };
        members.into_iter().map(|(name, value)| Some((name, T::read(value)?))).collect()
    }
}

impl Shape for Confidential {
    const WHAT: &'static str = r#"a string or {"env": NAME}"#;

    fn read(value: Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Literal(text)),
            value => BTreeMap::read(value).map(Self::Elsewhere),
        }
    }
}
