use std::cell::{Cell, RefCell};

use super::*;
use crate::cache::NoSharedData;
use crate::testing::{MemorySharedData, at, test};

fn guard(max_proofs: usize, shared: bool) -> ReplayGuard {
    let settings = DpopSettings {
        origins: Vec::new(),
        algorithms: Vec::new(),
        max_age: Duration::from_secs(60),
        max_proofs,
        shared,
        nonce: None,
    };
    ReplayGuard::new(&settings, Fingerprint::of(&["a"]))
}

/// Each of a key of its own.
fn proof(number: u64, expires: u64) -> Proof {
    let mut identity = [0; 32];
    identity[..8].copy_from_slice(&number.to_be_bytes());
    Proof { thumbprint: number.to_string(), identity, expires: at(expires) }
}

#[test]
fn r093_no_worker_takes_a_proof_twice() {
    let shared = MemorySharedData::default();
    let (mut first, mut second) = (guard(1024, true), guard(1024, true));
    assert_eq!(first.note(&proof(1, 60), at(0), &shared), Ok(()));
    assert_eq!(first.note(&proof(1, 60), at(60), &shared), Err(Reason::InvalidDpopProof));
    assert_eq!(second.note(&proof(1, 60), at(1), &shared), Err(Reason::InvalidDpopProof));
    assert_eq!(second.note(&proof(2, 60), at(1), &shared), Ok(()));
    let mut alone = guard(1024, false);
    assert_eq!(alone.note(&proof(1, 60), at(0), &NoSharedData), Ok(()));
    assert_eq!(alone.note(&proof(1, 60), at(0), &NoSharedData), Err(Reason::InvalidDpopProof));
}

/// If a flood of proofs could push out those that were used, they could be used again.
#[test]
fn r093_memory_is_bounded_and_a_flood_pushes_nothing_out() {
    let shared = MemorySharedData::default();
    let mut full = guard(64, true);
    let noted = (0..1000).filter(|number| full.note(&proof(*number, 60), at(0), &shared).is_ok()).count();
    assert_eq!(noted, 64);
    assert_eq!(
        full.note(&proof(2000, 60), at(0), &shared),
        Err(Reason::Overloaded),
        "not the client's fault"
    );
    assert!((0..64).all(|number| full.note(&proof(number, 60), at(1), &shared).is_err()));
    assert_eq!(shared.values.borrow().len(), 2);
    let bytes: usize = shared.values.borrow().values().map(|(value, _)| value.len()).sum();
    assert_eq!(bytes, 64 * ENTRY + 2 * 32);
    assert_eq!(full.note(&proof(2000, 120), at(61), &shared), Ok(()), "those have ended");
    assert!(at(61).since(at(60)) == Duration::from_secs(1));
}

#[test]
fn r093_what_cannot_be_remembered_is_refused() {
    let mut full = guard(1024, true);
    assert_eq!(full.note(&proof(1, 60), at(0), &NoSharedData), Err(Reason::Overloaded));
}

/// If one client with one good token could fill the slots, nobody else's proofs could be remembered.
#[test]
fn r093_one_key_fills_no_slot_alone() {
    let shared = MemorySharedData::default();
    let mut one_slot = guard(32, true);
    let mine = |number| Proof { thumbprint: "mine".to_owned(), ..proof(number, 60) };
    let noted = (0..100).filter(|number| one_slot.note(&mine(*number), at(0), &shared).is_ok()).count();
    assert_eq!(noted, PROOFS_PER_SENDER);
    assert_eq!(one_slot.note(&proof(1000, 60), at(0), &shared), Ok(()));
}

/// A host that compares checksums of keys may have anything under ours.
#[test]
fn r093_whatever_is_in_a_slot_lets_proofs_in() {
    let shared = MemorySharedData::default();
    shared.one_key_for_all.set(true);
    shared.values.borrow_mut().insert(String::new(), (vec![0xff; 5000], 1));
    assert_eq!(guard(32, true).note(&proof(1, 60), at(0), &shared), Ok(()));
    let eternal = [&Fingerprint::of(&["a"]).as_bytes()[..], &[0xff; 50 * ENTRY]].concat();
    shared.values.borrow_mut().insert(String::new(), (eternal, 1));
    assert_eq!(guard(32, true).note(&proof(2, 60), at(0), &shared), Ok(()));
}

/// Shared data as on Envoy, where a compare-and-swap by 0 compares nothing, and where another worker comes in between a read and
/// the write after it.
struct Interrupted<'a> {
    shared: &'a MemorySharedData,
    between: RefCell<Option<Box<dyn FnOnce() + 'a>>>,
}

impl SharedData for Interrupted<'_> {
    fn get(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        let value = self.shared.get(key);
        if let Some(other) = self.between.take() {
            other();
        }
        value
    }

    fn set(&self, key: &str, value: &[u8], cas: u32) -> bool {
        let current = self.shared.get(key).map_or(0, |(_, cas)| cas);
        self.shared.set(key, value, if cas == 0 { current } else { cas })
    }
}

/// If the first proof of a slot were written without comparing, two workers could take the same one at the same time.
#[test]
fn r093_two_workers_at_once_take_a_proof_once() {
    let shared = MemorySharedData::default();
    let (mut first, mut second) = (guard(1024, true), guard(1024, true));
    first.prepare(&shared);
    first.prepare(&shared);
    assert_eq!(shared.values.borrow().len(), 32, "all slots");
    second.prepare(&shared);
    let seconds = Cell::new(None);
    let other = Box::new(|| seconds.set(Some(second.note(&proof(1, 60), at(0), &shared))));
    let interrupted = Interrupted { shared: &shared, between: RefCell::new(Some(other)) };
    assert_eq!(first.note(&proof(1, 60), at(0), &interrupted), Err(Reason::InvalidDpopProof));
    drop(interrupted);
    assert_eq!(seconds.get(), Some(Ok(())));
}
