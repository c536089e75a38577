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

/// Verifies proofs, and accepts each only once.
pub(crate) struct ProofVerifier {
    used: ReplayMemory,
    /// The budgets of failed verifications. A key's digest selects one, so that invalid signatures for one key hardly affect other keys.
    failures: [VerificationBudget; FAILURE_BUDGETS],
}

impl ProofVerifier {
    /// Creates a verifier that has seen no proofs.
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

    /// Verifies the proof of a request, and records it as used. The token has this binding, and is otherwise valid.
    ///
    /// # Errors
    /// [`Reason::ConfirmationMismatch`], [`Reason::InvalidDpopProof`]; [`Reason::DpopProofLimit`] if the proof cannot be remembered,
    /// [`Reason::VerificationLimit`] if too many recent proofs of its key had invalid signatures.
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

/// The number of proofs with invalid signatures that are verified per second for tokens of one P-256 key and of the keys that share its
/// budget.
const MAX_FAILURES_PER_SECOND: usize = 10;

const FAILURE_BUDGETS: usize = 64;
