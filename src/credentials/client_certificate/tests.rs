use super::*;
use crate::testing::test;

/// The SHA-256 of an empty input, in hexadecimal digits and in base64url.
const DIGITS: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const DIGEST: &str = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";

fn forwarded(field: &str) -> Option<String> {
    let forwarded_client_cert = Presented::Once(field.as_bytes());
    digest(
        Some(CertificateSource::Forwarded),
        &RequestHead { forwarded_client_cert, ..RequestHead::default() },
    )
}

#[test]
fn r096_the_connection_tells_the_certificate() {
    let of = |certificate: Option<&str>| {
        let certificate = certificate.map(str::as_bytes);
        digest(Some(CertificateSource::Connection), &RequestHead { certificate, ..RequestHead::default() })
    };
    assert_eq!(of(Some(DIGITS)).as_deref(), Some(DIGEST));
    assert_eq!(of(Some(&DIGITS.to_uppercase())).as_deref(), Some(DIGEST));
    for odd in [None, Some(""), DIGITS.get(1..), DIGITS.get(2..), Some("xx"), Some(&DIGITS.replace('e', "+"))]
    {
        assert_eq!(of(odd), None, "{odd:?}");
    }
}

/// If one of several elements counted, or a part of quoted text or of a URI, a client could present the digest of a certificate that it
/// does not have.
#[test]
fn r097_one_element_of_the_trusted_proxy_counts_and_nothing_else() {
    assert_eq!(forwarded(&format!("Hash={DIGITS}")).as_deref(), Some(DIGEST));
    assert_eq!(forwarded(&format!("By=spiffe://a;Hash={DIGITS};Subject=\"CN=a\"")).as_deref(), Some(DIGEST));
    assert_eq!(forwarded(&format!("Subject=\"CN=a,Hash=00;x\";Hash={DIGITS}")).as_deref(), Some(DIGEST));
    for odd in [
        String::new(),
        "By=b".to_owned(),
        format!("Hash={DIGITS},By=b"),
        format!("Hash=00,By=b;Hash={DIGITS}"),
        format!("Hash=00;URI=http://x,Hash={DIGITS}"),
        format!("Hash={DIGITS};Hash={DIGITS}"),
        format!("Subject=\"x;Hash={DIGITS}"),
        format!("Subject=\"x\\\";Hash={DIGITS}\""),
        format!("Subject=\"a,Hash={DIGITS}\""),
        format!("Hash=\"{DIGITS}\""),
        format!("X={DIGITS}"),
    ] {
        assert_eq!(forwarded(&odd), None, "{odd}");
    }
    let field = format!("Hash={DIGITS}");
    let head =
        RequestHead { forwarded_client_cert: Presented::Once(field.as_bytes()), ..RequestHead::default() };
    assert_eq!(digest(None, &head), None, "not configured");
    assert_eq!(digest(Some(CertificateSource::Connection), &head), None, "the connection is asked");
    let twice = RequestHead { forwarded_client_cert: Presented::Repeated, ..RequestHead::default() };
    assert_eq!(digest(Some(CertificateSource::Forwarded), &twice), None);
}
