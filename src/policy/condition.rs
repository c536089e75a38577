//! Conditions that a rule can set for the caller and the token. Each is in one place with everything that follows from it: when
//! it is checked, the claims that it needs, the refusal, and its challenge parameters.
//!
//! A condition on an absent claim is not met. [`TokenConditions`](super::TokenConditions) has the names of conditions in the
//! configuration.

use std::time::Duration;

use serde_json::Value;

use crate::refusal::Reason;
use crate::time::Timestamp;
use crate::token::claims::Claims;
use crate::token::confirmation::Confirmation;

/// Defines the conditions: for each moment, what there is to look at then, and what can be required of it, in the order in which it
/// is checked.
macro_rules! conditions {
    ($($(#[doc = $doc:literal])+ fn $check:ident($subject:ty): $($condition:ident),+;)+) => {
        /// Something that a rule requires.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Condition {
            $($(#[allow(missing_docs, reason = "the type has them")] $condition($condition),)+)+
        }

        impl Condition {
            $(
                $(#[doc = $doc])+
                ///
                /// # Errors
                /// Why the request is refused.
                pub(super) fn $check(&self, subject: $subject) -> Result<(), Reason> {
                    match self {
                        $(Self::$condition(condition) if !condition.is_met(subject) => {
                            Err(<$condition as Requires>::REASON)
                        })+
                        _ => Ok(()),
                    }
                }
            )+

            /// Why a request is refused that does not meet it.
            pub(super) fn reason(&self) -> Reason {
                match self { $($(Self::$condition(_) => <$condition as Requires>::REASON,)+)+ }
            }

            /// Whether it asks what only introspection tells.
            pub(super) fn is_about_token(&self) -> bool {
                match self { $($(Self::$condition(_) => <$condition as Requires>::IS_ABOUT_TOKEN,)+)+ }
            }

            /// The pointers of the claims that it needs.
            pub(super) fn named_claims(&self) -> Vec<&str> {
                match self { $($(Self::$condition(condition) => condition.named_claims(),)+)+ }
            }

            /// What tells the client in a challenge what would do.
            pub(super) fn parameter(&self) -> Option<Parameter<'_>> {
                match self { $($(Self::$condition(condition) => condition.parameter(),)+)+ }
            }
        }

        $($(impl From<$condition> for Condition {
            fn from(condition: $condition) -> Self {
                Self::$condition(condition)
            }
        })+)+
    };
}

conditions! {
    /// Before any token is looked at; of preflights as well.
    fn check_caller(Caller<'_>): Peers;
    /// Before it is known whether the sender holds the key.
    fn check_binding(&Confirmation): KeyBinding;
    /// What makes a token one for this place.
    fn check_token(&Claims): Audience;
    /// What an authentic token allows; all else about a request is in order.
    fn check_permission(Granted<'_>): Scopes, AnyScopes, ClaimConditions, AcrValues, MaxAge;
}

/// The caller of a request: the first URI in its certificate, if there is one.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a>(pub(super) Option<&'a [u8]>);

/// An authentic token.
#[derive(Clone, Copy)]
pub(super) struct Granted<'a> {
    pub(super) claims: &'a Claims,
    pub(super) now: Timestamp,
    /// How far the issuer's clock may be behind.
    pub(super) leeway: Duration,
}

/// A parameter of a challenge. Where several conditions have it, their words are joined, and the least number counts.
pub(super) enum Parameter<'c> {
    Words(&'static str, Vec<&'c str>),
    Least(&'static str, u64),
}

impl<'c> Parameter<'c> {
    fn words(name: &'static str, words: &'c [String]) -> Self {
        let mut parameter = Self::Words(name, Vec::new());
        parameter.merge(Self::Words(name, words.iter().map(String::as_str).collect()));
        parameter
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Words(name, _) | Self::Least(name, _) => name,
        }
    }

    /// Its value; a list names each word once, separated by spaces.
    pub(super) fn value(&self) -> String {
        match self {
            Self::Words(_, words) => words.join(" "),
            Self::Least(_, number) => number.to_string(),
        }
    }

    /// Adds what another condition says of the same parameter.
    pub(super) fn merge(&mut self, other: Self) {
        match (self, other) {
            (Self::Words(_, known), Self::Words(_, more)) => {
                more.into_iter().for_each(|word| {
                    if !known.contains(&word) {
                        known.push(word);
                    }
                });
            }
            (Self::Least(_, least), Self::Least(_, number)) => *least = number.min(*least),
            (Self::Words(..), Self::Least(..)) | (Self::Least(..), Self::Words(..)) => {}
        }
    }
}

/// A kind of condition.
trait Requires {
    /// What there is to look at.
    type Subject<'s>;

    /// Why a request is refused that does not meet it.
    const REASON: Reason;

    /// Whether it asks for what is said of a token, which only introspection tells, and not of its user or of the caller.
    const IS_ABOUT_TOKEN: bool = true;

    /// Whether it is met.
    fn is_met(&self, subject: Self::Subject<'_>) -> bool;

    /// The pointers of the claims that it needs beyond the standard ones: no others are available.
    fn named_claims(&self) -> Vec<&str> {
        Vec::new()
    }

    /// What tells the client in a challenge what would do.
    fn parameter(&self) -> Option<Parameter<'_>> {
        None
    }
}

/// The caller itself is one of these, by its certificate: the workload, not the user that it acts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peers(Vec<String>);

impl Peers {
    /// # Errors
    /// What is wrong.
    pub fn new(peers: Vec<String>) -> Result<Self, &'static str> {
        let is_uri = |peer: &String| peer.contains("://") && peer.bytes().all(|byte| byte.is_ascii_graphic());
        let message = "must be URIs of certificates, like spiffe://cluster.local/ns/shop/sa/cart";
        if peers.iter().all(is_uri) { Ok(Self(peers)) } else { Err(message) }
    }
}

impl Requires for Peers {
    type Subject<'s> = Caller<'s>;
    const REASON: Reason = Reason::PeerNotAllowed;
    const IS_ABOUT_TOKEN: bool = false;

    fn is_met(&self, Caller(peer): Caller<'_>) -> bool {
        self.0.iter().any(|allowed| peer == Some(allowed.as_bytes()))
    }
}

/// The token is bound to a key of its sender (RFC 9449), whatever its server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyBinding;

impl Requires for KeyBinding {
    type Subject<'s> = &'s Confirmation;
    const REASON: Reason = Reason::BindingRequired;

    fn is_met(&self, confirmation: &Confirmation) -> bool {
        confirmation.is_to_key()
    }
}

/// One of these is in `aud` (RFC 9068 §4), in addition to the requirements for every token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience(pub Vec<String>);

impl Requires for Audience {
    type Subject<'s> = &'s Claims;
    const REASON: Reason = Reason::WrongAudience;

    fn is_met(&self, claims: &Claims) -> bool {
        claims.is_for_one_of(&self.0)
    }
}

/// Each of these scope tokens is granted (RFC 6749 §3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes(Vec<String>);

impl Scopes {
    /// # Errors
    /// What is wrong.
    pub fn new(scopes: Vec<String>) -> Result<Self, &'static str> {
        scope_tokens(scopes).map(Self)
    }
}

impl Requires for Scopes {
    type Subject<'s> = Granted<'s>;
    const REASON: Reason = Reason::InsufficientScope;

    fn is_met(&self, Granted { claims, .. }: Granted<'_>) -> bool {
        self.0.iter().all(|scope| claims.has_scope(scope))
    }

    fn parameter(&self) -> Option<Parameter<'_>> {
        Some(Parameter::words(SCOPE, &self.0))
    }
}

/// One of these scope tokens is granted. A challenge names the first alone: a client that heard of all would ask for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnyScopes(Vec<String>);

impl AnyScopes {
    /// # Errors
    /// What is wrong.
    pub fn new(scopes: Vec<String>) -> Result<Self, &'static str> {
        scope_tokens(scopes).map(Self)
    }
}

impl Requires for AnyScopes {
    type Subject<'s> = Granted<'s>;
    const REASON: Reason = Reason::InsufficientScope;

    fn is_met(&self, Granted { claims, .. }: Granted<'_>) -> bool {
        self.0.iter().any(|scope| claims.has_scope(scope))
    }

    fn parameter(&self) -> Option<Parameter<'_>> {
        Some(Parameter::words(SCOPE, self.0.get(..1)?))
    }
}

/// Each of these claims is as it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimConditions(pub Vec<ClaimCondition>);

/// What one claim has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimCondition {
    /// Where the claim is: a JSON Pointer (RFC 6901), `/department` or `/realm_access/roles`.
    pub pointer: String,
    /// What it has to be.
    pub test: Test,
    /// What stands between the values in a text that is a list.
    pub separator: Option<char>,
}

/// What a claim has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// There, and not null.
    Present,
    /// One of these values, or a list with one of them: many servers write a list of one element as that element.
    OneOf(Vec<Value>),
}

impl Requires for ClaimConditions {
    type Subject<'s> = Granted<'s>;
    const REASON: Reason = Reason::ClaimMismatch;
    const IS_ABOUT_TOKEN: bool = false;

    fn is_met(&self, Granted { claims, .. }: Granted<'_>) -> bool {
        self.0
            .iter()
            .all(|condition| claims.asked(&condition.pointer).is_some_and(|claim| condition.holds(claim)))
    }

    fn named_claims(&self) -> Vec<&str> {
        self.0.iter().map(|condition| condition.pointer.as_str()).collect()
    }
}

impl ClaimCondition {
    /// Values are equal as JSON is: of one type, and each letter. A list inside a list is one value.
    fn holds(&self, claim: &Value) -> bool {
        let Test::OneOf(values) = &self.test else { return true };
        match (claim, self.separator) {
            (Value::Array(elements), _) => {
                values.contains(claim) || elements.iter().any(|element| values.contains(element))
            }
            (Value::String(text), Some(separator)) => text
                .split(separator)
                .map(|part| part.trim_matches(' '))
                .any(|part| values.iter().any(|value| value == part)),
            _ => values.contains(claim),
        }
    }
}

/// How the user authenticated: one of these is `acr` (RFC 9470).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcrValues(Vec<String>);

impl AcrValues {
    /// # Errors
    /// What is wrong.
    pub fn new(values: Vec<String>) -> Result<Self, &'static str> {
        let is_word = |value: &String| value.bytes().all(|byte| byte.is_ascii_graphic());
        if values.iter().all(is_word) { Ok(Self(values)) } else { Err("must be visible ASCII without space") }
    }
}

impl Requires for AcrValues {
    type Subject<'s> = Granted<'s>;
    const REASON: Reason = Reason::InsufficientUserAuthentication;

    fn is_met(&self, Granted { claims, .. }: Granted<'_>) -> bool {
        let acr = claims.asked(ACR).and_then(Value::as_str);
        acr.is_some_and(|acr| self.0.iter().any(|value| value == acr))
    }

    fn named_claims(&self) -> Vec<&str> {
        vec![ACR]
    }

    fn parameter(&self) -> Option<Parameter<'_>> {
        Some(Parameter::words("acr_values", &self.0))
    }
}

/// How long ago the user may have authenticated at most, by `auth_time` (RFC 9470).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaxAge(pub Duration);

impl Requires for MaxAge {
    type Subject<'s> = Granted<'s>;
    const REASON: Reason = Reason::InsufficientUserAuthentication;

    fn is_met(&self, Granted { claims, now, leeway }: Granted<'_>) -> bool {
        let auth_time = claims.asked(AUTH_TIME).and_then(Value::as_f64).map(Timestamp::from_numeric_date);
        auth_time.is_some_and(|time| time <= now.plus(leeway) && now <= time.plus(self.0).plus(leeway))
    }

    fn named_claims(&self) -> Vec<&str> {
        vec![AUTH_TIME]
    }

    fn parameter(&self) -> Option<Parameter<'_>> {
        Some(Parameter::Least("max_age", self.0.as_secs()))
    }
}

fn scope_tokens(scopes: Vec<String>) -> Result<Vec<String>, &'static str> {
    let is_character = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    let is_token = |scope: &String| !scope.is_empty() && scope.bytes().all(is_character);
    let message = "must be scope tokens (RFC 6749 §3.3): visible ASCII, no space";
    if scopes.iter().all(is_token) { Ok(scopes) } else { Err(message) }
}

const SCOPE: &str = "scope";
const ACR: &str = "/acr";
const AUTH_TIME: &str = "/auth_time";
