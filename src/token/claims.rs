//! The claims about a token, in a JWT (RFC 7519 §4.1, RFC 9068 §2.2) or in an introspection response (RFC 7662 §2.2), and whether they
//! satisfy the configuration and a rule.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::{Object, WrongType};
use crate::refusal::{Reason, TokenError};
use crate::time::{Timestamp, Validity};
use crate::token::confirmation::{self, Confirmation};
use crate::token::kinds::TokenKinds;

/// The claims that decide about a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    issuer: Option<Box<str>>,
    audience: Option<Box<[Box<str>]>>,
    scope: Option<Box<[Box<str>]>>,
    validity: Validity,
    confirmation: Confirmation,
    /// Other claims that rules ask about, by their pointers.
    asked: BTreeMap<String, Value>,
    /// Claims of the response around the JWT that the JWT lacks or contradicts. They grant nothing, but have to be valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    beside: Option<Box<Beside>>,
}

/// Claims of the response around a JWT that the JWT lacks or contradicts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Beside {
    issuer: Option<Box<str>>,
    audience: Option<Box<[Box<str>]>>,
}

/// Which claims are read, and how a server writes them if it deviates from the RFCs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimMapping {
    /// The claim that contains the scope: `scope`, or `scp` on some servers.
    pub scope_claim: String,
    /// Whether the scope may be a list of scope tokens (R35).
    pub allows_scope_list: bool,
    /// Whether a response must contain `token_type`, as servers write it for access tokens alone (R36).
    pub requires_token_type: bool,
    /// Whether `exp: 0` next to `active: true` means that the token never expires.
    pub allows_zero_expiration: bool,
    /// The members and words by which the server distinguishes kinds of tokens, beyond those known of all servers.
    pub kinds: TokenKinds,
    /// Whether a token that is bound to a key may be called a bearer token (R91).
    pub tolerates_bearer_type: bool,
    /// The pointers (RFC 6901) of other claims to read.
    pub asked: Vec<String>,
}

impl Default for ClaimMapping {
    fn default() -> Self {
        Self {
            scope_claim: "scope".to_owned(),
            allows_scope_list: false,
            requires_token_type: false,
            allows_zero_expiration: false,
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
    /// More names of that issuer.
    pub issuer_aliases: Vec<String>,
    /// Whether a token without `iss` is accepted (R33).
    pub allows_missing_issuer: bool,
    /// One of these must be in `aud`; an empty list means that it is not checked.
    pub audience: Vec<String>,
    /// Whether a token without `aud` is accepted if the server was asked about it.
    pub allows_missing_audience: bool,
    /// One of these must be the client; an empty list means that it is not checked.
    pub clients: Vec<String>,
    /// The pointer (RFC 6901) of the claim that names the client.
    pub client_pointer: String,
    /// How far the clocks of issuer and gateway may differ.
    pub leeway: Duration,
    /// Whether a token without `exp` is refused.
    pub require_exp: bool,
}

impl Claims {
    /// Reads the claims of an access token.
    ///
    /// # Errors
    /// [`Reason::UnexpectedResponse`] with the name of a claim of the wrong type, since the authorization server made it;
    /// [`Reason::NotAnAccessToken`] or [`Reason::ProofRequired`] where the claims say so.
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
        let mut asked = BTreeMap::new();
        asked.extend(
            claim_mapping
                .asked
                .iter()
                .filter_map(|pointer| Some((pointer.clone(), claims.pointer(pointer)?.clone()))),
        );
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
            asked,
            beside: None,
        })
    }

    /// The claims without an expiry.
    pub(crate) fn without_end(mut self) -> Self {
        self.validity.expires = None;
        self
    }

    /// The claims with an empty `aud` treated as absent, for a response alone: in Ory Hydra it means that the client requested no audience.
    /// Around a JWT, it narrows the JWT's audience to nothing.
    pub(crate) fn without_empty_audience(mut self) -> Self {
        self.audience = self.audience.filter(|audience| !audience.is_empty());
        self
    }

    /// The claim at this pointer, if it was requested and is present.
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

    /// These claims of a JWT, narrowed by the server's claims `beside` it: only what both allow. A token that was narrowed at
    /// the server must not regain what its JWT says.
    ///
    /// # Errors
    /// [`Reason::UnexpectedResponse`] if they name different users, clients or bindings: the server contradicts itself.
    pub(crate) fn narrowed_by(self, beside: Self) -> Result<Self, Reason> {
        let differ = |pointer| {
            self.asked(pointer).zip(beside.asked(pointer)).is_some_and(|(ours, theirs)| ours != theirs)
        };
        if IDENTITIES.into_iter().any(differ) {
            return Err(Reason::UnexpectedResponse);
        }
        let alone = Beside {
            issuer: beside.issuer.filter(|theirs| self.issuer.as_ref() != Some(theirs)),
            audience: beside.audience.clone().filter(|_| self.audience.is_none()),
        };
        Ok(Self {
            issuer: self.issuer,
            audience: common(self.audience, beside.audience),
            scope: common(self.scope, beside.scope),
            validity: self.validity.intersect(beside.validity),
            confirmation: self.confirmation.and(beside.confirmation)?,
            asked: self.asked,
            beside: Some(alone).filter(|alone| *alone != Beside::default()).map(Box::new),
        })
    }

    /// The approximate memory that the claims take, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let beside =
            self.beside.iter().flat_map(|beside| beside.audience.iter().flatten().chain(&beside.issuer));
        let texts = self.audience.iter().chain(&self.scope).flatten().chain(&self.issuer).chain(beside);
        let asked =
            self.asked.iter().map(|(pointer, value)| pointer.len().saturating_add(value.to_string().len()));
        let texts = texts.map(|text| text.len().saturating_add(size_of::<Box<str>>()));
        texts.chain(asked).chain([self.confirmation.weight()]).sum()
    }
}

/// The intersection of both lists, if both exist. A JWT without a list stays without: nothing is added to it.
fn common(ours: Option<Box<[Box<str>]>>, theirs: Option<Box<[Box<str>]>>) -> Option<Box<[Box<str>]>> {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => Some(ours.into_iter().filter(|text| theirs.contains(text)).collect()),
        (ours, _) => ours,
    }
}

impl TokenPolicy {
    /// Validates a token for any rule: time, issuer, audience and client (R31 to R34, R163).
    ///
    /// # Errors
    /// Why the token is refused.
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
        let is_issuer = || match &claims.issuer {
            Some(issuer) => self.is_issuer(issuer),
            None => self.allows_missing_issuer,
        };
        if self.issuer.is_some() && !is_issuer() {
            return Err(Reason::WrongIssuer);
        }
        let lacks_audience = self.allows_missing_audience && claims.audience.is_none();
        if !self.audience.is_empty() && !claims.is_for_one_of(&self.audience) && !lacks_audience {
            return Err(Reason::WrongAudience);
        }
        if let Some(beside) = &claims.beside {
            self.validate_beside(claims, beside)?;
        }
        let client = || claims.asked(&self.client_pointer).and_then(Value::as_str);
        let may_call = |client: &str| self.clients.iter().any(|own| own == client);
        if !self.clients.is_empty() && !client().is_some_and(may_call) {
            return Err(Reason::WrongClient);
        }
        Ok(())
    }

    /// Validates the response's claims that the JWT lacks or contradicts.
    #[cold]
    fn validate_beside(&self, claims: &Claims, beside: &Beside) -> Result<(), Reason> {
        match &beside.issuer {
            Some(issuer) if self.issuer.is_some() && !self.is_issuer(issuer) => {
                return Err(Reason::WrongIssuer);
            }
            Some(_) if self.issuer.is_none() && claims.issuer.is_some() => {
                return Err(Reason::UnexpectedResponse);
            }
            _ => {}
        }
        match &beside.audience {
            Some(theirs)
                if !self.audience.is_empty()
                    && !theirs.iter().any(|one| self.audience.iter().any(|ours| **ours == **one)) =>
            {
                Err(Reason::WrongAudience)
            }
            _ => Ok(()),
        }
    }

    /// Validates what only a response may lack: a JWT that a client presents must have an audience (R67).
    ///
    /// # Errors
    /// [`Reason::WrongAudience`] without `aud`.
    pub(crate) fn validate_presented(&self, claims: &Claims) -> Result<(), Reason> {
        let lacks = !self.audience.is_empty() && claims.audience.is_none();
        if lacks { Err(Reason::WrongAudience) } else { Ok(()) }
    }

    /// Whether this is a name of the issuer.
    pub(crate) fn is_issuer(&self, name: &str) -> bool {
        self.issuer.as_deref() == Some(name) || self.issuer_aliases.iter().any(|own| own == name)
    }

    /// The names of the issuer.
    pub(crate) fn issuers(&self) -> Vec<String> {
        self.issuer.iter().chain(&self.issuer_aliases).cloned().collect()
    }
}

fn texts(values: &[Value], name: &'static str) -> Result<Box<[Box<str>]>, WrongType> {
    values.iter().map(|value| text(value, name)).collect()
}

fn text(value: &Value, name: &'static str) -> Result<Box<str>, WrongType> {
    value.as_str().map(Box::from).ok_or(WrongType(name))
}

/// The pointers of claims that identify the user or the client.
const IDENTITIES: [&str; 4] = ["/sub", "/client_id", "/azp", "/cid"];
