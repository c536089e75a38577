//! Conditions that a rule can set for the caller and the token. Everything about a condition is in one place: when it is checked, the
//! claims that it needs, the refusal, and its challenge parameters.
//!
//! A condition on an absent claim is not met. [`TokenConditions`](super::TokenConditions) defines the names of conditions in the
//! configuration.

use std::time::Duration;

use serde_json::Value;

use crate::refusal::Reason;
use crate::time::Timestamp;
use crate::token::claims::Claims;
use crate::token::confirmation::Confirmation;

/// Defines the conditions: for each check, its subject and the conditions on it, in the order in which they are checked.
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

            /// Why a request that does not meet the condition is refused.
            pub(super) fn reason(&self) -> Reason {
                match self { $($(Self::$condition(_) => <$condition as Requires>::REASON,)+)+ }
            }

            /// Whether the condition is about something that only introspection reports.
            pub(super) fn is_about_token(&self) -> bool {
                match self { $($(Self::$condition(_) => <$condition as Requires>::IS_ABOUT_TOKEN,)+)+ }
            }

            /// The pointers of the claims that the condition needs.
            pub(super) fn named_claims(&self) -> Vec<&str> {
                match self { $($(Self::$condition(condition) => condition.named_claims(),)+)+ }
            }

            /// The challenge parameter that tells the client what is required.
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
    /// Checks the caller, before any token is looked at; for preflights as well.
    fn check_caller(Caller<'_>): Peers;
    /// Checks the binding of the token, before it is known whether the sender holds the key.
    fn check_binding(&Confirmation): KeyBinding;
    /// Checks whether the token is meant for this resource.
    fn check_token(&Claims): Audience;
    /// Checks what an authentic token allows, after everything else about the request.
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
    /// How far the clocks of issuer and gateway may differ.
    pub(super) leeway: Duration,
}

/// A parameter of a challenge. If several conditions have it, their words are joined, and the least number applies.
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

    /// Adds another condition's value of the same parameter.
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
    /// The subject of the check.
    type Subject<'s>;

    /// Why a request that does not meet the condition is refused.
    const REASON: Reason;

    /// Whether the condition is about the token, which only introspection describes, and not about its user or the caller.
    const IS_ABOUT_TOKEN: bool = true;

    /// Whether the condition is met.
    fn is_met(&self, subject: Self::Subject<'_>) -> bool;

    /// The pointers of the claims that the condition needs beyond the standard ones: no others are available.
    fn named_claims(&self) -> Vec<&str> {
        Vec::new()
    }

    /// The challenge parameter that tells the client what is required.
    fn parameter(&self) -> Option<Parameter<'_>> {
        None
    }
}

/// The certificate of the caller itself names one of these: the workload, not the user that it acts for.
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

/// The token is bound to a key of its sender (RFC 9449), whatever is configured for its authorization server.
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

/// One of these scope tokens is granted. A challenge names the first alone: a client that learned of all would ask for all.
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

/// Each of these conditions on claims is met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimConditions(pub Vec<ClaimCondition>);

/// A condition on one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimCondition {
    /// Where the claim is: a JSON Pointer (RFC 6901) such as `/department` or `/realm_access/roles`.
    pub pointer: String,
    /// The test that the claim has to pass.
    pub test: Test,
    /// The separator of the values in a claim that is a list written as one string.
    pub separator: Option<char>,
}

/// A test of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// Present, and not null.
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
    /// Whether the claim passes the test. Values are compared as JSON: by type, and letter by letter. A list inside a list is one value.
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

/// The maximum time since the user authenticated, by `auth_time` (RFC 9470).
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
