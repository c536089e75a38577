//! JWT templates in texts, and the keys that sign them: the keys of RFC 7515 A.3 and RFC 8037 A.1, and a shared secret.
//!
//! `<<p|{"alg":"ES256"}|{"sub":"alice"}>>` in a text stands for the JWT with this header and these claims, signed by the key that the
//! letter selects. So inputs stay readable, and mutated headers and claims are signed again.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use ed25519_dalek::Signer as _;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// The key that signed a JWT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// P-256, by the letter `p`.
    P256,
    /// Ed25519, by the letter `e`.
    Ed25519,
    /// [`SECRET`], by the letter `h`.
    Secret,
}

/// A JWT signed by the algorithm that its header names.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The JWT.
    pub jwt: String,
    /// The key that signed it.
    pub key: Key,
}

/// The shared secret for HS256.
pub const SECRET: &str = "a secret of 32 bytes, or a few more";

/// Returns the text with its JWTs in place, and those of the JWTs that are signed as their headers say. Other letters make invalid
/// signatures: `n` an empty one, `c` an HMAC with a public key as the secret, any other one made of the letter's bytes.
pub fn expand(text: &[u8]) -> (Vec<u8>, Vec<Signed>) {
    let (mut expanded, mut signed) = (Vec::new(), Vec::new());
    let mut rest = text;
    while let Some((before, inside, behind)) = next_template(rest) {
        expanded.extend_from_slice(before);
        let mut fields = inside.splitn(3, |&byte| byte == b'|');
        let [letter, header, claims] = std::array::from_fn(|_| fields.next().unwrap_or_default());
        let (jwt, key) = sign(letter, header, claims);
        expanded.extend_from_slice(jwt.as_bytes());
        signed.extend(key.map(|key| Signed { jwt, key }));
        rest = behind;
    }
    expanded.extend_from_slice(rest);
    (expanded, signed)
}

/// The JWK Set of the public keys.
pub fn key_set() -> Value {
    json!({"keys": [
        {"kty": "EC", "crv": "P-256", "kid": "p", "x": P256_X, "y": P256_Y},
        {"kty": "OKP", "crv": "Ed25519", "kid": "e", "x": ED25519_X},
    ]})
}

/// Whether a text publishes a key: it is JSON that contains the key's coordinate as a string, at any place.
pub fn publishes(text: &[u8], key: Key) -> bool {
    let coordinate = match key {
        Key::P256 => P256_X,
        Key::Ed25519 => ED25519_X,
        Key::Secret => return false,
    };
    serde_json::from_slice(text).is_ok_and(|value| has_coordinate(&value, &lenient(coordinate.as_bytes())))
}

/// The claims of a JWT, verified or not.
pub fn claims_of(jwt: &str) -> Option<Value> {
    serde_json::from_slice(&lenient(jwt.split('.').nth(1)?.as_bytes())?).ok()
}

/// The header of a JWT.
pub fn header_of(jwt: &str) -> Option<Value> {
    serde_json::from_slice(&lenient(jwt.split('.').next()?.as_bytes())?).ok()
}

fn next_template(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let find = |text: &[u8], mark: &[u8]| text.windows(2).position(|window| window == mark);
    let (before, behind) = text.split_at(find(text, b"<<")?);
    let behind = behind.get(2..)?;
    let (inside, behind) = behind.split_at(find(behind, b">>")?);
    Some((before, inside, behind.get(2..)?))
}

fn sign(letter: &[u8], header: &[u8], claims: &[u8]) -> (String, Option<Key>) {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let bytes = message.as_bytes();
    let (signature, key) = match letter {
        b"p" => (p256_signature(bytes), Some(Key::P256)),
        b"e" => (ed25519_signature(bytes), Some(Key::Ed25519)),
        b"h" => (hmac(SECRET.as_bytes(), bytes), Some(Key::Secret)),
        b"c" => (hmac(&lenient(P256_X.as_bytes()).unwrap_or_default(), bytes), None),
        b"n" => (Vec::new(), None),
        other => (other.iter().copied().cycle().take(64).collect(), None),
    };
    let header: Value = serde_json::from_slice(header).unwrap_or_default();
    let algorithm = header.get("alg").and_then(Value::as_str);
    let key = key.filter(|key| {
        matches!(
            (key, algorithm),
            (Key::P256, Some("ES256"))
                | (Key::Ed25519, Some("EdDSA" | "Ed25519"))
                | (Key::Secret, Some("HS256"))
        )
    });
    (format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)), key)
}

fn p256_signature(message: &[u8]) -> Vec<u8> {
    let secret = lenient(P256_D.as_bytes()).unwrap_or_default();
    let key = p256::ecdsa::SigningKey::from_slice(&secret).expect("the key of RFC 7515 A.3");
    let signature: p256::ecdsa::Signature = key.sign(message);
    signature.to_bytes().to_vec()
}

fn ed25519_signature(message: &[u8]) -> Vec<u8> {
    let secret = lenient(ED25519_D.as_bytes()).unwrap_or_default();
    let key = ed25519_dalek::SigningKey::try_from(secret.as_slice()).expect("the key of RFC 8037 A.1");
    key.sign(message).to_bytes().to_vec()
}

fn hmac(secret: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a secret of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn has_coordinate(value: &Value, coordinate: &Option<Vec<u8>>) -> bool {
    match value {
        Value::String(text) => lenient(text.as_bytes()) == *coordinate,
        Value::Array(elements) => elements.iter().any(|element| has_coordinate(element, coordinate)),
        Value::Object(members) => members.values().any(|member| has_coordinate(member, coordinate)),
        _ => false,
    }
}

/// Base64url, decoded as leniently as any service might.
fn lenient(text: &[u8]) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &URL_SAFE,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    LENIENT.decode(text).ok()
}

const P256_D: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
const P256_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const P256_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const ED25519_D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const ED25519_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
