//! The flow that every configuration has to support.

use anyhow::Result;
use integration_tests::secrets;
use integration_tests::testkit::{Call, World};

/// Calls `/orders` as clients do: with a valid token, cold and cached, with an unknown one, with none, and with one of another scope; and
/// `/health`, which is public. `by` selects the client. Returns the token and its JWT.
pub async fn run<'w>(world: &'w World, by: impl Fn(Call<'w>) -> Call<'w>) -> Result<(String, String)> {
    let token = world.issue("orders:read").await?;
    let get = |path: &str| by(world.get(path));
    let cold = get("/orders/7").bearer(&token).await?.is_served();
    let cached = get("/orders/7").bearer(&token).await?.is_served();
    assert_eq!(cold.jwt()?, cached.jwt()?, "it was not cached");
    assert_eq!(cached.claims()?["client_id"], "app");
    assert_eq!(world.introspections(&token).await?, 1);

    let unknown = secrets::fresh_token("unknown");
    get("/orders/7").await?.has_status(401).is_challenged_by(r#"Bearer realm="orders""#);
    get("/orders/7").bearer(&unknown).await?.has_status(401).is_challenged_by("invalid_token");
    let another_scope = by(world.post("/orders", "{}")).bearer(&token);
    another_scope.await?.has_status(403).is_challenged_by("insufficient_scope");
    get("/admin").bearer(&token).await?.has_status(403);
    get("/health").await?.is_served();
    Ok((token, cached.jwt()?))
}
