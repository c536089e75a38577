//! What every configuration has to do.

use anyhow::{Context, Result, bail};
use integration_tests::api::Api;
use integration_tests::authorization_server::{self, AuthorizationServer};
use integration_tests::client::{Answer, Request};
use integration_tests::secrets;

/// Calls `/orders` as clients do: with a good token, cold and cached, with one that nobody issued, with none, and with one of
/// another scope; and `/health`, which is public. Gives the token and its JWT.
pub async fn tell(
    name: &str,
    call: impl AsyncFn(Request) -> Result<Answer>,
    server: &AuthorizationServer,
    api: &Api,
) -> Result<(String, String)> {
    let token = server.issue("orders:read").await?;
    let mut jwts = Vec::new();
    for occasion in ["cold", "cached"] {
        let what = format!("{name}: {occasion}");
        let answer = call(Request::get("/orders/7").bearer(&token).named(&what)).await?;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        assert!(!answer.text().contains(&token), "{what}: the opaque token reached the API");
        let fields = answer.forwarded_authorization();
        let [authorization] = fields.as_slice() else { bail!("{what}: {} credentials", fields.len()) };
        jwts.push(secrets::noted(authorization.strip_prefix("Bearer ").context("no scheme")?.to_owned()));
        assert_eq!(api.received(&what).len(), 1, "{what}");
    }
    let jwt = jwts.pop().context("no JWT")?;
    assert_eq!(jwts, [jwt.as_str()], "{name}: it was not cached");
    assert_eq!(authorization_server::claims(&jwt)?["client_id"], "app", "{name}");
    assert_eq!(server.introspections(&token).await?, 1, "{name}");

    let unknown = secrets::fresh_token("unknown");
    for (what, request, status, challenge) in [
        ("none", Request::get("/orders/7"), 401, r#"Bearer realm="orders""#),
        ("unknown", Request::get("/orders/7").bearer(&unknown), 401, "invalid_token"),
        ("another scope", Request::post("/orders", "{}").bearer(&token), 403, "insufficient_scope"),
        ("not exposed", Request::get("/admin").bearer(&token), 403, ""),
    ] {
        let what = format!("{name}: {what}");
        let answer = call(request.named(&what)).await?;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert!(answer.header("www-authenticate").contains(challenge), "{what}: {:?}", answer.headers);
        assert_eq!(api.received(&what).len(), 0, "{what}");
    }
    assert_eq!(call(Request::get("/health")).await?.status, 200, "{name}");
    Ok((token, jwt))
}
