//! `bearer_token`: an access token for the introspection endpoint (RFC 7662 §2.1, RFC 6750 §2.1).

use super::method::{ClientFields, ClientMethod, FieldReader, RequestCredentials};
use crate::host::Host;
use crate::secret::Secret;

/// The token.
#[derive(Clone, Debug)]
pub struct BearerToken(Secret);

impl ClientMethod for BearerToken {
    fn read(fields: &mut ClientFields, reader: &mut FieldReader<'_>) -> Option<Self> {
        reader.required("bearer_token", fields.bearer_token.take()).map(Self)
    }

    fn identity(&self) -> &str {
        self.0.expose()
    }

    fn client_id(&self) -> Option<&str> {
        None
    }

    fn credentials(&self, _: Host<'_>) -> Option<RequestCredentials<'_>> {
        let authorization = Some(format!("Bearer {}", self.0.expose()));
        Some(RequestCredentials { authorization, parameters: Vec::new() })
    }
}
