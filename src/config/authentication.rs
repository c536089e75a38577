//! Reads the fields of `introspection` for client authentication. Each method uses its own fields; a field of another method is an error,
//! since it would have no effect.

use crate::fields::{ConfigErrors, FieldPath, Keyword, Kind, field_type};
use crate::introspection::{ClientAuthentication, ClientFields, FieldReader, Method};

impl Keyword for Method {
    const WORDS: &'static [&'static str] = Self::NAMES;
    const VALUES: &'static [Self] = Self::ALL;
}

field_type!(Method => Self, Kind::Words(Self::NAMES), Self::Basic, |written, at, reader| {
    reader.check(at, written.as_str().and_then(Method::of), Method::MUST_BE)
});

/// Reads the client authentication. `issuer` is that of the authorization server, if it is configured: the default audience of assertions.
pub(super) fn authentication(
    method: Method,
    mut fields: ClientFields,
    at: FieldPath<'_>,
    issuer: Option<&str>,
    errors: &mut ConfigErrors,
) -> Option<ClientAuthentication> {
    let mut note = |field: &'static str, message: &str| errors.note(at.field(field), message);
    let authentication = method.read(&mut fields, &mut FieldReader { issuer, note: &mut note });
    for name in fields.written() {
        note(name, &format!("must be left out where auth_method is {}", method.word()));
    }
    authentication
}
