//! What services may receive: a request with the JWT of its own token, while that is valid; an anonymous one, where the path is public or
//! refusals are only reported; nothing else.

use anyhow::{Context as _, Result, bail, ensure};
use integration_tests::deterministic_host::{ContextKey, HeaderMap, Host};

use crate::bounds::{ANSWER, USER};
use crate::model::{Model, shows_token};
use crate::sent::{Access, Credentials, Enforcement, Sent};
use crate::server::{Meaning, Server, Statement};

impl Model {
    /// Judges a request that was forwarded with these fields.
    pub fn judge_forwarded(
        &mut self,
        sent: &Sent,
        headers: &HeaderMap,
        host: &Host,
        server: &Server,
    ) -> Result<()> {
        // Some hosts leave an empty field where the filter removed one.
        let told = headers.iter().filter(|(_, value)| !value.is_empty());
        let headers = &told.map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
        ensure!(!shows_token(headers), "the opaque token went on");
        let has_own = headers.iter().any(|(name, _)| name.starts_with("x-phantom-token"));
        ensure!(!has_own, "a field of the filter's own went on");
        let has_proof = sent.bounds.dpop.is_some() && headers.get("dpop").is_some();
        ensure!(!has_proof, "a proof went on");
        let of_gateway = |name: &str| [USER, ANSWER].contains(&name.replace('_', "-").as_str());
        let is_somebody = headers.iter().any(|(name, _)| of_gateway(name));
        match sent.access() {
            Access::Closed => bail!("no rule exposes this"),
            Access::Public => {
                ensure!(!is_somebody, "a client told services who it is");
                ensure!(!headers.text("authorization").contains("eyJ"), "a JWT was given away");
                self.count("public");
                Ok(())
            }
            Access::Protected { enforcement: Enforcement::Nothing, .. } if !is_somebody => {
                ensure!(headers.get("authorization").is_none(), "nobody went on with credentials");
                self.judge_none(sent, host, server)
            }
            Access::Protected { scope, enforcement } => {
                self.judge_waiting(sent, scope, enforcement, headers, host, server)
            }
        }
    }

    /// Where the rule only reports, a request is forwarded without credentials if any other rule would have refused it.
    fn judge_none(&mut self, sent: &Sent, host: &Host, server: &Server) -> Result<()> {
        let could_be_refused =
            REFUSALS.iter().any(|(status, error)| self.refusal(sent, *status, error, host, server).is_ok());
        ensure!(could_be_refused, "it went on without credentials, though nothing is wrong with it");
        self.count("reported, as nobody's");
        Ok(())
    }

    /// A request is forwarded for a user only by the server's response about its own token, while that is fresh, or while the server fails;
    /// with a proof if the token is bound; and with the required scope.
    fn judge_waiting(
        &mut self,
        sent: &Sent,
        scope: Option<&str>,
        enforcement: Enforcement,
        headers: &HeaderMap,
        host: &Host,
        server: &Server,
    ) -> Result<()> {
        let Some(number) = sent.credentials.token() else { bail!("nobody may pass without a token") };
        let token = &server.tokens[number];
        let answer = server.answered(headers.text(ANSWER)).context("nobody gave this answer")?;
        let (owner, statement) = answer;
        ensure!(owner == number, "the answer is about another token");
        ensure!(!token.is_for_others, "the token is for another API");
        let users: Vec<_> = headers.iter().filter(|(name, _)| name.replace('_', "-") == USER).collect();
        ensure!(users == [(USER, token.subject.as_bytes())], "services learn of another user: {users:?}");
        if !has_scope(token.scope, scope) {
            ensure!(enforcement != Enforcement::Full, "the token lacks the scope");
            self.count("reported, with its JWT");
        }
        let now = host.now();
        ensure!(!statement.has_expired(now, sent.bounds.leeway), "the token has expired");
        self.judge_jwt(sent, statement, headers, host, server)?;
        self.judge_proof(sent, server)?;
        let root = host.stream(sent.stream).root();
        if statement.step >= sent.since {
            let is_old = sent.generation != self.generation;
            self.count(if is_old { "forwarded by an old configuration" } else { "forwarded after waiting" });
        } else {
            let is_taken_back = server.has_taken_back(number, statement, root);
            ensure!(self.loses_writes || !is_taken_back, "the server took this answer back");
            let is_stale = now >= statement.fresh_until(&sent.bounds);
            let is_failing = self.is_failing(number, statement, root, server);
            ensure!(!is_stale || is_failing, "the answer is too old, and the server does not fail");
            ensure!(now < statement.usable_until(&sent.bounds), "the answer is too old");
            self.count(match statement.worker == sent.worker {
                _ if is_stale => "forwarded by an old answer",
                true => "forwarded by a cache",
                false => "forwarded by another worker's answer",
            });
        }
        self.judge_revocation(sent, number, server)
    }

    /// A revoked token is valid for one time to live at most, and for `stale_if_error` longer if the server fails, however the clock is
    /// set.
    fn judge_revocation(&mut self, sent: &Sent, token: usize, server: &Server) -> Result<()> {
        if let Some(revoked) = server.tokens[token].revoked {
            let since = self.elapsed - revoked.elapsed;
            let longest = sent.bounds.max_ttl + sent.bounds.stale_if_error;
            ensure!(since <= longest, "the token was revoked {since:?} ago");
            self.count("forwarded after the revocation");
        }
        Ok(())
    }

    /// Services receive the JWT of the response, or one that the gateway minted from it, or none where it mints none. Only signatures by
    /// keys that the server has not withdrawn count.
    fn judge_jwt(
        &mut self,
        sent: &Sent,
        statement: &Statement,
        headers: &HeaderMap,
        host: &Host,
        server: &Server,
    ) -> Result<()> {
        let Meaning::Active { signature, jwt, .. } = &statement.meaning else { bail!("it was not active") };
        let number = sent.credentials.token().unwrap_or_default();
        match (jwt, &sent.bounds.mint) {
            (None, None) => {
                ensure!(headers.get("authorization").is_none(), "credentials went on, of whom?");
                self.count("forwarded by fields alone");
            }
            (jwt, mint) => {
                ensure!(headers.count("authorization") == 1, "not one set of credentials");
                let got =
                    headers.text("authorization").strip_prefix("Bearer ").context("not a bearer token")?;
                match (jwt, mint) {
                    (Some(jwt), _) => ensure!(got == jwt, "another JWT than the answer's went on"),
                    (None, Some(mint)) => {
                        mint.judge(got, &server.tokens[number], statement, host.now())?;
                        self.count("forwarded with a minted JWT");
                    }
                    (None, None) => {}
                }
            }
        }
        if sent.bounds.keys.is_some() {
            let root = host.stream(sent.stream).root();
            server.keys.judge_signature(*signature, root, self.now(host), !self.loses_writes)?;
            self.count("forwarded with a signature");
        }
        Ok(())
    }

    fn judge_proof(&mut self, sent: &Sent, server: &Server) -> Result<()> {
        let (token, proof) = match sent.credentials {
            Credentials::Dpop(token, Some(proof)) => (token, Some(proof)),
            Credentials::Dpop(_, None) => bail!("it has no proof"),
            other => (other.token().unwrap_or_default(), None),
        };
        let (key, bounds) = (server.tokens[token].key(), sent.bounds.dpop.as_ref());
        self.proofs.judge_passage(proof, key, bounds, sent.at)?;
        if proof.is_some() {
            self.count("forwarded with a proof");
        }
        Ok(())
    }

    /// Whether a stale response may be used: the server fails, or is not called.
    fn is_failing(&self, token: usize, said: &Statement, root: ContextKey, server: &Server) -> bool {
        server.has_failed_since(token, said)
            || server.has_failed_last(root)
            || self.is_refusing
            || self.doubted.contains(&root)
    }
}

/// Whether a scope includes the required one.
pub fn has_scope(scope: &str, required: Option<&str>) -> bool {
    required.is_none_or(|required| scope.split(' ').any(|token| token == required))
}

/// The possible refusals: the status, and the `error` of the challenge.
const REFUSALS: &[(u16, &str)] = &[
    (400, "invalid_request"),
    (401, ""),
    (401, "invalid_token"),
    (401, "invalid_dpop_proof"),
    (401, "use_dpop_nonce"),
    (502, ""),
    (503, ""),
    (504, ""),
];
