//! The fields that are one word of a closed list.

use log::LevelFilter;
use serde_json::Value;

use super::Shape;
#[cfg(feature = "schema")]
use crate::config::schema::{self, Described, Description};
use crate::credentials::client_certificate::CertificateSource;
use crate::credentials::dpop::DpopMode;
use crate::http::sanitize::OverrideHeaders;
use crate::token::jwt_access_token::Profile;

/// A word of a closed list.
pub(in crate::config) trait Word: Copy + PartialEq + 'static {
    /// The list.
    const WORDS: &'static [(&'static str, Self)];

    /// The word itself.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }
}

/// `introspection.auth_method`.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::config) enum AuthMethod {
    Basic,
    RawBasic,
    Post,
    PrivateKeyJwt,
    BearerToken,
    None,
}

/// `introspection.response.accept`.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::config) enum ResponseType {
    Jwt,
    Json,
    Signed,
}

/// `token.jwts`.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::config) enum Jwts {
    Introspect,
    Refuse,
    Verify,
}

/// `claim_headers[].encoding`.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::config) enum Encoding {
    Plain,
    Base64Url,
}

/// `rules[].access`.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::config) enum Access {
    Public,
    Protected,
}

/// `rules[].path_match`.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::config) enum PathMatch {
    Prefix,
    Exact,
}

/// `rules[].dpop`.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::config) enum RuleDpop {
    Required,
}

macro_rules! words {
    ($($type:ident {
        $first:ident = $first_word:literal $(, $other:ident = $other_word:literal)* or $last:ident = $last_word:literal
    })+) => {
        $(
            impl Word for $type {
                const WORDS: &'static [(&'static str, Self)] = &[
                    ($first_word, Self::$first),
                    $(($other_word, Self::$other),)*
                    ($last_word, Self::$last),
                ];
            }

            impl Shape for $type {
                const WHAT: &'static str = concat!($first_word, $(", ", $other_word,)* " or ", $last_word);

                fn read(value: Value) -> Option<Self> {
                    among(Self::WORDS, &value)
                }
            }

            #[cfg(feature = "schema")]
            impl Described for $type {
                fn description() -> Description {
                    schema::words::<Self>()
                }
            }
        )+
    };
}

words! {
    AuthMethod {
        Basic = "client_secret_basic", RawBasic = "client_secret_basic_raw", Post = "client_secret_post",
        PrivateKeyJwt = "private_key_jwt", BearerToken = "bearer_token" or None = "none"
    }
    ResponseType {
        Jwt = "application/jwt", Json = "application/json" or Signed = "application/token-introspection+jwt"
    }
    Jwts { Introspect = "introspect", Refuse = "refuse" or Verify = "verify" }
    Profile { Rfc9068 = "rfc9068" or Lax = "lax" }
    DpopMode { Off = "off", Allowed = "allowed" or Required = "required" }
    CertificateSource { Connection = "connection" or Forwarded = "x-forwarded-client-cert" }
    OverrideHeaders { Remove = "remove" or Keep = "keep" }
    Encoding { Plain = "plain" or Base64Url = "base64url" }
    Access { Public = "public" or Protected = "protected" }
    PathMatch { Prefix = "prefix" or Exact = "exact" }
    LevelFilter {
        Off = "off", Error = "error", Warn = "warn", Info = "info", Debug = "debug" or Trace = "trace"
    }
}

impl Word for RuleDpop {
    const WORDS: &'static [(&'static str, Self)] = &[("required", Self::Required)];
}

impl Shape for RuleDpop {
    const WHAT: &'static str = "required, or left out";

    fn read(value: Value) -> Option<Self> {
        among(Self::WORDS, &value)
    }
}

#[cfg(feature = "schema")]
impl Described for RuleDpop {
    fn description() -> Description {
        schema::words::<Self>()
    }
}

fn among<T: Copy>(words: &[(&str, T)], value: &Value) -> Option<T> {
    words.iter().find(|(word, _)| value == word).map(|(_, value)| *value)
}
