//! How the gateway authenticates at the authorization server (RFC 7662 §2.1, RFC 6749 §2.3): by exactly one method (R19).
//!
//! A method is a file, which has its settings, what it does to a request, and what tells one client from another; and a line of the
//! list below. The configuration, its documentation and its schema have the names from there.

mod basic;
mod bearer;
mod method;
mod none;
mod post;
mod private_key_jwt;

use basic::{Basic, RawBasic};
use bearer::BearerToken;
use method::ClientMethod;
pub(super) use method::RequestCredentials;
pub use method::{ClientFields, FieldReader};
use none::Unauthenticated;
use post::Post;
use private_key_jwt::PrivateKeyJwt;

use crate::host::Host;

/// Defines the methods.
macro_rules! methods {
    ($first_name:literal = $first:ident, $($name:literal = $method:ident,)* or $last_name:literal = $last:ident) => {
        impl Method {
            /// The error for an unknown name.
            pub(crate) const MUST_BE: &str = concat!("must be ", $first_name, $(", ", $name,)* " or ", $last_name);
        }

        methods! { $first_name = $first, $($name = $method,)* $last_name = $last, }
    };
    ($($name:literal = $method:ident,)+) => {
        /// A method, as the configuration names it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Method {
            $(#[doc = concat!("`", $name, "`.")] $method,)+
        }

        /// A method with its settings.
        #[derive(Clone, Debug)]
        pub enum ClientAuthentication {
            $(#[doc = concat!("`", $name, "`.")] $method($method),)+
        }

        impl Method {
            /// The names of all methods.
            pub(crate) const NAMES: &[&str] = &[$($name),+];

            /// All methods, in the same order.
            pub(crate) const ALL: &[Self] = &[$(Self::$method),+];

            /// Takes what it needs of the fields.
            pub fn read(
                self,
                fields: &mut ClientFields,
                reader: &mut FieldReader<'_>,
            ) -> Option<ClientAuthentication> {
                match self {
                    $(Self::$method => $method::read(fields, reader).map(ClientAuthentication::$method),)+
                }
            }
        }

        impl ClientAuthentication {
            fn named(&self) -> (&'static str, &dyn ClientMethod) {
                match self {
                    $(Self::$method(method) => ($name, method),)+
                }
            }
        }
    };
}

methods! {
    "client_secret_basic" = Basic,
    "client_secret_basic_raw" = RawBasic,
    "client_secret_post" = Post,
    "private_key_jwt" = PrivateKeyJwt,
    "bearer_token" = BearerToken,
    or "none" = Unauthenticated
}

impl ClientAuthentication {
    /// The client's identity: the method, and the client under it.
    pub(crate) fn identity(&self) -> [&str; 2] {
        let (name, method) = self.named();
        [name, method.identity()]
    }

    /// `client_id`, if the gateway has one there.
    pub fn client_id(&self) -> Option<&str> {
        self.named().1.client_id()
    }

    /// How many requests one worker starts in a second unless that is configured.
    pub(crate) fn max_per_second(&self) -> usize {
        self.named().1.max_per_second()
    }

    /// Whether the credentials are good for one request alone.
    pub(super) fn is_for_one_request(&self) -> bool {
        self.named().1.is_for_one_request()
    }

    /// What it adds to a request; none, if it cannot make that.
    pub(super) fn credentials(&self, context: Host<'_>) -> Option<RequestCredentials<'_>> {
        self.named().1.credentials(context)
    }
}
