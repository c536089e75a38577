//! `client_secret_post`: the client's id and secret in the form (RFC 6749 §2.3.1).

use super::method::{ClientFields, ClientMethod, FieldReader, RequestCredentials};
use crate::host::Host;
use crate::secret::Secret;

/// The client.
#[derive(Clone, Debug)]
pub struct Post {
    id: String,
    secret: Secret,
}

impl ClientMethod for Post {
    fn read(fields: &mut ClientFields, reader: &mut FieldReader<'_>) -> Option<Self> {
        let id = reader.required("client_id", fields.client_id.take());
        let secret = reader.required("client_secret", fields.client_secret.take());
        Some(Self { id: id?, secret: secret? })
    }

    fn identity(&self) -> &str {
        &self.id
    }

    fn client_id(&self) -> Option<&str> {
        Some(&self.id)
    }

    fn credentials(&self, _: Host<'_>) -> Option<RequestCredentials<'_>> {
        let parameters =
            vec![("client_id", (&*self.id).into()), ("client_secret", self.secret.expose().into())];
        Some(RequestCredentials { authorization: None, parameters })
    }
}
