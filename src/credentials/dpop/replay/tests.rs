use std::cell::{Cell, RefCell};

use super::*;
use crate::host::NoSharedData;
use crate::testing::{MemorySharedData, at, test};

fn memory_of(max_proofs: usize, max_age: u64, shared: bool) -> ReplayMemory {
    let settings = DpopSettings {
        origins: Vec::new(),
        algorithms: Vec::new(),
        max_age: Duration::from_secs(max_age),
        max_proofs,
        shared,
        nonce: None,
    };
    ReplayMemory::new(&settings)
}

fn memory(max_proofs: usize, shared: bool) -> ReplayMemory {
    memory_of(max_proofs, 60, shared)
}

/// Returns a proof by a key of its own.
fn proof(number: u64, issued_at: u64) -> VerifiedProof {
    of_key(&format!("key {number}"), number, issued_at)
}

fn of_key(key: &str, number: u64, issued_at: u64) -> VerifiedProof {
    VerifiedProof::of(Stamp::new(key, &number.to_string(), at(issued_at)))
}

/// Returns a proof in the slot of proof 1.
fn beside(number: u64, issued_at: u64) -> VerifiedProof {
    beside_of(1, number, issued_at)
}

/// Returns a proof in the slot of another.
fn beside_of(other: u64, number: u64, issued_at: u64) -> VerifiedProof {
    let mut stamp = proof(number, issued_at).stamp();
    stamp.identity[..8].copy_from_slice(&proof(other, 0).stamp().identity[..8]);
    VerifiedProof::of(stamp)
}

const USED: Result<(), Reason> = Err(Reason::InvalidDpopProof);
const FULL: Result<(), Reason> = Err(Reason::DpopProofLimit);

#[test]
fn r093_no_worker_takes_a_proof_twice() {
    let shared = MemorySharedData::default();
    let (mut first, mut second) = (memory(1024, true), memory(1024, true));
    first.prepare(at(0), &shared);
    assert_eq!(first.note(&proof(1, 0), at(0), &shared), Ok(()));
    assert_eq!(first.note(&proof(1, 0), at(60), &shared), USED);
    assert_eq!(second.note(&proof(1, 0), at(1), &shared), USED);
    assert_eq!(second.note(&proof(2, 0), at(1), &shared), Ok(()));
    let mut alone = memory(1024, false);
    assert_eq!(alone.note(&proof(1, 0), at(0), &NoSharedData), Ok(()));
    assert_eq!(alone.note(&proof(1, 0), at(0), &NoSharedData), USED);
}

/// If a flood of proofs could push out those that were used, they could be used again.
#[test]
fn r093_memory_is_bounded_and_a_flood_pushes_nothing_out() {
    let shared = MemorySharedData::default();
    let mut full = memory(1024, true);
    full.prepare(at(0), &shared);
    let noted: Vec<_> =
        (0..40_000).filter(|number| full.note(&proof(*number, 0), at(0), &shared).is_ok()).collect();
    assert_eq!(noted.len(), 1024 * full.room.all);
    assert_eq!(full.note(&proof(60_000, 0), at(0), &shared), FULL, "not the client's fault");
    assert!(noted.iter().all(|number| full.note(&proof(*number, 0), at(1), &shared) == USED));
    assert_eq!(shared.values.borrow().len(), 1024);
    let bytes: usize = shared.values.borrow().values().map(|(value, _)| value.len()).sum();
    assert_eq!(bytes, 1024 * (full.room.all * ENTRY + 48));
    assert_eq!(full.note(&proof(60_000, 60), at(61), &shared), Ok(()), "those have ended");
}

#[test]
fn r093_what_cannot_be_remembered_is_refused() {
    let mut full = memory(1024, true);
    assert_eq!(full.note(&proof(1, 0), at(0), &NoSharedData), FULL);
}

/// If one client with one valid token could fill the slots, no other client's proofs could be remembered.
#[test]
fn r093_one_key_cannot_fill_a_slot() {
    for max_proofs in [1024, 10_000, 100_000, 10_000_000] {
        let room = memory(max_proofs, true).room;
        assert!(room.one_key <= room.all / 2, "{max_proofs}: {room:?}");
    }
    let shared = MemorySharedData::default();
    let mut memory = memory(2048, false);
    let mine = |number| of_key("mine", number, 0);
    let noted = (0..25_000).filter(|number| memory.note(&mine(*number), at(0), &shared).is_ok()).count();
    assert_eq!(noted, 1024 * memory.room.one_key);
    let others = (0..1000).filter(|number| memory.note(&proof(*number, 0), at(0), &shared).is_err()).count();
    assert_eq!(others, 0, "half of the room is theirs in any case");
}

/// A backend for a browser application has one key for all of its users. If there were less room for one key, or for all, than the operator
/// planned for, valid requests would be refused at random, and more of them the busier the gateway is.
#[test]
fn r123_there_is_room_for_as_many_as_is_documented_of_one_key_and_of_many() {
    for (max_proofs, per_second, keys) in
        [(100_000, 200, 1), (100_000, 416, 1), (20_000, 333, 1000), (20_000, 333, 4), (1200, 20, 20)]
    {
        let mut memory = memory(max_proofs, false);
        let requests = 0..per_second * 70;
        let refused = requests.filter(|number| {
            let second = number / per_second;
            let proof = of_key(&format!("key {}", number % keys), *number, second);
            memory.note(&proof, at(second), &NoSharedData).is_err()
        });
        assert_eq!(refused.count(), 0, "{per_second} in a second by {keys} keys, {max_proofs}");
    }
}

/// During a change, two configurations run side by side while the old listener drains, and two listeners can share the host's data
/// permanently. If a proof accepted by one configuration were new to the other, each proof could be used twice; if they erased each other's
/// proofs, any number of times.
#[test]
fn r123_a_proof_that_was_used_is_used_for_every_configuration() {
    let shared = MemorySharedData::default();
    let mut small = memory(1024, true);
    small.prepare(at(0), &shared);
    let taken: Vec<_> =
        (0..500).filter(|number| small.note(&proof(*number, 0), at(1), &shared).is_ok()).collect();
    assert_eq!(taken.len(), 500);
    let mut large = memory(150_000, true);
    large.prepare(at(2), &shared);
    for number in 1000..2000 {
        assert_eq!(large.note(&proof(number, 2), at(2), &shared), Ok(()));
    }
    assert!(taken.iter().all(|number| large.note(&proof(*number, 0), at(3), &shared) == USED));
    assert!((1000..2000).all(|number| memory(1024, true).note(&proof(number, 2), at(3), &shared) == USED));
    // The slot is fuller than the small configuration allows: that one accepts no more proofs, and drops none.
    let mut last = memory(100_000, true);
    (0..40).for_each(|number| assert_eq!(last.note(&beside(5000 + number, 3), at(3), &shared), Ok(())));
    assert_eq!(memory(1024, true).note(&beside(6000, 3), at(3), &shared), FULL);
    assert!(
        (0..40).all(|number| memory(100_000, true).note(&beside(5000 + number, 3), at(4), &shared) == USED)
    );
}

/// If a proof were forgotten as soon as one configuration no longer accepts it, another configuration that accepts older proofs would
/// accept it again.
#[test]
fn r123_proofs_are_remembered_as_long_as_any_configuration_would_take_them() {
    let shared = MemorySharedData::default();
    let mut brief = memory_of(1024, 60, true);
    brief.prepare(at(0), &shared);
    assert_eq!(brief.note(&beside(1, 0), at(10), &shared), Ok(()));
    assert_eq!(brief.note(&beside(2, 75), at(75), &shared), Ok(()), "the first is forgotten");
    let mut long = memory_of(1024, 300, true);
    long.prepare(at(100), &shared);
    assert_eq!(long.note(&beside(1, 0), at(101), &shared), USED);
    assert_eq!(long.note(&beside(3, 39), at(101), &shared), USED, "it may have been used and forgotten");
    assert_eq!(long.note(&beside(6, 40), at(101), &shared), Ok(()));
    // The old configuration runs on for a while, and remembers proofs for as long as the new one needs.
    assert_eq!(brief.note(&beside(4, 105), at(105), &shared), Ok(()));
    assert_eq!(brief.note(&beside(5, 200), at(200), &shared), Ok(()));
    assert_eq!(memory_of(1024, 300, true).note(&beside(4, 105), at(210), &shared), USED);
}

/// If a memory that starts empty accepted any proof it does not know, each change of the configuration, and each start of the proxy, would
/// let every captured proof in once more.
#[test]
fn r123_memory_that_begins_empty_takes_no_proof_from_before() {
    let mut before = memory(1024, false);
    before.prepare(at(0), &NoSharedData);
    assert_eq!(before.note(&proof(1, 10), at(10), &NoSharedData), Ok(()));
    let mut after = memory(1024, false);
    after.prepare(at(20), &NoSharedData);
    assert_eq!(after.note(&proof(1, 10), at(21), &NoSharedData), USED);
    assert_eq!(after.note(&proof(2, 19), at(21), &NoSharedData), USED);
    assert_eq!(after.note(&proof(2, 20), at(21), &NoSharedData), Ok(()));

    let proxy = MemorySharedData::default();
    let mut shared = memory(1024, true);
    shared.prepare(at(20), &proxy);
    assert_eq!(shared.note(&proof(1, 19), at(21), &proxy), USED);
    assert_eq!(shared.note(&proof(3, 20), at(21), &proxy), Ok(()));
    let mut again = memory(1024, true);
    again.prepare(at(40), &proxy);
    assert_eq!(again.note(&proof(2, 21), at(41), &proxy), Ok(()), "memory goes on");
}

/// If a wrong clock at the start determined since when the memory is complete, no proof would be accepted until the corrected clock reaches
/// that time.
#[test]
fn r123_a_clock_set_back_denies_no_valid_proof() {
    let proxy = MemorySharedData::default();
    for shared in [true, false] {
        let mut memory = memory(1024, shared);
        memory.prepare(at(3600), &proxy);
        // The shared memory is from another time: it starts anew.
        assert_eq!(memory.note(&proof(0, 0), at(0), &proxy), if shared { FULL } else { Ok(()) });
        assert_eq!(memory.note(&beside_of(0, 1, 1), at(1), &proxy), Ok(()), "{shared}");
        assert_eq!(memory.note(&beside_of(0, 1, 1), at(1), &proxy), USED);
    }
}

/// If a lost or unreadable slot counted as empty, a proof that another worker accepted in this second would pass again. Also, a host that
/// compares checksums of keys may return any value under this key.
#[test]
fn r093_r123_where_a_slot_is_lost_memory_begins_in_the_next_second() {
    let shared = MemorySharedData::default();
    shared.one_key_for_all.set(true);
    let cut = [&MARK.as_bytes()[..], &[0; 7]].concat();
    for lost in [vec![0xff; 5000], cut, Vec::new()] {
        shared.values.borrow_mut().insert(String::new(), (lost, 1));
        let mut memory = memory(1024, true);
        assert_eq!(memory.note(&proof(1, 60), at(60), &shared), FULL, "nobody can tell");
        assert_eq!(memory.note(&proof(2, 60), at(60), &shared), USED, "nor of others of this second");
        assert_eq!(memory.note(&proof(3, 61), at(61), &shared), Ok(()));
    }
    for filler in [0x00, 0xff] {
        let eternal = [&MARK.as_bytes()[..], &[0; 16], &[filler; 50 * ENTRY]].concat();
        shared.values.borrow_mut().insert(String::new(), (eternal, 1));
        assert_eq!(memory(1024, true).note(&proof(2, 60), at(60), &shared), Ok(()));
    }
}

/// If a proof that became too old while its request waited were accepted, it could not be remembered: two requests that wait with it would
/// both pass.
#[test]
fn r093_a_proof_that_became_too_old_while_it_waited_is_refused() {
    let shared = MemorySharedData::default();
    let mut memory = memory(1024, true);
    memory.prepare(at(0), &shared);
    assert_eq!(memory.note(&proof(1, 0), at(61), &shared), USED);
    assert_eq!(memory.note(&proof(2, 0), at(60), &shared), Ok(()));
}

/// If proofs used before the clock was set back were forgotten, they could be used again once their time comes again.
#[test]
fn r123_a_clock_that_is_set_back_forgets_no_used_proof() {
    let shared = MemorySharedData::default();
    let mut memory = memory(1024, true);
    memory.prepare(at(0), &shared);
    assert_eq!(memory.note(&proof(1, 100), at(100), &shared), Ok(()));
    assert_eq!(memory.note(&beside(2, 50), at(50), &shared), Ok(()));
    assert_eq!(memory.note(&proof(1, 100), at(96), &shared), USED);
}

/// Shared data as in Envoy, where a compare-and-swap with 0 compares nothing, and where another worker interferes between a read and the
/// following write.
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

/// If the first proof of a slot were written without comparing, two workers could accept the same proof at the same time.
#[test]
fn r093_two_workers_at_once_take_a_proof_once() {
    let shared = MemorySharedData::default();
    let (mut first, mut second) = (memory(1024, true), memory(1024, true));
    first.prepare(at(0), &shared);
    let prepared = shared.values.borrow().clone();
    first.prepare(at(0), &shared);
    assert_eq!(shared.values.borrow().len(), 1024, "all slots");
    second.prepare(at(1), &shared);
    assert!(*shared.values.borrow() == prepared, "nothing to write");
    let seconds = Cell::new(None);
    let other = Box::new(|| seconds.set(Some(second.note(&proof(1, 0), at(0), &shared))));
    let interrupted = Interrupted { shared: &shared, between: RefCell::new(Some(other)) };
    assert_eq!(first.note(&proof(1, 0), at(0), &interrupted), USED);
    drop(interrupted);
    assert_eq!(seconds.get(), Some(Ok(())));
}
