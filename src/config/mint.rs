//! The section `mint`, and its overrides in rules and servers.

use std::sync::Arc;

use serde_json::json;

use super::texts::{Identifier, MintedClaim, PlainPath, SubjectPointer, identifier};
use crate::documents::document::Document;
use crate::fields::{
    BoundedDuration, ConfigErrors, FieldPath, HOUR, NonEmptyList, Pointer, PrivateKey, SECOND, Visible,
    section,
};
use crate::jwt::SigningKey;
use crate::token::named_claim::{Encoding, NamedClaim};
use crate::upstream::mint::{MintProfile, MintSettings, SubjectMapping};

section! {
    /// JWTs that the gateway signs.
    pub(super) struct Mint {
        /// The gateway's own issuer identifier, `iss` of its JWTs.
        issuer: Identifier = required,
        /// The first key signs; the others are only published. To rotate: add a new key second, wait until services have it, move
        /// it to the front, and remove the old key once its last JWT has expired.
        keys: NonEmptyList<MintKey> = required,
        /// Maximum lifetime of a JWT, never longer than that of the token.
        lifetime: BoundedDuration<{ 10 * SECOND }, HOUR> = "5m",
        /// `aud`.
        audience: Visible = required,
        /// Where the response names the user: a JSON Pointer to the claim that becomes `sub`; see "The subject of a minted JWT".
        subject: SubjectPointer = "/sub",
        /// Whether a response that names no user (neither in this claim, nor in `sub`, `username` and the like) is about the
        /// client's own token, so that `client_id` becomes `sub`. Only for servers that name the user in every response about a
        /// user's token.
        client_as_subject: bool = false,
        /// Claims of the response that the JWT carries, in addition to `sub`, `client_id` and `scope`.
        claims: Vec<MintClaim> = [],
        /// Where the public keys are served, without a token: on every host, since services may know the gateway by another name
        /// than `mint.issuer`. If a `public` rule names another host in `hosts`, this path belongs to its service there.
        jwks_path: PlainPath = "/.well-known/jwks.json",
    }

    /// A key that the gateway signs with.
    pub(super) struct MintKey {
        /// A private key, as `introspection.private_key`, or `{env: NAME}`. Prefer P-256: RSA signing time depends on the key,
        /// masked by random numbers of the host ([RUSTSEC-2023-0071](https://rustsec.org/advisories/RUSTSEC-2023-0071)).
        private_key: PrivateKey = required,
        /// Its `kid`. Defaults to its thumbprint.
        key_id: String,
    }

    /// A claim of the response that the minted JWT carries.
    pub(super) struct MintClaim {
        /// Its name in the JWT.
        name: MintedClaim = required,
        /// JSON Pointer to the claim in the response.
        pointer: Pointer = required,
    }

    /// Overrides for one rule.
    pub(super) struct RuleMint {
        /// `aud`, instead of `mint.audience`.
        audience: Visible,
        /// Instead of `mint.claims`.
        claims: Vec<MintClaim>,
    }

    /// Overrides for the tokens of one server.
    pub(super) struct ServerMint {
        /// Instead of `mint.subject`.
        subject: SubjectPointer,
        /// Instead of `mint.client_as_subject`.
        client_as_subject: bool,
    }
}

impl Mint {
    #[inline(never)]
    pub(super) fn settings(self, at: FieldPath<'_>, errors: &mut ConfigErrors) -> Option<MintSettings> {
        let at_keys = at.field("keys");
        let mut keys = Vec::new();
        for (index, MintKey { private_key, key_id }) in self.keys.into_iter().enumerate() {
            let key = SigningKey::read(&private_key, key_id);
            keys.extend(
                errors.check(at_keys.element(index).field("private_key"), key).map(SigningKey::named),
            );
        }
        let set = json!({"keys": keys.iter().map(SigningKey::public).collect::<Vec<_>>()});
        let claims = named_claims(self.claims, at.field("claims"), errors);
        let (origin, _) = identifier(&self.issuer).ok()?;
        Some(MintSettings {
            issuer: self.issuer,
            key: keys.into_iter().next()?,
            lifetime: self.lifetime,
            subject: SubjectMapping { pointer: self.subject, allows_client: self.client_as_subject },
            profile: Arc::new(MintProfile { audience: self.audience, claims }),
            key_set: Document::new(&origin, self.jwks_path, set.to_string()),
        })
    }
}

impl ServerMint {
    /// Returns the subject of JWTs minted for the tokens of one server.
    pub(super) fn subject(self, default: &SubjectMapping) -> SubjectMapping {
        SubjectMapping {
            pointer: self.subject.unwrap_or_else(|| default.pointer.clone()),
            allows_client: self.client_as_subject.unwrap_or(default.allows_client),
        }
    }
}

impl RuleMint {
    /// Returns the mint profile of a rule. Fields that the rule leaves out have the values of the section `mint`.
    pub(super) fn profile(
        self,
        at: FieldPath<'_>,
        default: Option<&MintProfile>,
        errors: &mut ConfigErrors,
    ) -> Option<Arc<MintProfile>> {
        let default = errors.check(at, default.ok_or(NEEDS_MINT))?;
        let audience = self.audience.unwrap_or_else(|| default.audience.clone());
        let claims = match self.claims {
            None => default.claims.clone(),
            Some(claims) => named_claims(claims, at.field("claims"), errors),
        };
        Some(Arc::new(MintProfile { audience, claims }))
    }
}

fn named_claims(section: Vec<MintClaim>, at: FieldPath<'_>, errors: &mut ConfigErrors) -> Vec<NamedClaim> {
    let mut claims: Vec<NamedClaim> = Vec::new();
    for (index, MintClaim { name, pointer }) in section.into_iter().enumerate() {
        if claims.iter().any(|claim| claim.name == name) {
            errors.note(at.element(index).field("name"), "is a duplicate");
        }
        claims.push(NamedClaim { name, pointer, encoding: Encoding::default() });
    }
    claims
}

pub(super) const NEEDS_MINT: &str = "needs the section mint";
