//! django-oidc-provider: Django with one more application.

use anyhow::Result;

use crate::django::Django;
use crate::real_server::{Endpoints, Profile, RealServer, pinned};
use crate::story;

struct DjangoOidcProvider(Django);

impl DjangoOidcProvider {
    fn start() -> Result<Self> {
        Django::start(NAME, GATEWAY_SECRET, "/openid/token", "/test/revoke").map(Self)
    }
}

impl RealServer for DjangoOidcProvider {
    fn endpoints(&self) -> &Endpoints {
        &self.0.endpoints
    }

    fn profile(&self) -> Profile {
        Profile {
            chapter: NAME,
            version: pinned("django-oidc-provider/requirements.in", "django-oidc-provider==", "\n"),
            urls: vec![("https://login.example.com", self.0.endpoints.url())],
            port: self.0.endpoints.server.port(),
            secret: Some(GATEWAY_SECRET),
            // Her id in the database.
            alice: "1".to_owned(),
        }
    }

    async fn brief_token(&self) -> Result<String> {
        self.0.endpoints.brief_token().await
    }

    fn refuses_credentials(&self) -> bool {
        false
    }
}

/// If this failed, the chapter of django-oidc-provider would not lead to what it promises.
#[tokio::test(flavor = "multi_thread")]
async fn r225_django_oidc_provider_as_its_chapter_has_it() -> Result<()> {
    story::tell(NAME, &DjangoOidcProvider::start()?).await
}

const NAME: &str = "django-oidc-provider";

/// Has characters that every way to send it has to encode.
const GATEWAY_SECRET: &str = "django-oidc gateway's-p@ssw:rd+100%";
