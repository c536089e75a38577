//! `client_secret_basic`: the client's id and secret in the `Authorization` field (RFC 6749 §2.3.1, RFC 7617).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::method::{ClientFields, ClientMethod, FieldReader, RequestCredentials};
use crate::host::Host;
use crate::http::form;
use crate::secret::Secret;

/// The client. Its id and secret are form-encoded before they are joined.
#[derive(Clone, Debug)]
pub struct Basic {
    id: String,
    pub(crate) secret: Secret,
    authorization: Secret,
}

/// The client, for servers that do not decode its id and secret.
#[derive(Clone, Debug)]
pub struct RawBasic(Basic);

impl ClientMethod for Basic {
    fn read(fields: &mut ClientFields, reader: &mut FieldReader<'_>) -> Option<Self> {
        let id = reader.required("client_id", fields.client_id.take());
        let secret = reader.required("client_secret", fields.client_secret.take());
        let (id, secret) = (id?, secret?);
        let authorization = joined(&form::encode_credential(&id), &form::encode_credential(secret.expose()));
        Some(Self { id, secret, authorization })
    }

    fn identity(&self) -> &str {
        &self.id
    }

    fn client_id(&self) -> Option<&str> {
        Some(&self.id)
    }

    fn credentials(&self, _: Host<'_>) -> Option<RequestCredentials<'_>> {
        let authorization = Some(self.authorization.expose().to_owned());
        Some(RequestCredentials { authorization, parameters: Vec::new() })
    }
}

impl ClientMethod for RawBasic {
    fn read(fields: &mut ClientFields, reader: &mut FieldReader<'_>) -> Option<Self> {
        let client = Basic::read(fields, reader)?;
        let authorization = joined(&client.id, client.secret.expose());
        let client = Basic { authorization, ..client };
        let message = "must not contain a colon if it is not encoded (RFC 7617 §2)";
        reader.check("client_id", if client.id.contains(':') { Err(message) } else { Ok(Self(client)) })
    }

    fn identity(&self) -> &str {
        self.0.identity()
    }

    fn client_id(&self) -> Option<&str> {
        self.0.client_id()
    }

    fn credentials(&self, context: Host<'_>) -> Option<RequestCredentials<'_>> {
        self.0.credentials(context)
    }
}

/// The value of the `Authorization` field, the same for all requests.
fn joined(id: &str, secret: &str) -> Secret {
    Secret::new(format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))))
}
