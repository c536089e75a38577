//! Proofs of possession (RFC 9449): valid ones, invalid ones, and replayed ones.

use std::time::Duration;

use anyhow::{Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fastrand::Rng;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::bounds::NONCE_SECRET_NAME;
use crate::sent::Place;
use crate::signer::{Signer, forged};

/// What one configuration promises about proofs.
#[derive(Clone, Debug)]
pub struct DpopBounds {
    /// Whether tokens without a proof are refused.
    pub is_required: bool,
    /// How long a nonce is issued. `None` if proofs need no nonce.
    pub nonce_period: Option<Duration>,
}

pub type ProofId = usize;

/// All keys of clients, and the proofs that they have signed.
pub struct Proofs {
    signers: Vec<Signer>,
    proofs: Vec<Proof>,
    nonces: Vec<Nonce>,
    /// How often the clock was set back.
    set_back: u32,
    /// From when on used proofs are remembered. Older ones are refused.
    since: Option<Duration>,
    /// Whether memory may be lost, and that moment be reset, with each write that the host loses.
    loses_writes: bool,
}

/// A proof that a client made.
#[derive(Debug)]
pub struct Proof {
    pub text: String,
    pub token: usize,
    pub place: Place,
    pub path: &'static str,
    /// The number of the key that signed the proof.
    signer: usize,
    issued: Duration,
    nonce: Option<usize>,
    flaw: Option<Flaw>,
    /// The number of requests with which the proof was sent.
    sent: u32,
    /// How often the clock had been set back when a request with the proof was last forwarded. `None` if none was.
    passed: Option<u32>,
}

/// A flaw that makes a proof invalid at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    OtherPath,
    OtherMethod,
    OtherToken,
    Signature,
}

/// A nonce that the gateway issued.
#[derive(Clone, Debug)]
struct Nonce {
    text: String,
    period: Duration,
    at: Duration,
}

impl DpopBounds {
    pub fn random(rng: &mut Rng) -> Self {
        let nonce_period = Duration::from_secs([1, 60][rng.usize(..2)]);
        Self { is_required: rng.u8(..4) == 0, nonce_period: (rng.u8(..3) == 0).then_some(nonce_period) }
    }

    /// The section `dpop` as an operator writes it. The maximum age of proofs is the same in all configurations: used proofs are forgotten
    /// when they are too old for the configuration that accepted them.
    pub fn configuration(&self) -> Value {
        let mut section = json!({
            "origins": [ORIGIN],
            "max_age": format!("{}s", MAX_AGE.as_secs()),
            "max_proofs": 1024,
        });
        if let Some(period) = self.nonce_period {
            section["nonce_secret"] = json!({"env": NONCE_SECRET_NAME});
            section["nonce_period"] = json!(format!("{}s", period.as_secs()));
        }
        section
    }
}

impl Proofs {
    pub fn new(loses_writes: bool) -> Self {
        let signers = (0..KEYS).map(|number| Signer::new(2_000_000 + number)).collect();
        Self { signers, proofs: Vec::new(), nonces: Vec::new(), set_back: 0, since: None, loses_writes }
    }

    /// The thumbprint of a key, by its number.
    pub fn thumbprint(&self, key: usize) -> String {
        self.signers[key].thumbprint()
    }

    /// Makes a proof for a request with this token, which is mostly valid.
    pub fn make(
        &mut self,
        (place, path): (Place, &'static str),
        (token, text): (usize, &str),
        key: Option<usize>,
        now: Duration,
        rng: &mut Rng,
    ) -> ProofId {
        let signer = if rng.u8(..12) == 0 { rng.usize(..KEYS) } else { key.unwrap_or_default() };
        let flaw = match rng.u8(..32) {
            0 => Some(Flaw::OtherPath),
            1 => Some(Flaw::OtherMethod),
            2 => Some(Flaw::OtherToken),
            3 => Some(Flaw::Signature),
            _ => None,
        };
        let issued = match rng.u8(..16) {
            0 => now.saturating_sub(MAX_AGE + Duration::from_secs(rng.u64(..3))),
            1 => now + Duration::from_secs(rng.u64(4..9)),
            2 => now.saturating_sub(Duration::from_secs(rng.u64(..MAX_AGE.as_secs()))),
            _ => now,
        };
        let issued = Duration::from_secs(issued.as_secs());
        let newest = self.nonces.len().checked_sub(1);
        let nonce = if rng.u8(..6) == 0 { rng.choice(0..self.nonces.len()) } else { newest };
        let nonce = nonce.filter(|_| rng.u8(..8) != 0);
        let plain_path = path.split('?').next().unwrap_or_default();
        let mut claims = json!({
            "jti": format!("{}-{:016x}", self.proofs.len(), rng.u64(..)),
            "htm": if flaw == Some(Flaw::OtherMethod) { "PUT" } else { place.method() },
            "htu": format!("{ORIGIN}{}", if flaw == Some(Flaw::OtherPath) { "/invoices" } else { plain_path }),
            "iat": issued.as_secs(),
            "ath": URL_SAFE_NO_PAD.encode(Sha256::digest(match flaw {
                Some(Flaw::OtherToken) => "opaque-other",
                _ => text,
            })),
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = json!(self.nonces[nonce].text);
        }
        let key = &self.signers[signer];
        let text = key.sign("dpop+jwt", json!({"jwk": key.public()}), &claims);
        let text = if flaw == Some(Flaw::Signature) { forged(&text) } else { text };
        self.proofs.push(Proof {
            text,
            token,
            place,
            path,
            signer,
            issued,
            nonce,
            flaw,
            sent: 0,
            passed: None,
        });
        self.proofs.len() - 1
    }

    /// Returns one of the last proofs, to be replayed.
    pub fn recent(&self, rng: &mut Rng) -> Option<ProofId> {
        let recent = self.proofs.len().saturating_sub(4)..self.proofs.len();
        rng.choice(recent)
    }

    pub fn get(&self, proof: ProofId) -> &Proof {
        &self.proofs[proof]
    }

    /// Records that a proof was sent with a request.
    pub fn note_sent(&mut self, proof: ProofId) {
        self.proofs[proof].sent += 1;
    }

    /// Records that a configuration with proofs exists.
    pub fn note_configured(&mut self, now: Duration) {
        self.since.get_or_insert(Duration::from_secs(now.as_secs()));
    }

    /// Whether the clock was ever set back.
    pub fn was_set_back(&self) -> bool {
        self.set_back > 0
    }

    /// Records that the clock was set back.
    pub fn note_set_back(&mut self) {
        self.set_back += 1;
    }

    /// Records that the gateway issued a nonce.
    pub fn note_nonce(&mut self, text: &str, period: Duration, now: Duration) {
        if self.nonces.iter().all(|nonce| nonce.text != text) {
            self.nonces.push(Nonce { text: text.to_owned(), period, at: now });
        }
    }

    /// Judges a request that was forwarded with the JWT of a token bound to this key, or to none: it had a valid proof by that key, with
    /// which no other request was forwarded, on any worker.
    pub fn judge_passage(
        &mut self,
        proof: Option<ProofId>,
        binding: Option<usize>,
        bounds: Option<&DpopBounds>,
        at: Duration,
    ) -> Result<()> {
        let Some(proof) = proof else {
            ensure!(binding.is_none(), "a token that is bound to a key went on without a proof");
            ensure!(!bounds.is_some_and(|bounds| bounds.is_required), "a token without a proof went on");
            return Ok(());
        };
        let bounds = bounds.map_or_else(|| anyhow::bail!("proofs are not looked at here"), Ok)?;
        let before = self.proofs[proof].passed.replace(self.set_back);
        let proven = &self.proofs[proof];
        ensure!(binding == Some(proven.signer), "the proof is by another key: {proven:?}");
        ensure!(self.is_right(proof, at), "the proof is wrong: {proven:?}");
        ensure!(self.has_nonce(proof, bounds, at), "the proof has no nonce that is good: {proven:?}");
        // A proof that was used at a time that is now in the future is forgotten if the clock was set back by more than a proof's validity.
        ensure!(before.is_none_or(|before| before < self.set_back), "the proof was used before: {proven:?}");
        Ok(())
    }

    /// Whether a request may be refused because of its proof.
    pub fn may_be_invalid(&self, proof: Option<ProofId>, at: Duration) -> bool {
        proof.is_none_or(|proof| {
            !self.is_right(proof, at) || self.proofs[proof].sent > 1 || self.may_be_forgotten(proof, at)
        })
    }

    /// Whether the proof is older than what is certainly remembered: if it was used, that may be forgotten.
    fn may_be_forgotten(&self, proof: ProofId, at: Duration) -> bool {
        let now = Duration::from_secs(at.as_secs());
        let since = match self.since {
            // Memory may have begun at a time that is now slightly in the future.
            _ if self.set_back > 0 => now + MAX_CLOCK_DIFFERENCE,
            Some(since) if !self.loses_writes => since,
            _ => now,
        };
        self.proofs[proof].issued < since
    }

    /// Whether the gateway may require a nonce.
    pub fn may_lack_nonce(&self, proof: Option<ProofId>, bounds: &DpopBounds, at: Duration) -> bool {
        proof.is_some_and(|proof| !self.has_nonce(proof, bounds, at))
    }

    /// Whether the proof is by another key than the one to which the token is bound.
    pub fn is_by_another(&self, proof: ProofId, binding: Option<usize>) -> bool {
        binding != Some(self.proofs[proof].signer)
    }

    /// Whether the key has made so many invalid proofs that no more of them may be verified.
    pub fn may_be_limited(&self, proof: ProofId) -> bool {
        let signer = self.proofs[proof].signer;
        let wrong =
            self.proofs.iter().filter(|other| other.signer == signer && other.flaw == Some(Flaw::Signature));
        // After the clock was set back, the records are from another time, and memory begins anew.
        self.set_back > 0 || wrong.map(|other| other.sent).sum::<u32>() >= MAX_FAILURES
    }

    /// Whether a proof's only fault is that it was used.
    pub fn is_used(&self, proof: ProofId, at: Duration) -> bool {
        self.is_right(proof, at) && self.proofs[proof].sent > 1
    }

    /// Whether a proof is valid when it arrives, used or not.
    fn is_right(&self, proof: ProofId, at: Duration) -> bool {
        let Proof { issued, flaw, .. } = self.proofs[proof];
        flaw.is_none() && issued <= at + MAX_CLOCK_DIFFERENCE && at <= issued + MAX_AGE
    }

    /// Whether the proof has a valid nonce. A nonce is valid in the period in which it was issued, and in the next.
    fn has_nonce(&self, proof: ProofId, bounds: &DpopBounds, at: Duration) -> bool {
        let Some(period) = bounds.nonce_period else { return true };
        let number = |moment: Duration| moment.as_millis() / period.as_millis();
        self.proofs[proof].nonce.map(|nonce| &self.nonces[nonce]).is_some_and(|nonce| {
            nonce.period == period && (number(nonce.at)..=number(nonce.at) + 1).contains(&number(at))
        })
    }
}

const ORIGIN: &str = "https://api.example.com";
const MAX_AGE: Duration = Duration::from_secs(30);
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(5);

/// The number of the clients' keys.
pub const KEYS: usize = 3;

/// The number of invalid signatures of one key that are verified in a second.
const MAX_FAILURES: u32 = 10;
