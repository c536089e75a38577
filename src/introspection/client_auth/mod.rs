//! How the gateway authenticates at the authorization server (RFC 7662 §2.1, RFC 6749 §2.3): by exactly one method (R19).
//!
//! Each method is a file, with its settings, its additions to a request and the identity of its client, and a line of the list below. The
//! configuration, its documentation and its schema take the names from that list.

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

            /// Takes the fields that the method needs.
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
    /// The client's identity: the name of the method, and the client under it.
    pub(crate) fn identity(&self) -> [&str; 2] {
        let (name, method) = self.named();
        [name, method.identity()]
    }

    /// The gateway's `client_id`, if the method has one.
    pub fn client_id(&self) -> Option<&str> {
        self.named().1.client_id()
    }

    /// The default limit of requests in a second for one worker.
    pub(crate) fn max_per_second(&self) -> usize {
        self.named().1.max_per_second()
    }

    /// Whether the credentials are valid for one request alone.
    pub(super) fn is_for_one_request(&self) -> bool {
        self.named().1.is_for_one_request()
    }

    /// The additions to a request; `None` if they cannot be made.
    pub(super) fn credentials(&self, context: Host<'_>) -> Option<RequestCredentials<'_>> {
        self.named().1.credentials(context)
    }
}
