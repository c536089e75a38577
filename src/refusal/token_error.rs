//! Why a token is refused, with details.

use std::time::Duration;

use super::reason::Reason;
use crate::http::callout::NotSent;
use crate::json::WrongType;

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenError {
    pub(crate) reason: Reason,
    /// When to try again, if known.
    pub(crate) retry_after: Option<Duration>,
    /// The claim or header member at fault, by a fixed name: never a name or a value from outside.
    pub(crate) member: Option<&'static str>,
}

impl TokenError {
    /// The reason, with the member that is at fault.
    pub(crate) fn about(member: &'static str, reason: Reason) -> Self {
        Self { member: Some(member), ..reason.into() }
    }

    /// The error for a JWT that a client presents, whose malformed claims are not the server's fault.
    #[must_use]
    pub(crate) fn of_presented_jwt(self) -> Self {
        match self.reason {
            Reason::UnexpectedResponse => Self { reason: Reason::MalformedJwt, ..self },
            _ => self,
        }
    }
}

impl From<Reason> for TokenError {
    fn from(reason: Reason) -> Self {
        Self { reason, retry_after: None, member: None }
    }
}

impl From<NotSent> for TokenError {
    fn from(not_sent: NotSent) -> Self {
        let retry_after = match not_sent {
            NotSent::CircuitOpen(pause) => Some(pause),
            NotSent::LimitReached | NotSent::Claimed => None,
        };
        Self { retry_after, ..Reason::from(not_sent).into() }
    }
}

/// A claim of the wrong type is the fault of the authorization server that made it.
impl From<WrongType> for TokenError {
    fn from(WrongType(member): WrongType) -> Self {
        Self::about(member, Reason::UnexpectedResponse)
    }
}
