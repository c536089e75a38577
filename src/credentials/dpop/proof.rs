//! A DPoP proof (RFC 9449 §4.2) and its checks (§4.3).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Uri;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::settings::{DpopSettings, MAX_CLOCK_DIFFERENCE};
use crate::credentials::bearer::AccessToken;
use crate::http::request_head::{Presented, RequestHead};
use crate::jwt::{Jws, SelfSigned};
use crate::refusal::Reason;
use crate::time::{Timestamp, Validity};
use crate::token::confirmation::Confirmation;

/// A proof that is valid for its request except for the signature, which is not verified yet. Anyone can create one, and verifying a
/// signature takes a worker hundreds of times as long as everything else: it comes last, once the token is known to be bound to the key
/// that the proof names.
#[derive(Debug)]
pub(crate) struct UnverifiedProof {
    jws: SelfSigned,
    stamp: Stamp,
}

/// A proof that names the key that the token is bound to. Its signature is not verified yet.
#[derive(Debug)]
pub(crate) struct BoundProof<'p>(&'p UnverifiedProof);

/// A proof whose signature is verified. It may still have been used before.
#[derive(Debug)]
pub(super) struct VerifiedProof(Stamp);

/// The record of a used proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Identifies the proof: part of a digest of its `jti` and the key.
    pub(super) identity: [u8; 16],
    /// Identifies the key: part of a digest.
    pub(super) key: [u8; 8],
    /// `iat`.
    pub(super) issued_at: Timestamp,
}

impl UnverifiedProof {
    /// Reads the proof of a request with this token, and checks everything but the signature.
    ///
    /// # Errors
    /// [`Reason::InvalidDpopProof`], or [`Reason::UseDpopNonce`] if only a valid nonce of the gateway is missing.
    #[inline(never)]
    pub(crate) fn read(
        head: &RequestHead<'_>,
        token: AccessToken<'_>,
        settings: &DpopSettings,
        now: Timestamp,
    ) -> Result<Self, Reason> {
        let Presented::Once(text) = head.dpop else { return Err(Reason::InvalidDpopProof) };
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= MAX_LENGTH);
        let proof = text.and_then(|text| Self::examine(text, head, token, settings, now));
        let (proof, nonce) = proof.ok_or(Reason::InvalidDpopProof)?;
        match &settings.nonce {
            Some(key) if !nonce.is_some_and(|nonce| key.recognises(&nonce, now)) => Err(Reason::UseDpopNonce),
            _ => Ok(proof),
        }
    }

    fn examine(
        text: &str,
        head: &RequestHead<'_>,
        token: AccessToken<'_>,
        settings: &DpopSettings,
        now: Timestamp,
    ) -> Option<(Self, Option<String>)> {
        let jws = Jws::parse(text).ok().filter(|jws| jws.media_type().as_deref() == Some("dpop+jwt"))?;
        let claim = |name: &str| jws.payload().get(name).and_then(Value::as_str);
        let id = claim("jti").filter(|id| !id.is_empty())?;
        let is_of_request = claim("htm")?.as_bytes() == head.method
            && claim("ath")? == URL_SAFE_NO_PAD.encode(Sha256::digest(token.expose()))
            && is_uri_of(claim("htu")?, head, &settings.origins);
        let date = |name| jws.payload().date(name).ok();
        let issued_at = date("iat")??;
        // §4.2 does not mention these dates, but RFC 7519 §4.1.4 and §4.1.5 apply to every JWT.
        let validity = Validity { expires: date("exp")?, not_before: date("nbf")? };
        let is_of_now = issued_at <= now.plus(MAX_CLOCK_DIFFERENCE)
            && now <= issued_at.plus(settings.max_age)
            && !validity.has_expired(now, MAX_CLOCK_DIFFERENCE)
            && !validity.is_not_yet_valid(now, MAX_CLOCK_DIFFERENCE);
        if !is_of_request || !is_of_now {
            return None;
        }
        let signed = SelfSigned::read(&jws, &settings.algorithms)?;
        let stamp = Stamp::new(signed.thumbprint(), id, issued_at);
        Some((Self { jws: signed, stamp }, claim("nonce").map(str::to_owned)))
    }

    /// Returns the thumbprint of the key in the header.
    pub(crate) fn thumbprint(&self) -> &str {
        self.jws.thumbprint()
    }

    /// Matches the proof with the binding of a token.
    ///
    /// # Errors
    /// [`Reason::ConfirmationMismatch`] if the token is bound to another key or to none.
    pub(crate) fn for_token(&self, confirmation: &Confirmation) -> Result<BoundProof<'_>, Reason> {
        if confirmation.is_to(self.thumbprint()) {
            Ok(BoundProof(self))
        } else {
            Err(Reason::ConfirmationMismatch)
        }
    }
}

impl BoundProof<'_> {
    /// Returns the record of the proof.
    pub(super) fn stamp(&self) -> Stamp {
        self.0.stamp
    }

    /// Verifies the signature.
    ///
    /// # Errors
    /// The cost of the failed verification, in units of one P-256 verification.
    pub(super) fn verify(self) -> Result<VerifiedProof, u32> {
        self.0.jws.verify().map(|()| VerifiedProof(self.0.stamp))
    }
}

impl VerifiedProof {
    /// Returns the record of the proof.
    pub(super) fn stamp(&self) -> Stamp {
        self.0
    }

    #[cfg(test)]
    pub(super) fn of(stamp: Stamp) -> Self {
        Self(stamp)
    }
}

impl Stamp {
    /// Creates the record of a proof. `thumbprint` has the same length for every key, so no two pairs concatenate to the same text.
    pub(super) fn new(thumbprint: &str, id: &str, issued_at: Timestamp) -> Self {
        let identity = Sha256::new().chain_update(thumbprint).chain_update(id).finalize();
        Self { identity: first(&identity), key: first(&Sha256::digest(thumbprint)), issued_at }
    }
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

/// Whether `htu` is the URI of this request, without query and fragment, at one of the gateway's origins. Among several origins, the host
/// of the request selects one; a single origin applies to every request.
fn is_uri_of(htu: &str, head: &RequestHead<'_>, origins: &[String]) -> bool {
    let htu = htu.split(['?', '#']).next().unwrap_or_default();
    let Ok(uri) = htu.parse::<Uri>() else { return false };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
    let origin = origin_of(scheme, authority.as_str());
    let is_asked_for = |ours: &String| {
        let (scheme, _) = ours.split_once("://").unwrap_or_default();
        let asked = std::str::from_utf8(head.authority).map(|authority| origin_of(scheme, authority));
        origins.len() == 1 || asked.is_ok_and(|asked| asked == *ours)
    };
    let path = head.path.split(|&byte| byte == b'?').next().unwrap_or_default();
    let is_path = std::str::from_utf8(path).is_ok_and(|path| normalized(path) == normalized(uri.path()));
    is_path && origins.iter().any(|ours| *ours == origin && is_asked_for(ours))
}

/// Returns the origin in lower case, without the default port of its scheme (RFC 3986 §6.2.2.1, §6.2.3).
fn origin_of(scheme: &str, authority: &str) -> String {
    let (scheme, authority) = (scheme.to_ascii_lowercase(), authority.to_ascii_lowercase());
    let port = if scheme == "https" { ":443" } else { ":80" };
    let host = authority.strip_suffix(port).unwrap_or(&authority);
    format!("{scheme}://{host}")
}

/// Normalizes a path: escapes in upper case, unreserved characters unescaped (RFC 3986 §6.2.2.2). Dot segments never occur in a path that
/// rules expose.
fn normalized(path: &str) -> String {
    let mut normal = String::with_capacity(path.len());
    let mut pieces = path.split('%');
    normal.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let escape = piece.split_at_checked(2).and_then(|(digits, rest)| {
            let byte = u8::from_str_radix(digits, 16).ok()?;
            Some((char::from(byte), digits, rest))
        });
        match escape {
            Some((character, _, rest)) if character.is_ascii_alphanumeric() || "-._~".contains(character) => {
                normal.push(character);
                normal.push_str(rest);
            }
            Some((_, digits, rest)) => {
                normal.push('%');
                normal.push_str(&digits.to_ascii_uppercase());
                normal.push_str(rest);
            }
            None => {
                normal.push('%');
                normal.push_str(piece);
            }
        }
    }
    if normal.is_empty() { "/".to_owned() } else { normal }
}

/// An RSA key of 4096 bits, its signature and some claims take half of this.
const MAX_LENGTH: usize = 8 * 1024;

#[cfg(test)]
mod tests;
