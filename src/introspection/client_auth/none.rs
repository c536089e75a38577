//! `none`: any caller that reaches the endpoint may introspect. Some servers require `client_id` all the same.

use super::method::{ClientFields, ClientMethod, FieldReader, RequestCredentials};
use crate::host::Host;

/// The client, if it is named.
#[derive(Clone, Debug)]
pub struct Unauthenticated {
    client_id: Option<String>,
}

impl ClientMethod for Unauthenticated {
    fn read(fields: &mut ClientFields, _: &mut FieldReader<'_>) -> Option<Self> {
        Some(Self { client_id: fields.client_id.take() })
    }

    fn identity(&self) -> &str {
        self.client_id().unwrap_or_default()
    }

    fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    fn credentials(&self, _: Host<'_>) -> Option<RequestCredentials<'_>> {
        let parameters = self.client_id().map(|id| ("client_id", id.into())).into_iter().collect();
        Some(RequestCredentials { authorization: None, parameters })
    }
}
