//! Binds session ids of services to the subject of the token: MCP's transport issues an id in a response, and a service accepts it from
//! every client. Clients receive the service's id together with a MAC; the service receives its own id back.
//!
//! No state is kept: gateways with the same secret accept each other's ids, and an id without the right MAC is refused.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;
use serde_json::Value;

use crate::fingerprint::Fingerprint;
use crate::http::request_head::{Presented, RequestHead};
use crate::refusal::Reason;
use crate::secret::{Secret, hmac_under};
use crate::token::claims::Claims;

/// The field that carries the id (MCP, Streamable HTTP, "Session Management").
pub const SESSION_ID: &str = "mcp-session-id";

/// How session ids are bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionBinding {
    /// The secret from which the keys of the MACs are derived.
    pub secret: Secret,
    /// The pointers of the claims that stay the same in a session.
    pub claims: Vec<String>,
}

/// The session that a request presents, before its token is known.
pub(crate) struct PresentedSession {
    id: Option<String>,
    authority: String,
    path: String,
}

/// The session of a request whose token is known.
#[derive(Debug)]
pub(crate) struct Session {
    /// The service's own id, if the request has one.
    pub(crate) id: Option<String>,
    /// Seals the session id of the response.
    pub(crate) seal: SessionSeal,
}

/// Seals the session ids of one holder at one URL.
#[derive(Clone)]
pub struct SessionSeal([u8; 32]);

impl PresentedSession {
    /// Reads the head of a request.
    ///
    /// # Errors
    /// [`Reason::AmbiguousField`] if there are several ids, counting fields whose name services may take for this one;
    /// [`Reason::UnknownSession`] for an id that is not UTF-8.
    #[cold]
    #[inline(never)]
    pub(crate) fn read(head: &RequestHead<'_>) -> Result<Box<Self>, Reason> {
        let field = head.named.iter().find(|field| field.name == SESSION_ID).ok_or(Reason::Internal)?;
        let id = match field.value {
            Presented::Absent => None,
            Presented::Once(id) => Some(String::from_utf8(id.to_vec()).map_err(|_| Reason::UnknownSession)?),
            Presented::Repeated => return Err(Reason::AmbiguousField),
        };
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let path = head.path.split(|&byte| byte == b'?').next().unwrap_or_default();
        Ok(Box::new(Self { id, authority: text(head.authority).to_ascii_lowercase(), path: text(path) }))
    }
}

impl SessionBinding {
    /// The session of a request, given the name of the authorization server and the claims of the token.
    ///
    /// # Errors
    /// [`Reason::UnknownSession`] if the id was not issued to this holder at this URL; [`Reason::ClaimMismatch`] if the token lacks a claim
    /// that identifies its holder.
    pub(crate) fn session(
        &self,
        presented: &PresentedSession,
        server: &str,
        claims: &Claims,
    ) -> Result<Session, Reason> {
        let mut holder = Vec::new();
        for pointer in &self.claims {
            let claim = claims.asked(pointer).filter(|claim| is_name(claim)).ok_or(Reason::ClaimMismatch)?;
            holder.push((pointer, claim.to_string()));
        }
        let PresentedSession { id, authority, path } = presented;
        let holder = Fingerprint::of(&((authority, path), (server, holder)));
        let mac = self.secret.mac("phantom-token session").chain_update(holder.as_bytes());
        let seal = SessionSeal(mac.finalize().into_bytes().into());
        let id = match id {
            None => None,
            Some(sealed) => Some(seal.open(sealed).ok_or(Reason::UnknownSession)?.to_owned()),
        };
        Ok(Session { id, seal })
    }
}

impl SessionSeal {
    /// Seals a service's id for the client.
    pub fn seal(&self, id: &[u8]) -> Vec<u8> {
        let mac = hmac_under(self.0).chain_update(id).finalize().into_bytes();
        [id, b".", URL_SAFE_NO_PAD.encode(mac).as_bytes()].concat()
    }

    /// The service's id, if its MAC is by this seal.
    fn open<'i>(&self, sealed: &'i str) -> Option<&'i str> {
        let (id, mac) = sealed.rsplit_once('.')?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        hmac_under(self.0).chain_update(id).verify_slice(&mac).is_ok().then_some(id)
    }
}

/// Never shows the key.
impl std::fmt::Debug for SessionSeal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("[hidden]")
    }
}

/// Whether a claim identifies its holder: users with an empty name would share their sessions, and so would those whose numbers were
/// rounded.
fn is_name(claim: &Value) -> bool {
    match claim {
        Value::String(name) => !name.is_empty(),
        Value::Number(number) => !number.is_f64(),
        _ => false,
    }
}
