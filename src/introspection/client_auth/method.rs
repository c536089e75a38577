//! A method of client authentication: the fields that it uses of the configuration, and what it adds to a request.

use std::borrow::Cow;

use crate::host::Host;
use crate::secret::Secret;

/// A method of client authentication.
pub(super) trait ClientMethod {
    /// Takes its own fields. Whatever it leaves belongs to another method, which is an error.
    fn read(fields: &mut ClientFields, reader: &mut FieldReader<'_>) -> Option<Self>
    where
        Self: Sized;

    /// The client's identity under this method: `client_id`, or the token. A secret is not part of it.
    fn identity(&self) -> &str;

    /// `client_id`, if the gateway has one there.
    fn client_id(&self) -> Option<&str>;

    /// What it adds to a request; none, if an assertion is to be among that and cannot be made.
    fn credentials(&self, context: Host<'_>) -> Option<RequestCredentials<'_>>;

    /// Whether the credentials are good for one request alone.
    fn is_for_one_request(&self) -> bool {
        false
    }

    /// How many requests one worker starts in a second unless that is configured. It is to have most of its time for those of clients,
    /// whatever a flood of unknown tokens makes it sign.
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
            /// The names of those that are there.
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
    /// What signs assertions.
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
    /// Takes the name of a field, and what the operator has to mend.
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
