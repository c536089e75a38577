//! What is claimed about a token, in a JWT (RFC 7519 §4.1, RFC 9068 §2.2) or in an introspection response
//! (RFC 7662 §2.2), and whether that satisfies the configuration and a rule.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::{Object, WrongType};
use crate::refusal::{Reason, TokenError};
use crate::time::{Timestamp, Validity};
use crate::token::confirmation::{self, Confirmation};
use crate::token::kinds::TokenKinds;

/// The claims that decide about a request. What is absent is no claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    issuer: Option<Box<str>>,
    audience: Option<Box<[Box<str>]>>,
    scope: Option<Box<[Box<str>]>>,
    validity: Validity,
    confirmation: Confirmation,
    /// Other claims that rules ask about, by their pointers.
    asked: BTreeMap<String, Value>,
}

/// Which claims are read, and how a server words them where that is not as the RFCs say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimMapping {
    /// The claim that has the scope: `scope`, or `scp` of some.
    pub scope_claim: String,
    /// Whether the scope may be a list of scope tokens (R35).
    pub allows_scope_list: bool,
    /// Whether an answer has to say `token_type`, as servers do of access tokens alone (R36).
    pub requires_token_type: bool,
    /// By which members and words the server tells kinds of tokens, beyond what is known of all.
    pub kinds: TokenKinds,
    /// Whether a token that is bound to a key may be called a bearer token (R91).
    pub tolerates_bearer_type: bool,
    /// The pointers (RFC 6901) of other claims that are asked about.
    pub asked: Vec<String>,
}

impl Default for ClaimMapping {
    fn default() -> Self {
        Self {
            scope_claim: "scope".to_owned(),
            allows_scope_list: false,
            requires_token_type: false,
            kinds: TokenKinds::default(),
            tolerates_bearer_type: false,
            asked: Vec::new(),
        }
    }
}

/// What every token must claim, whatever the rule.
#[derive(Clone, Debug, Default)]
pub struct TokenPolicy {
    /// `iss`, if it is checked.
    pub issuer: Option<String>,
    /// Whether a token without `iss` is accepted (R33).
    pub allows_missing_issuer: bool,
    /// One of these must be in `aud`; none named means it is not checked.
    pub audience: Vec<String>,
    /// How far the clocks of issuer and gateway may differ.
    pub leeway: Duration,
    /// Whether a token without `exp` is refused.
    pub require_exp: bool,
}

impl Claims {
    /// Reads the claims of an access token.
    ///
    /// # Errors
    /// [`Reason::UnexpectedResponse`] with the name of a claim of the wrong type: the authorization server made it;
    /// [`Reason::NotAnAccessToken`] or [`Reason::ProofRequired`] where they say so.
    pub(crate) fn read(claims: &Object, claim_mapping: &ClaimMapping) -> Result<Self, TokenError> {
        claim_mapping.kinds.says_access_token(claims)?;
        let confirmation = Confirmation::read(claims)?;
        confirmation::validate_token_type(
            claims.get("token_type"),
            &confirmation,
            claim_mapping.tolerates_bearer_type,
        )?;
        let audience = match claims.get("aud") {
            None => None,
            Some(Value::Array(values)) => Some(texts(values, "aud")?),
            Some(value) => Some([text(value, "aud")?].into()),
        };
        let asked = |pointer: &String| Some((pointer.clone(), claims.pointer(pointer)?.clone()));
        let scope_tokens =
            |scope: Box<str>| scope.split(' ').filter(|token| !token.is_empty()).map(Box::from).collect();
        let scope = match claims.get(&claim_mapping.scope_claim) {
            None => None,
            Some(Value::Array(values)) if claim_mapping.allows_scope_list => Some(texts(values, "scope")?),
            Some(value) => Some(scope_tokens(text(value, "scope")?)),
        };
        Ok(Self {
            issuer: claims.text("iss")?.map(Box::from),
            audience,
            scope,
            validity: Validity { expires: claims.date("exp")?, not_before: claims.date("nbf")? },
            confirmation,
            asked: claim_mapping.asked.iter().filter_map(asked).collect(),
        })
    }

    /// The claim at this pointer, if it was asked for and is there.
    pub(crate) fn asked(&self, pointer: &str) -> Option<&Value> {
        self.asked.get(pointer)
    }

    /// Whether one of these is in `aud`.
    pub(crate) fn is_for_one_of(&self, audiences: &[String]) -> bool {
        self.audience.iter().flatten().any(|theirs| audiences.iter().any(|ours| **ours == **theirs))
    }

    /// The scope, as RFC 6749 §3.3 writes it.
    pub(crate) fn scope(&self) -> Option<String> {
        self.scope.as_ref().map(|scope| scope.join(" "))
    }

    /// Whether this scope token was granted.
    pub(crate) fn has_scope(&self, scope: &str) -> bool {
        self.scope.iter().flatten().any(|granted| **granted == *scope)
    }

    /// The confirmation (`cnf`).
    pub(crate) fn confirmation(&self) -> &Confirmation {
        &self.confirmation
    }

    /// When the token is valid.
    pub(crate) fn validity(&self) -> Validity {
        self.validity
    }

    /// These claims of a JWT where the server claims `beside` of the token that it stands for: only what both allow. A
    /// token that was narrowed at the server must not regain what its JWT says.
    ///
    /// # Errors
    /// [`Reason::UnexpectedResponse`] if they name different issuers: the server contradicts itself.
    pub(crate) fn narrowed_by(self, beside: Self) -> Result<Self, Reason> {
        if self.issuer.as_ref().zip(beside.issuer.as_ref()).is_some_and(|(ours, theirs)| ours != theirs) {
            return Err(Reason::UnexpectedResponse);
        }
        Ok(Self {
            issuer: self.issuer,
            audience: common(self.audience, beside.audience),
            scope: common(self.scope, beside.scope),
            validity: self.validity.intersect(beside.validity),
            confirmation: self.confirmation.and(beside.confirmation)?,
            asked: self.asked,
        })
    }

    /// How many bytes of memory the claims take, roughly.
    pub(crate) fn weight(&self) -> usize {
        let texts = self.audience.iter().chain(&self.scope).flatten().chain(&self.issuer);
        let asked =
            self.asked.iter().map(|(pointer, value)| pointer.len().saturating_add(value.to_string().len()));
        let texts = texts.map(|text| text.len().saturating_add(size_of::<Box<str>>()));
        texts.chain(asked).chain([self.confirmation.weight()]).sum()
    }
}

/// What is in both lists, where both are there. A JWT without a list stays without: nothing is added to what it says.
fn common(ours: Option<Box<[Box<str>]>>, theirs: Option<Box<[Box<str>]>>) -> Option<Box<[Box<str>]>> {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => Some(ours.into_iter().filter(|text| theirs.contains(text)).collect()),
        (ours, _) => ours,
    }
}

impl TokenPolicy {
    /// Validates a token, whatever it is for: time, issuer and audience (R31 to R34).
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn validate(&self, claims: &Claims, now: Timestamp) -> Result<(), Reason> {
        if claims.validity.has_expired(now, self.leeway) {
            return Err(Reason::Expired);
        }
        if claims.validity.is_not_yet_valid(now, self.leeway) {
            return Err(Reason::NotYetValid);
        }
        if self.require_exp && claims.validity.expires.is_none() {
            return Err(Reason::MissingExpiration);
        }
        let is_tolerated = self.allows_missing_issuer && claims.issuer.is_none();
        if self.issuer.is_some() && self.issuer.as_deref() != claims.issuer.as_deref() && !is_tolerated {
            return Err(Reason::WrongIssuer);
        }
        if !self.audience.is_empty() && !claims.is_for_one_of(&self.audience) {
            return Err(Reason::WrongAudience);
        }
        Ok(())
    }
}

fn texts(values: &[Value], name: &'static str) -> Result<Box<[Box<str>]>, WrongType> {
    values.iter().map(|value| text(value, name)).collect()
}

fn text(value: &Value, name: &'static str) -> Result<Box<str>, WrongType> {
    value.as_str().map(Box::from).ok_or(WrongType(name))
}
