use std::sync::Arc;

use super::*;
use crate::http::lifetime::Lifetime;
use crate::testing::{at, test};
use crate::token::claims::Claims;
use crate::token_key::TokenKey;

const MAX_TTL: Duration = Duration::from_secs(60);
const LIFETIME: Lifetime = Lifetime { fresh_until: at(60), usable_until: at(60) };

fn key(token: usize) -> LocalKey {
    *TokenKey::of(&format!("token-{token}")).local()
}

fn token_info(pad: usize) -> Rc<TokenInfo> {
    let jwt = "x".repeat(pad);
    Rc::new(TokenInfo::new(
        TokenKey::of("a-token"),
        Some(&jwt),
        Claims::default(),
        false,
        None,
        &Arc::default(),
        LIFETIME,
    ))
}

#[test]
fn r057_entries_are_bounded() {
    let mut cache = LocalCache::new(100, 10_000_000, MAX_TTL);
    for token in 0..10_000 {
        cache.insert(key(token), token_info(0));
    }
    assert!(cache.entries.len() <= 100, "{}", cache.entries.len());
    let mut smallest = LocalCache::new(16, 4096, MAX_TTL);
    for token in 0..100 {
        smallest.insert(key(token), token_info(0));
    }
    assert!((1..=16).contains(&smallest.entries.len()), "{}", smallest.entries.len());
}

#[test]
fn r057_bytes_are_bounded() {
    let mut cache = LocalCache::new(1000, 200_000, MAX_TTL);
    for token in 0..1000 {
        cache.insert(key(token), token_info(3000));
    }
    let bytes: usize = cache.entries.iter().map(|(_, token_info)| token_info.weight()).sum();
    assert!(bytes <= 200_000, "{bytes}");
    assert!(cache.entries.len() > 10, "{}", cache.entries.len());
}

/// If a flood of tokens that are used once could evict those in use, garbage would turn into load for the server.
#[test]
fn r057_a_flood_does_not_displace_what_is_hot() {
    let mut cache = LocalCache::new(100, 10_000_000, MAX_TTL);
    for round in 0..5 {
        for token in 0..20 {
            if round == 0 {
                cache.insert(key(token), token_info(0));
            }
            assert!(cache.find(&key(token), at(0)).is_some());
        }
    }
    for token in 1000..3000 {
        cache.insert(key(token), token_info(0));
    }
    let kept = (0..20).filter(|&token| cache.find(&key(token), at(0)).is_some()).count();
    assert_eq!(kept, 20);
}

#[test]
fn r050_what_is_stale_does_not_serve_but_is_known() {
    let mut cache = LocalCache::new(100, 1_000_000, MAX_TTL);
    cache.insert(key(1), token_info(0));
    assert!(cache.find(&key(1), at(59)).is_some());
    assert!(cache.find(&key(1), at(60)).is_none());
    assert!(cache.knows(&key(1)) && !cache.knows(&key(2)));
}
