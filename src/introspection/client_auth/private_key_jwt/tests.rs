use super::*;
use crate::host::NoRandomness;
use crate::jwt::Jws;
use crate::secret::Secret;
use crate::testing::signer::p256;
use crate::testing::{NOW, at, host, test};

fn assertion() -> PrivateKeyJwt {
    let key = SigningKey::read(&Secret::new(p256().to_string()), Some("k1".to_owned())).expect("a key");
    PrivateKeyJwt { client_id: "gateway".to_owned(), audience: "https://login.example.com".to_owned(), key }
}

/// If an assertion could be used twice, or by another server, an eavesdropper could introspect in the gateway's name.
#[test]
fn r021_an_assertion_is_for_one_server_and_one_request() {
    let context = host(0);
    let [first, second] =
        [assertion().sign(context), assertion().sign(context)].map(|text| text.expect("signed"));
    let jws = Jws::parse(&first).expect("a JWS");
    for (name, value) in [("iss", "gateway"), ("sub", "gateway"), ("aud", "https://login.example.com")] {
        assert_eq!(jws.payload().get(name), Some(&json!(value)), "{name}");
    }
    assert_eq!(jws.payload().date("iat"), Ok(Some(at(0))));
    assert_eq!(jws.payload().date("exp"), Ok(Some(at(60))));
    assert_eq!(NOW, at(0).as_millis() / 1000);
    let id = |text: &str| Jws::parse(text).ok().and_then(|jws| jws.payload().get("jti").cloned());
    assert!(id(&first).is_some());
    assert_ne!(id(&first), id(&second));
}

#[test]
fn r021_without_randomness_there_is_no_assertion() {
    assert!(assertion().sign(Host { randomness: &NoRandomness, ..host(0) }).is_none());
}
