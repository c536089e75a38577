//! What may be refused, and how: an error of the client with a challenge that names it, a failure of the server or of the gateway without
//! one. A client without fault is not refused.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use integration_tests::deterministic_host::{HeaderMap, Host};

use crate::forwarded::has_scope;
use crate::model::{Model, is_confidential, shows_token};
use crate::published_keys::{KEYS_PATH, Signature};
use crate::sent::{Access, Credentials, Enforcement, Sent};
use crate::server::{Meaning, Server};

impl Model {
    /// Judges a refusal: what it discloses to the client, and whether it is justified.
    pub fn judge_refused(
        &mut self,
        sent: &Sent,
        status: u16,
        headers: &HeaderMap,
        body: &str,
        host: &Host,
        server: &Server,
    ) -> Result<()> {
        ensure!(!shows_token(headers) && !is_confidential(body), "the answer shows a token");
        ensure!(headers.text("cache-control") == "no-store", "caches may keep the refusal");
        let challenges = headers.iter().filter(|(name, _)| *name == "www-authenticate");
        let challenges: Vec<_> = challenges.map(|(_, value)| String::from_utf8_lossy(value)).collect();
        let is_of_ours = |text: &str| text.starts_with("Bearer realm=") || text.starts_with("DPoP realm=");
        ensure!(challenges.iter().all(|text| is_of_ours(text)), "{challenges:?}");
        match status {
            401 => ensure!(!challenges.is_empty(), "a client is not told what would do"),
            500.. => ensure!(challenges.is_empty(), "a client is blamed for what is not its fault"),
            _ => {}
        }
        let error = challenges.first().and_then(|text| text.split_once(r#"error=""#));
        let error = error.and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default();
        let outcome = self.refusal(sent, status, error, host, server)?;
        self.count(outcome);
        if error == "use_dpop_nonce" {
            let nonce = headers.text("dpop-nonce");
            ensure!(
                headers.count("dpop-nonce") == 1 && !nonce.is_empty(),
                "a nonce is asked for, but none is given"
            );
            let period = sent.bounds.dpop.as_ref().and_then(|dpop| dpop.nonce_period).unwrap_or_default();
            self.proofs.note_nonce(nonce, period, host.now());
        }
        Ok(())
    }

    /// Returns what justifies a refusal with this status and this `error` in its challenge.
    ///
    /// # Errors
    /// If nothing does.
    pub fn refusal(
        &self,
        sent: &Sent,
        status: u16,
        error: &str,
        host: &Host,
        server: &Server,
    ) -> Result<&'static str> {
        let (scope, enforcement) = match sent.access() {
            Access::Protected { scope, enforcement } => (scope, enforcement),
            Access::Closed if status == 403 => return Ok("not exposed"),
            Access::Closed | Access::Public if status >= 500 && self.is_refusing => {
                return Ok("failed with the host");
            }
            Access::Closed | Access::Public => bail!("nothing had to be looked at"),
        };
        Ok(match (status, error, sent.credentials) {
            (400, "invalid_request", Credentials::Malformed) => "malformed",
            (401, "", Credentials::None | Credentials::Basic) => "without credentials",
            (401, "", Credentials::Dpop(..)) if sent.bounds.dpop.is_none() => "without credentials",
            (401, "invalid_token", Credentials::BadSyntax) => "of bad syntax",
            (401, "invalid_dpop_proof", Credentials::Dpop(_, proof)) => {
                ensure!(sent.bounds.dpop.is_some(), "proofs are not looked at here");
                // The proof may have become too old while its request waited.
                let may_be_invalid = |at| self.proofs.may_be_invalid(proof, at);
                ensure!(
                    may_be_invalid(sent.at) || may_be_invalid(host.now()),
                    "the proof is right, and was not used before"
                );
                if proof.is_some_and(|proof| self.proofs.is_used(proof, sent.at)) {
                    "a proof that was used before"
                } else {
                    "a wrong proof"
                }
            }
            (401, "use_dpop_nonce", Credentials::Dpop(_, proof)) => {
                let Some(dpop) = &sent.bounds.dpop else { bail!("proofs are not looked at here") };
                ensure!(self.proofs.may_lack_nonce(proof, dpop, sent.at), "the proof has a good nonce");
                "a nonce was asked for"
            }
            (401, "invalid_token", Credentials::Bearer(_) | Credentials::Dpop(..)) => {
                self.invalid_token(sent, host, server)?
            }
            (403, "insufficient_scope", Credentials::Bearer(token) | Credentials::Dpop(token, _)) => {
                let is_active = server.statements(token).iter().any(|said| {
                    matches!(said.meaning, Meaning::Active { .. })
                        && (said.step >= sent.since || host.now() < said.usable_until(&sent.bounds))
                });
                ensure!(is_active && !has_scope(server.tokens[token].scope, scope), "it has the scope");
                ensure!(enforcement == Enforcement::Full, "a lack of scope is only reported here");
                "insufficient scope"
            }
            (500.., "", _) => self.failure(sent, status, host, server)?,
            _ => bail!("nothing justifies this: {status} {error:?}"),
        })
    }

    /// The server said that the token is not active, or returned claims that are not valid here; or the token is bound to another sender.
    fn invalid_token(&self, sent: &Sent, host: &Host, server: &Server) -> Result<&'static str> {
        let Some(number) = sent.credentials.token() else { bail!("there is no token") };
        let token = &server.tokens[number];
        let now = host.now();
        if let (Some(dpop), Credentials::Bearer(_)) = (&sent.bounds.dpop, sent.credentials)
            && dpop.is_required
        {
            return Ok("a token that is not bound");
        }
        let is_of_another = match sent.credentials {
            Credentials::Dpop(_, Some(proof)) => self.proofs.is_by_another(proof, token.key()),
            _ => token.key().is_some(),
        };
        let mut outcome = None;
        for said in server.statements(number) {
            // A negative result is remembered for a while, and for no longer if the clock goes back.
            let (at, ttl) = (said.at.clock, sent.bounds.inactive_ttl);
            let is_remembered = now < at + ttl && at <= now + ttl;
            let counts = said.step >= sent.since || is_remembered || now < said.usable_until(&sent.bounds);
            // The gateway mints no JWT for an expired token, even within the leeway.
            let leeway = if sent.bounds.mint.is_some() { Duration::ZERO } else { sent.bounds.leeway };
            outcome = outcome.or(match said.meaning {
                _ if !counts => None,
                Meaning::Inactive => Some("invalid token"),
                _ if said.has_expired(now, leeway) || token.is_for_others => Some("invalid token"),
                _ if is_of_another => Some("a token of another sender"),
                _ => None,
            });
        }
        outcome.map_or_else(|| bail!("the server did not say that this token is invalid"), Ok)
    }

    /// A failure has to be the server's or the host's, or due to a limit.
    fn failure(&self, sent: &Sent, status: u16, host: &Host, server: &Server) -> Result<&'static str> {
        if self.is_refusing {
            return Ok("failed with the host");
        }
        let Some(token) = sent.credentials.token() else { bail!("a failure about nothing") };
        let failed = server.statements(token).iter().rev().find_map(|said| match said.meaning {
            Meaning::Failure(status) if said.step == self.step => Some(status),
            _ => None,
        });
        if failed == Some(status) {
            return Ok(if status == 504 { "timed out" } else { "failed with the server" });
        }
        if let Some(outcome) = self.failure_of_keys(sent, token, status, host, server) {
            return Ok(outcome);
        }
        ensure!(status == 503, "the server failed in another way, or not at all");
        if let Credentials::Dpop(_, Some(proof)) = sent.credentials
            && self.proofs.may_be_limited(proof)
        {
            return Ok("withheld by a limit");
        }
        let root = host.stream(sent.stream).root();
        let has_failed = server.has_failed_last(root) || self.doubted.contains(&root);
        if sent.bounds.failures > 0 && has_failed {
            return Ok("withheld after failures");
        }
        let is_known = server.is_known(token, root, &sent.bounds);
        ensure!(
            self.is_full(sent, root) || self.limits.is_reached(root, is_known),
            "no limit is reached, and no failure was seen"
        );
        Ok(if is_known { "withheld by a limit, though known" } else { "withheld by a limit" })
    }

    /// Keys may be missing, or may lack the one that signed the response for which this request waited.
    fn failure_of_keys(
        &self,
        sent: &Sent,
        token: usize,
        status: u16,
        host: &Host,
        server: &Server,
    ) -> Option<&'static str> {
        let bounds = sent.bounds.keys.as_ref()?;
        let root = host.stream(sent.stream).root();
        let (now, is_shared) = (self.now(host), !self.loses_writes);
        let is_being_asked = host
            .open_callouts()
            .into_iter()
            .map(|id| host.callout(id))
            .any(|callout| callout.root() == root && callout.headers.text(":path") == KEYS_PATH);
        let waited_for = server.statements(token).iter().rev().filter(|said| said.step >= sent.since);
        waited_for.into_iter().find_map(|said| match (&said.meaning, status) {
            (Meaning::Active { signature: Signature::Forger, .. }, 502) => Some("forged"),
            (Meaning::Active { signature: Signature::Key(key), .. }, 502) => {
                let may_lack = server.keys.may_lack(*key, root, bounds, now, is_shared);
                (may_lack || is_being_asked).then_some("signed by an unknown key")
            }
            (Meaning::Active { .. }, 503) => {
                let may_have_none = server.keys.may_have_none(root, bounds, now, is_shared);
                // Keys that were fetched at a time that is now in the future are of unknown age.
                (may_have_none || self.proofs.was_set_back()).then_some("without keys")
            }
            _ => None,
        })
    }
}
