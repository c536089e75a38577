//! The form of a presented token: opaque, or a JWT in any encoding. It is determined once for each uncached token.

use crate::credentials::bearer::AccessToken;
use crate::jwt::{JoseHeader, Jws, NoJws};
use crate::refusal::{Reason, TokenError};

/// The form of a token.
pub(crate) struct TokenForm<'t> {
    header: Option<JoseHeader>,
    jws: Result<Jws<'t>, NoJws>,
}

/// The kind of a token, where JWTs are accepted.
pub(crate) enum TokenKind<'t> {
    /// Not a JWT, or an encrypted one: only its issuer can read it.
    Opaque,
    /// A JWT that can be verified.
    Jwt(Box<Jws<'t>>),
    /// A JWT that is refused, and the reason. A JWT in another encoding does not count as an opaque token.
    Unacceptable(TokenError),
}

impl<'t> TokenForm<'t> {
    /// Determines the form of a token.
    pub(crate) fn of(token: AccessToken<'t>) -> Self {
        Self { header: JoseHeader::of(token.expose()), jws: Jws::parse(token.expose()) }
    }

    /// Returns the token as a JWT, if it strictly is one.
    pub(crate) fn jws(&self) -> Option<&Jws<'t>> {
        self.jws.as_ref().ok()
    }

    /// Whether the token declares itself a JWT of another kind than an access token (R45).
    pub(crate) fn is_of_other_kind(&self) -> bool {
        self.header.as_ref().is_some_and(JoseHeader::is_of_other_kind)
    }

    /// Whether any decoder, however lenient, reads the token as a JWT.
    pub(crate) fn is_any_jwt(&self) -> bool {
        self.header.is_some() || !matches!(self.jws, Err(NoJws::OtherForm))
    }

    /// Returns the kind of the token where JWTs are verified.
    pub(crate) fn kind(self) -> TokenKind<'t> {
        let malformed = |member| TokenError::about(member, Reason::MalformedJwt);
        let is_signed = self.header.is_some_and(|header| !header.is_encrypted());
        match self.jws {
            Ok(jws) => TokenKind::Jwt(Box::new(jws)),
            Err(NoJws::Unsigned) => TokenKind::Unacceptable(Reason::InvalidSignature.into()),
            Err(NoJws::Malformed(member)) => TokenKind::Unacceptable(malformed(member)),
            Err(NoJws::OtherForm) if is_signed => TokenKind::Unacceptable(malformed("base64url")),
            Err(NoJws::OtherForm) => TokenKind::Opaque,
        }
    }
}
