//! The interface of client authentication methods: the configuration fields that a method uses, and its additions to a request.

use std::borrow::Cow;

use crate::host::Host;
use crate::secret::Secret;

/// A method of client authentication.
pub(super) trait ClientMethod {
    /// Takes the method's own fields. Any field that it leaves belongs to another method, which is an error.
    fn read(fields: &mut ClientFields, reader: &mut FieldReader<'_>) -> Option<Self>
    where
        Self: Sized;

    /// The client's identity under this method: `client_id`, or the token. A secret is not part of it.
    fn identity(&self) -> &str;

    /// The gateway's `client_id`, if the method has one.
    fn client_id(&self) -> Option<&str>;

    /// The additions to a request; `None` if they include an assertion that cannot be made.
    fn credentials(&self, context: Host<'_>) -> Option<RequestCredentials<'_>>;

    /// Whether the credentials are valid for one request alone.
    fn is_for_one_request(&self) -> bool {
        false
    }

    /// The default limit of requests in a second for one worker. A worker must keep most of its time for the requests of clients, however
    /// much a flood of unknown tokens makes it sign.
    fn max_per_second(&self) -> usize {
        1000
    }
}

/// The additions of a method to a request.
pub(in crate::introspection) struct RequestCredentials<'a> {
    /// The value of the `Authorization` field.
    pub(in crate::introspection) authorization: Option<String>,
    /// Parameters of the form.
    pub(in crate::introspection) parameters: Vec<(&'static str, Cow<'a, str>)>,
}

macro_rules! client_fields {
    ($($(#[doc = $doc:literal])+ $field:ident: $type:ty,)+) => {
        /// The configuration fields of all methods.
        #[derive(Default)]
        pub struct ClientFields {
            $($(#[doc = $doc])+ pub $field: Option<$type>,)+
        }

        impl ClientFields {
            /// The names of the fields that are present.
            pub fn written(&self) -> impl Iterator<Item = &'static str> {
                let fields = [$((stringify!($field), self.$field.is_some()),)+];
                fields.into_iter().filter_map(|(name, is_written)| is_written.then_some(name))
            }
        }
    };
}

client_fields! {
    /// The gateway's own client.
    client_id: String,
    /// Its secret.
    client_secret: Secret,
    /// The key that signs assertions.
    private_key: Secret,
    /// `kid` of assertions.
    key_id: String,
    /// `aud` of assertions.
    audience: String,
    /// An access token for the introspection endpoint.
    bearer_token: Secret,
}

/// Context for a method besides its fields, and the sink for its errors.
pub struct FieldReader<'a> {
    /// The authorization server's issuer identifier, if that is configured.
    pub issuer: Option<&'a str>,
    /// Reports an error: the name of a field, and what the operator has to fix.
    pub note: &'a mut dyn FnMut(&'static str, &str),
}

impl FieldReader<'_> {
    pub(super) fn required<T>(&mut self, field: &'static str, value: Option<T>) -> Option<T> {
        self.check(field, value.ok_or("is required"))
    }

    pub(super) fn check<T>(&mut self, field: &'static str, value: Result<T, impl AsRef<str>>) -> Option<T> {
        value.map_err(|message| (self.note)(field, message.as_ref())).ok()
    }
}
