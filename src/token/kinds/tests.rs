use serde_json::json;

use super::*;
use crate::testing::test;

fn said(claims: &Value, own: &TokenKinds) -> Result<bool, Reason> {
    own.says_access_token(&Object::of(claims).expect("an object")).map_err(|error| error.reason)
}

/// If a word were not known, a client could call APIs for months with a refresh token that its server marks as such, or no access token of
/// a server that marks them would pass.
#[test]
fn r036_r160_servers_tell_their_kinds_of_tokens_by_these_words() {
    let (access, other, nothing) = (Ok(true), Err(Reason::NotAnAccessToken), Ok(false));
    for (source, claims, expected) in [
        ("RFC 6749 §7.1", json!({"token_type": "Bearer"}), access),
        ("RFC 6749 §7.1: in any letter case", json!({"token_type": "bearer"}), access),
        ("RFC 9449 §5", json!({"token_type": "DPoP"}), access),
        ("RFC 8693 §2.2.1: no access token", json!({"token_type": "N_A"}), other),
        ("RFC 6749 §7.1: a type that is not understood", json!({"token_type": "mac"}), other),
        ("RFC 8693 §3", json!({"token_type": "urn:ietf:params:oauth:token-type:access_token"}), access),
        ("RFC 8693 §3", json!({"token_type": "urn:ietf:params:oauth:token-type:refresh_token"}), other),
        ("RFC 8693 §3", json!({"token_type": "urn:ietf:params:oauth:token-type:id_token"}), other),
        ("RFC 8693 §3: of any kind", json!({"token_type": "urn:ietf:params:oauth:token-type:jwt"}), other),
        ("Duende, docs: introspection endpoint", json!({"token_type": "access_token"}), access),
        ("@jmondi/oauth2-server 4.3.7", json!({"token_type": "access_token"}), access),
        ("@jmondi/oauth2-server 4.3.7", json!({"token_type": "refresh_token"}), other),
        ("Glewlwyd 2.7.5", json!({"token_type": "bearer", "type": "access_token"}), access),
        ("Glewlwyd 2.7.5", json!({"token_type": "refresh_token"}), other),
        ("Glewlwyd 2.7.5", json!({"token_type": "id_token"}), other),
        ("djangorestframework-simplejwt", json!({"token_type": "access"}), access),
        ("djangorestframework-simplejwt", json!({"token_type": "refresh"}), other),
        ("Apigee, docs: OAuthV2 policy", json!({"token_type": "BearerToken"}), access),
        ("OpenID Connect Server#437", json!({"token_type": "Bearer", "token_usage": "access_token"}), access),
        ("OpenID Connect Server#437", json!({"token_type": "Bearer", "token_usage": "refresh_token"}), other),
        ("OpenID Connect Server#437", json!({"token_usage": "id_token"}), other),
        ("OpenIddict", json!({"token_usage": "authorization_code"}), other),
        ("OpenIddict 6", json!({"token_usage": "urn:ietf:params:oauth:token-type:access_token"}), access),
        ("OpenIddict 6", json!({"token_usage": "urn:openiddict:params:oauth:token-type:state_token"}), other),
        (
            "oidc-provider, lib/actions/introspection.js of old",
            json!({"token_type": "client_credentials"}),
            access,
        ),
        ("oidc-provider, lib/actions/introspection.js of old", json!({"token_type": "refresh_token"}), other),
        ("WSO2 Identity Server", json!({"token_type": "Refresh"}), other),
        ("Ory Hydra", json!({"token_type": "Bearer", "token_use": "access_token"}), access),
        ("Ory Hydra", json!({"token_type": "Bearer", "token_use": "refresh_token"}), other),
        ("awslabs/aws-jwt-verify#98", json!({"token_use": "access"}), access),
        ("getmoto/moto#2672", json!({"token_use": "id"}), other),
        ("Keycloak", json!({"typ": "Bearer"}), access),
        ("Keycloak, bound", json!({"typ": "DPoP"}), access),
        ("Keycloak", json!({"typ": "Refresh"}), other),
        ("Keycloak", json!({"typ": "Offline"}), other),
        ("Keycloak", json!({"typ": "ID"}), other),
        ("rauthy", json!({"typ": "Id"}), other),
        ("Keycloak", json!({"typ": "Logout"}), other),
        ("Keycloak", json!({"typ": "Serialized-ID"}), other),
        ("Keycloak", json!({"typ": "RegistrationAccessToken"}), other),
        ("Keycloak", json!({"typ": "InitialAccessToken"}), other),
        ("Flask-JWT-Extended", json!({"type": "access"}), access),
        ("Flask-JWT-Extended", json!({"type": "refresh"}), other),
        ("a claim of one's own", json!({"kind": "RefreshToken"}), other),
        ("a claim of one's own", json!({"use": "refresh"}), other),
        ("a claim of one's own", json!({"kind": "employee", "use": "sig"}), nothing),
        ("Casdoor", json!({"tokenType": "access-token"}), access),
        ("Casdoor", json!({"tokenType": "refresh-token"}), other),
        ("ForgeRock", json!({"tokenName": "access_token", "token_type": "Bearer"}), access),
        ("ForgeRock", json!({"tokenName": "id_token", "tokenType": "JWTToken"}), other),
        ("Oracle Identity Cloud Service", json!({"tok_type": "AT"}), access),
        ("Oracle Identity Cloud Service", json!({"tok_type": "IT"}), other),
        ("FusionAuth", json!({"tty": "at"}), access),
        ("FusionAuth", json!({"tty": "it"}), other),
        ("Curity", json!({"purpose": "access_token"}), access),
        ("Curity", json!({"purpose": "id"}), other),
        ("a type of one's own that says access token", json!({"token_class": "oauth_access"}), other),
        // One word for another kind counts more than all for an access token.
        ("any", json!({"token_type": "Bearer", "typ": "Bearer", "token_use": "refresh"}), other),
        // Other values that servers have in such members.
        ("Cloudflare Access", json!({"type": "app"}), nothing),
        ("RFC 7519 §5.1, copied into the claims", json!({"typ": "JWT"}), nothing),
        ("a claim of one's own", json!({"type": 3, "purpose": ["billing"]}), nothing),
        ("none", json!({"sub": "alice", "token_type": null, "typ": null}), nothing),
        // Values that are not words, in members that distinguish kinds.
        ("none", json!({"token_type": 5}), other),
        ("none", json!({"token_type": ""}), other),
        ("none", json!({"token_use": ["access"]}), other),
    ] {
        assert_eq!(said(&claims, &TokenKinds::default()), expected, "{source}: {claims}");
    }
}

/// If this failed, a server with words of its own could not be used, or its refresh tokens would pass.
#[test]
fn r160_the_operator_says_what_words_a_server_has_of_its_own() {
    let own = |member: &str, words: &[&str]| {
        TokenKinds(vec![(member.to_owned(), words.iter().map(|&word| word.to_owned()).collect())])
    };
    let other = Err(Reason::NotAnAccessToken);
    for (own, claims, expected) in [
        (own("token_class", &["api", "API-2"]), json!({"token_class": "api_2"}), Ok(true)),
        (own("token_class", &["api"]), json!({"token_class": "renewal"}), other),
        (own("token_class", &["api"]), json!({"token_class": 1}), other),
        (own("kind", &["api"]), json!({"kind": "renewal"}), other),
        (own("kind", &["api"]), json!({}), Ok(false)),
        // The configuration replaces the known words of that member, and of no other.
        (own("token_type", &["MAC"]), json!({"token_type": "mac"}), Ok(true)),
        (own("token_type", &["MAC"]), json!({"token_type": "Bearer"}), other),
        (own("token_use", &["access", "id"]), json!({"token_use": "id"}), Ok(true)),
        (own("kind", &["api"]), json!({"kind": "api", "token_type": "refresh_token"}), other),
        (own("typ", &["Bearer", "DPoP"]), json!({"typ": "execute-actions"}), other),
    ] {
        assert_eq!(said(&claims, &own), expected, "{own:?} {claims}");
    }
}
