use std::time::Duration;

use super::*;
use crate::cache::NoSharedData;
use crate::testing::{MemorySharedData, at, test};

fn proof(number: u64, expires: u64) -> Proof {
    let mut identity = [0; 32];
    identity[..8].copy_from_slice(&number.to_be_bytes());
    Proof { thumbprint: "k".to_owned(), identity, expires: at(expires) }
}

#[test]
fn r093_no_worker_takes_a_proof_twice() {
    let shared = MemorySharedData::default();
    let (mut first, mut second) = (ReplayGuard::new(1024, true), ReplayGuard::new(1024, true));
    assert_eq!(first.note(&proof(1, 60), at(0), &shared), Ok(()));
    assert_eq!(first.note(&proof(1, 60), at(60), &shared), Err(Reason::InvalidDpopProof));
    assert_eq!(second.note(&proof(1, 60), at(1), &shared), Err(Reason::InvalidDpopProof));
    assert_eq!(second.note(&proof(2, 60), at(1), &shared), Ok(()));
    let mut alone = ReplayGuard::new(1024, false);
    assert_eq!(alone.note(&proof(1, 60), at(0), &NoSharedData), Ok(()));
    assert_eq!(alone.note(&proof(1, 60), at(0), &NoSharedData), Err(Reason::InvalidDpopProof));
}

/// If a flood of proofs could push out those that were used, they could be used again.
#[test]
fn r093_memory_is_bounded_and_a_flood_pushes_nothing_out() {
    let shared = MemorySharedData::default();
    let mut guard = ReplayGuard::new(64, true);
    let noted = (0..1000).filter(|number| guard.note(&proof(*number, 60), at(0), &shared).is_ok()).count();
    assert_eq!(noted, 64);
    assert_eq!(
        guard.note(&proof(2000, 60), at(0), &shared),
        Err(Reason::Overloaded),
        "not the client's fault"
    );
    assert!((0..64).all(|number| guard.note(&proof(number, 60), at(1), &shared).is_err()));
    assert_eq!(shared.values.borrow().len(), 2);
    let bytes: usize = shared.values.borrow().values().map(|(value, _)| value.len()).sum();
    assert_eq!(bytes, 64 * ENTRY);
    assert_eq!(guard.note(&proof(2000, 120), at(61), &shared), Ok(()), "those have ended");
    assert!(at(61).since(at(60)) == Duration::from_secs(1));
}

#[test]
fn r093_what_cannot_be_remembered_is_refused() {
    let mut guard = ReplayGuard::new(1024, true);
    assert_eq!(guard.note(&proof(1, 60), at(0), &NoSharedData), Err(Reason::Overloaded));
}
