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
