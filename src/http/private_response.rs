//! Keeps responses to requests with a token in the URL out of shared caches (RFC 6750 §2.3).

/// The `Cache-Control` that keeps a successful response out of shared caches, made from its value as `written`: the other directives stay.
/// `None` if the field need not change, since the response is not a success, or `no-store` keeps it out of all caches.
pub fn private_cache_control(status: &[u8], written: &[u8]) -> Option<Vec<u8>> {
    let directives: Vec<&[u8]> = written.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).collect();
    let is_one_of = |directive: &[u8], names: &[&str]| {
        names.iter().any(|name| directive.eq_ignore_ascii_case(name.as_bytes()))
    };
    if status.first() != Some(&b'2') || directives.iter().any(|directive| is_one_of(directive, &["no-store"]))
    {
        return None;
    }
    let kept = directives.into_iter().filter(|directive| !is_one_of(directive, &["", "public", "private"]));
    let private: Vec<&[u8]> = std::iter::once(&b"private"[..]).chain(kept).collect();
    Some(private.join(&b", "[..]))
}
