use super::*;

/// If this failed, one could learn at one worker which tokens collide at all others; or a token that is not in the cache would be taken for
/// one that is.
#[test]
fn r221_workers_know_a_token_by_keys_of_their_own_and_share_its_digest() {
    let [one, other] = [LocalKeys::new([1; 16]), LocalKeys::new([2; 16])];
    let (token, same) = (one.key_of("a-token"), one.key_of("a-token"));
    assert!(token.local() == same.local() && token.get() == same.get());
    assert!(*token.local() != *other.key_of("a-token").local());
    assert_eq!(token.get().as_bytes(), other.key_of("a-token").get().as_bytes());
    for different in ["a-tokeN", "a-token ", "a-toke", ""] {
        assert!(*one.key_of(different).local() != *token.local(), "{different:?}");
    }
    assert!(token.get().local() == token.local());
}

/// If this failed, workers of one process could not share an introspection: each would ask for itself.
#[test]
fn r213_workers_know_a_token_by_one_key() {
    let key = |worker: u8, token: &str| LocalKeys::new([worker; 16]).key_of(token).get();
    assert!(key(1, "opaque") == key(2, "opaque") && key(1, "opaque").cmp(&key(2, "opaque")).is_eq());
    assert!(key(1, "opaque") != key(1, "another"));
}
