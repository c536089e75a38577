//! Demonstrating proof of possession (RFC 9449): a DPoP proof shows that the sender of a request holds the key to which the
//! access token is bound.
//!
//! The proof is checked on every request, whether its token is cached or not (R94). Its signature comes last, since verifying
//! it takes hundreds of times as long as everything else: an [`UnverifiedProof`] has to name the token's key before it is
//! verified, and has to be verified before it is recorded as used. The types allow no other order.

mod nonce;
mod proof;
mod replay;
mod settings;

pub use nonce::NonceKey;
pub(crate) use proof::UnverifiedProof;
pub use settings::{DpopMode, DpopSettings};

use crate::host::SharedData;
use crate::jwt::VerificationBudget;
use crate::refusal::Reason;
use crate::time::Timestamp;
use crate::token::confirmation::Confirmation;
use replay::ReplayMemory;

/// Takes proofs, each once.
pub(crate) struct ProofVerifier {
    used: ReplayMemory,
    /// By what a key's digest begins with: whose signatures are wrong does not keep others out.
    failures: [VerificationBudget; FAILURE_BUDGETS],
}

impl ProofVerifier {
    /// Without any proof that was used.
    pub(crate) fn new(settings: &DpopSettings) -> Self {
        Self {
            used: ReplayMemory::new(settings),
            failures: [VerificationBudget::new(MAX_FAILURES_PER_SECOND); FAILURE_BUDGETS],
        }
    }

    /// Prepares the memory of used proofs, before the first request.
    pub(crate) fn prepare(&mut self, now: Timestamp, shared: &dyn SharedData) {
        self.used.prepare(now, shared);
    }

    /// Takes the proof of a request whose token has this binding, and is good but for that.
    ///
    /// # Errors
    /// [`Reason::ConfirmationMismatch`], [`Reason::InvalidDpopProof`]; [`Reason::DpopProofLimit`] if it cannot be remembered,
    /// [`Reason::VerificationLimit`] if too many of its key were wrong lately.
    #[inline(never)]
    pub(crate) fn take(
        &mut self,
        proof: &UnverifiedProof,
        confirmation: &Confirmation,
        now: Timestamp,
        shared: &dyn SharedData,
    ) -> Result<(), Reason> {
        let proof = proof.for_token(confirmation)?;
        self.used.look(&proof, now)?;
        let [first, ..] = proof.stamp().key;
        let budgets = self.failures.iter_mut().enumerate();
        let mut own = budgets.filter(|(index, _)| *index == usize::from(first) % FAILURE_BUDGETS);
        let (_, failures) = own.next().ok_or(Reason::Internal)?;
        if failures.is_spent(now) {
            return Err(Reason::VerificationLimit);
        }
        let verified = proof.verify().map_err(|cost| {
            failures.spend(cost);
            Reason::InvalidDpopProof
        })?;
        self.used.note(&verified, now, shared)
    }
}

/// The number of proofs with invalid signatures that are verified per second for tokens of one P-256 key, including those of
/// keys that share its budget.
const MAX_FAILURES_PER_SECOND: usize = 10;

const FAILURE_BUDGETS: usize = 64;
