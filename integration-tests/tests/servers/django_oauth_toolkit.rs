//! django-oauth-toolkit: Django with one more application.

use anyhow::Result;

use crate::django::Django;
use crate::real_server::{Endpoints, Profile, RealServer, pinned};
use crate::story;

struct DjangoOauthToolkit(Django);

impl DjangoOauthToolkit {
    fn start() -> Result<Self> {
        Django::start(NAME, GATEWAY_SECRET, "/o/token/", "/o/revoke_token/").map(Self)
    }
}

impl RealServer for DjangoOauthToolkit {
    fn endpoints(&self) -> &Endpoints {
        &self.0.endpoints
    }

    fn profile(&self) -> Profile {
        Profile {
            chapter: NAME,
            version: pinned("django-oauth-toolkit/requirements.in", "django-oauth-toolkit==", "\n"),
            urls: vec![("https://login.example.com", self.0.endpoints.url())],
            port: self.0.endpoints.server.port(),
            secret: Some(GATEWAY_SECRET),
            alice: "alice".to_owned(),
        }
    }

    async fn client_token(&self, scope: &str) -> Result<String> {
        self.0.endpoints.client_grant("app-alone", scope).await
    }

    async fn brief_token(&self) -> Result<String> {
        self.0.endpoints.brief_token().await
    }
}

/// If this failed, the chapter of django-oauth-toolkit would not lead to what it promises.
#[tokio::test(flavor = "multi_thread")]
async fn r225_django_oauth_toolkit_as_its_chapter_has_it() -> Result<()> {
    story::tell(NAME, &DjangoOauthToolkit::start()?).await
}

const NAME: &str = "django-oauth-toolkit";

/// Has characters that client_secret_basic has to encode (RFC 6749 §2.3.1).
const GATEWAY_SECRET: &str = "django gateway's-p@ssw:rd+100%";
