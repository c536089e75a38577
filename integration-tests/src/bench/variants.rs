//! The measured variants: ways for an Envoy to accept credentials, and plain Envoy as the baseline.

use crate::artefact::Artefact;

/// One measured way to accept credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variant {
    /// No filter.
    Plain,
    /// No filter once more: the difference from the first is the machine's noise.
    PlainAgain,
    /// No filter, but clients that send what `jwt_authn`'s clients send.
    PlainWithJwt,
    /// The wasm filter, on a route that needs no token.
    PublicRoute,
    /// The wasm filter, with one cached token.
    OneToken,
    /// The wasm filter, with many cached tokens.
    ManyTokens,
    /// The wasm filter, with more tokens than the worker's own cache holds: it finds most in shared data.
    SharedData,
    /// The wasm filter without a cache: it introspects every token each time.
    Uncached,
    /// The native module, with one cached token.
    ModuleOneToken,
    /// The native module, with many cached tokens.
    ModuleManyTokens,
    /// The native module without a cache.
    ModuleUncached,
    /// A wasm filter that makes the host calls of a cache hit and nothing else: the least that any wasm filter costs.
    Calls,
    /// Envoy's own `jwt_authn` with its cache of verified JWTs.
    JwtAuthnCached,
    /// Envoy's own `jwt_authn` without that cache, as it is by default.
    JwtAuthn,
    /// Envoy's own `ext_authz`, which calls a service over HTTP for each request.
    ExtAuthz,
    /// A Lua script that looks the token up in a table.
    Lua,
}

/// What answers the requests that were let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// The Envoy itself, immediately.
    Direct,
    /// A server behind the Envoy.
    Upstream,
}

impl Variant {
    /// All variants, in the order of reports.
    pub const ALL: [Self; 16] = [
        Self::Plain,
        Self::PlainAgain,
        Self::PlainWithJwt,
        Self::PublicRoute,
        Self::OneToken,
        Self::ManyTokens,
        Self::SharedData,
        Self::Uncached,
        Self::ModuleOneToken,
        Self::ModuleManyTokens,
        Self::ModuleUncached,
        Self::Calls,
        Self::JwtAuthnCached,
        Self::JwtAuthn,
        Self::ExtAuthz,
        Self::Lua,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::PlainAgain => "plain-again",
            Self::PlainWithJwt => "plain-with-jwt",
            Self::PublicRoute => "public-route",
            Self::OneToken => "one-token",
            Self::ManyTokens => "many-tokens",
            Self::SharedData => "shared-data",
            Self::Uncached => "uncached",
            Self::ModuleOneToken => "module-one-token",
            Self::ModuleManyTokens => "module-many-tokens",
            Self::ModuleUncached => "module-uncached",
            Self::Calls => "calls",
            Self::JwtAuthnCached => "jwt-authn-cached",
            Self::JwtAuthn => "jwt-authn",
            Self::ExtAuthz => "ext-authz",
            Self::Lua => "lua",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Plain => "plain Envoy",
            Self::PlainAgain => "plain Envoy, again",
            Self::PlainWithJwt => "plain Envoy, clients send the JWT",
            Self::PublicRoute => "phantom-token, public route",
            Self::OneToken => "phantom-token, cached, 1 token",
            Self::ManyTokens => "phantom-token, cached, 10 000 tokens",
            Self::SharedData => "phantom-token, cached in shared data",
            Self::Uncached => "phantom-token, no cache, asks each time",
            Self::ModuleOneToken => "native module, cached, 1 token",
            Self::ModuleManyTokens => "native module, cached, 10 000 tokens",
            Self::ModuleUncached => "native module, no cache, asks each time",
            Self::Calls => "wasm, the host calls of a hit alone",
            Self::JwtAuthnCached => "jwt_authn with its JWT cache",
            Self::JwtAuthn => "jwt_authn, RS256 verified each time",
            Self::ExtAuthz => "ext_authz over HTTP",
            Self::Lua => "Lua, table lookup",
        }
    }

    /// The artefact that the variant measures. `None` if it does not measure this project's filter.
    pub fn artefact(self) -> Option<Artefact> {
        match self {
            Self::PublicRoute | Self::OneToken | Self::ManyTokens | Self::SharedData | Self::Uncached => {
                Some(Artefact::Wasm)
            }
            Self::ModuleOneToken | Self::ModuleManyTokens | Self::ModuleUncached => Some(Artefact::Module),
            _ => None,
        }
    }

    /// The same variant with the wasm filter if it measures the native module, else the variant itself.
    pub fn in_wasm(self) -> Self {
        match self {
            Self::ModuleOneToken => Self::OneToken,
            Self::ModuleManyTokens => Self::ManyTokens,
            Self::ModuleUncached => Self::Uncached,
            other => other,
        }
    }

    /// Whether the clients of the variant send a JWT rather than an opaque token.
    pub fn takes_jwts(self) -> bool {
        matches!(self, Self::PlainWithJwt | Self::JwtAuthnCached | Self::JwtAuthn)
    }

    /// How many tokens the clients of the variant send in turn.
    pub fn tokens(self) -> usize {
        match self.in_wasm() {
            Self::ManyTokens => 10_000,
            // More tokens than requests are ever open at once: two requests with one token would share one introspection.
            Self::Uncached => 1_000,
            Self::SharedData => SHARED_TOKENS,
            _ => 1,
        }
    }

    /// Whether the variant makes a call for each request. The others make none once they are warm.
    pub fn asks_each_time(self) -> bool {
        matches!(self.in_wasm(), Self::Uncached | Self::ExtAuthz)
    }

    /// The path of requests to this destination.
    pub fn path(self, destination: Destination) -> &'static str {
        match (self, destination) {
            (Self::PublicRoute, Destination::Direct) => "/public/direct",
            (Self::PublicRoute, Destination::Upstream) => "/public/upstream",
            (_, Destination::Direct) => "/orders/direct",
            (_, Destination::Upstream) => "/orders/upstream",
        }
    }

    /// The path where the Envoy responds with what a service would have received.
    pub fn verification(self) -> &'static str {
        match self {
            Self::PublicRoute => "/public/verification",
            _ => "/orders/verification",
        }
    }
}

impl Destination {
    pub const ALL: [Self; 2] = [Self::Direct, Self::Upstream];

    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Upstream => "with upstream",
        }
    }
}

/// The slots of [`Variant::SharedData`]. The worker's own cache holds less than a quarter of its tokens.
pub const SHARED_SLOTS: usize = 1_024;

const SHARED_TOKENS: usize = 900;
