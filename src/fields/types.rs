//! The types of fields: numbers, durations, texts, secrets, lists and maps.

use std::marker::PhantomData;
use std::time::Duration;

use serde_json::{Map, Value};

use super::errors::AWAITED;
use super::kind::Kind;
use super::secret_sources::variable;
use super::{FieldPath, FieldType, Reader, SdsSecret};
use crate::secret::Secret;

/// An integer between `LEAST` and `MOST`.
pub struct Bounded<const LEAST: u64, const MOST: u64>;

/// A duration between `LEAST` and `MOST` milliseconds, as text.
pub struct BoundedDuration<const LEAST: u64, const MOST: u64>;

/// A list that must not be empty if present: an empty one could be taken for "all" or for "none".
pub struct NonEmptyList<T>(PhantomData<T>);

/// A single element, or a list of several.
pub struct OneOrMore<T>(PhantomData<T>);

/// An object whose names the operator chooses: values of type `T` under names of type `N`.
pub struct MapOf<N, T>(PhantomData<(N, T)>);

/// A parameter that may be a secret.
pub struct HiddenText;

/// A JWK Set, as JSON text. It should contain public keys, but may contain others by mistake.
pub struct Jwks;

/// Defines a field type: `bool => bool, Kind::Boolean, false, |written, at, reader| …` gives its value, kind, placeholder and reader.
macro_rules! field_type {
    ($({$($generics:tt)+})? $type:ty => $value:ty, $kind:expr, $placeholder:expr, $read:expr $(,)?) => {
        impl $(<$($generics)+>)? $crate::fields::FieldType for $type {
            type Value = $value;

            const KIND: &'static $crate::fields::Kind = &$kind;

            fn read(
                written: &serde_json::Value,
                at: $crate::fields::FieldPath<'_>,
                reader: &mut $crate::fields::Reader<'_>,
            ) -> Option<Self::Value> {
                let read: $crate::fields::Read<$value> = $read;
                read(written, at, reader)
            }

            fn placeholder() -> Self::Value {
                $placeholder
            }
        }
    };
}

/// Defines field types for text that has to satisfy a rule, a function that returns the error: `Origin = origin`.
macro_rules! texts {
    ($($(#[doc = $about:literal])+ $type:ident = $rule:expr,)+) => {$(
        $(#[doc = $about])+
        pub struct $type;

        $crate::fields::field_type!($type => String, $crate::fields::Kind::Text, String::new(), |written, at, reader| {
            $crate::fields::read_text(written, at, reader, $rule)
        });
    )+};
}

/// Defines field types for secrets: the value itself, `{"env": NAME}` for a variable of the proxy's environment, or `{"sds": {"name":
/// NAME}}` for a secret that Envoy delivers.
macro_rules! secrets {
    ($($(#[doc = $about:literal])+ $type:ident = $rule:expr,)+) => {$(
        $(#[doc = $about])+
        pub struct $type;

        field_type!($type => Secret, Kind::Secret, Secret::default(), |written, at, reader| {
            read_secret(written, at, reader, $rule)
        });
    )+};
}

pub(crate) use {field_type, texts};

/// Reads the value of a field.
pub(crate) type Read<T> = fn(&Value, FieldPath<'_>, &mut Reader<'_>) -> Option<T>;

/// A check of a string. It returns the error, if there is one.
pub(crate) type TextRule = fn(&str) -> Result<(), &'static str>;

texts! {
    /// A string that a header field can carry.
    Visible = visible,
    /// A JSON Pointer (RFC 6901) to a claim other than `exp`, `nbf` and `iat`, which are validated for every token and have no other use.
    Pointer = pointer,
}

secrets! {
    /// A private key, as PEM or JSON: several lines, with or without a line break at the end.
    PrivateKey = |_| Ok(()),
    /// A key of any bytes, for HMAC (RFC 7518 §6.4.1).
    HmacSecret = one_line,
    /// An HMAC key that is long enough to withstand brute force.
    LongSecret = |text| {
        one_line(text).and_then(|()| ensure(text.len() >= 32, "must have at least 32 bytes"))
    },
    /// A client's secret (RFC 6749 Appendix A.2).
    ClientSecret = |text| {
        let is_printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        one_line(text).and_then(|()| ensure(is_printable, "must be visible ASCII or space (RFC 6749 Appendix A.2)"))
    },
    /// A secret that a header field can carry.
    VisibleSecret = |text| one_line(text).and_then(|()| visible(text)),
    /// A secret that a header field can carry after a scheme.
    TokenSecret = |text| {
        let is_graphic = text.bytes().all(|byte| byte.is_ascii_graphic());
        one_line(text).and_then(|()| ensure(is_graphic, "must be visible ASCII without space"))
    },
}

pub(crate) fn ensure(holds: bool, message: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(message) }
}

pub(crate) fn is_pointer(pointer: &str) -> bool {
    let is_escaped = |part: &str| part.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    pointer.len() > 1
        && pointer.starts_with('/')
        && is_escaped(pointer)
        && !["/exp", "/nbf", "/iat"].contains(&pointer)
}

fn visible(text: &str) -> Result<(), &'static str> {
    let is_visible = !text.trim().is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    ensure(is_visible, "must be visible ASCII")
}

/// Checks that a secret does not end with a line break. One created from a file, with `echo` or `kubectl create secret --from-file`, ends
/// with the file's last line break. The server's copy does not, so the server refuses the gateway for no visible reason.
fn one_line(text: &str) -> Result<(), &'static str> {
    ensure(!text.ends_with(['\n', '\r']), "ends with a line break, which is not part of it: remove it")
}

fn pointer(text: &str) -> Result<(), &'static str> {
    ensure(is_pointer(text), "must be a JSON Pointer (RFC 6901), like /sub, to no registered date")
}

/// Reads a text, and checks that it satisfies a rule.
pub(crate) fn read_text(
    written: &Value,
    at: FieldPath<'_>,
    reader: &mut Reader<'_>,
    rule: TextRule,
) -> Option<String> {
    let text = reader.check(at, written.as_str(), "must be a string")?;
    rule(text).map_err(|message| reader.note(at, message)).ok().map(|()| text.to_owned())
}

/// Reads a secret, and checks that it satisfies a rule.
pub(crate) fn read_secret(
    written: &Value,
    at: FieldPath<'_>,
    reader: &mut Reader<'_>,
    rule: TextRule,
) -> Option<Secret> {
    let value = match written {
        Value::String(text) if text.is_empty() => Err("must not be empty"),
        Value::String(text) => Ok(text.clone()),
        Value::Object(reference) => referenced(reference, reader),
        _ => Err(NO_SECRET),
    };
    let value = value.and_then(|value| rule(&value).map(|()| Secret::new(value)));
    value.map_err(|message| reader.note(at, message)).ok()
}

/// Returns the secret that a reference points to.
fn referenced(reference: &Map<String, Value>, reader: &Reader<'_>) -> Result<String, &'static str> {
    if let Some(name) = variable(reference) {
        let message = "names a variable that is unset or empty in the environment of the proxy";
        return reader.sources.variable(name).ok_or(message);
    }
    let secret = SdsSecret::of(reference).ok_or(NO_SECRET)?;
    reader.sources.delivered(&secret)?.ok_or(AWAITED)
}

field_type!(String => Self, Kind::Text, Self::new(), |written, at, reader| {
    read_text(written, at, reader, |_| Ok(()))
});

field_type!(HiddenText => Secret, Kind::HiddenText, Secret::default(), |written, at, reader| {
    String::read(written, at, reader).map(Secret::new)
});

field_type!(bool => Self, Kind::Boolean, false, |written, at, reader| {
    reader.check(at, written.as_bool(), "must be true or false")
});

field_type!(Value => Self, Kind::Any, Self::Null, |written, at, reader| {
    let value = Some(written).filter(|value| !value.is_null());
    reader.check(at, value.cloned(), "must be a value other than null")
});

field_type!(Jwks => Secret, Kind::KeySet, Secret::default(), |written, at, reader| {
    Value::read(written, at, reader).map(|set| Secret::new(set.to_string()))
});

field_type!(
    {const LEAST: u64, const MOST: u64} Bounded<LEAST, MOST> => usize,
    Kind::Number { least: LEAST, most: MOST }, 0,
    |written, at, reader| read_number(written, at, reader, LEAST, MOST),
);

field_type!(
    {const LEAST: u64, const MOST: u64} BoundedDuration<LEAST, MOST> => Duration,
    Kind::Duration { least: LEAST, most: MOST }, Duration::ZERO,
    |written, at, reader| read_duration(written, at, reader, LEAST, MOST),
);

field_type!(
    {T: FieldType} Vec<T> => Vec<T::Value>, Kind::List { element: T::KIND, at_least: 0 }, Vec::new(),
    |written, at, reader| {
        let elements = reader.check(at, written.as_array(), "must be a list, each element of its type")?;
        let elements = elements.iter().enumerate();
        let read = |(index, value)| T::read(value, at.element(index), reader).unwrap_or_else(T::placeholder);
        Some(elements.map(read).collect())
    },
);

field_type!(
    {T: FieldType} NonEmptyList<T> => Vec<T::Value>, Kind::List { element: T::KIND, at_least: 1 }, Vec::new(),
    |written, at, reader| {
        let is_empty = |list: &Vec<Value>| list.is_empty() || list.iter().any(|element| element == "");
        if written.as_array().is_some_and(is_empty) {
            reader.note(at, "must not be empty or have an empty element");
            return None;
        }
        Vec::<T>::read(written, at, reader)
    },
);

field_type!(
    {T: FieldType} OneOrMore<T> => Vec<T::Value>, Kind::OneOrMore(T::KIND), Vec::new(),
    |written, at, reader| match written {
        Value::Array(_) => NonEmptyList::<T>::read(written, at, reader),
        one => T::read(one, at, reader).map(|one| vec![one]),
    },
);

field_type!(
    {N: FieldType<Value = String>, T: FieldType} MapOf<N, T> => Vec<(String, T::Value)>,
    Kind::Map(T::KIND), Vec::new(),
    |written, at, reader| {
        let members = reader.check(at, written.as_object(), "must be an object, each member of its type")?;
        let read = |(name, value): (&String, &Value)| {
            let at = at.field(name);
            let name = N::read(&Value::from(name.as_str()), at, reader)?;
            Some((name, T::read(value, at, reader)?))
        };
        Some(members.iter().filter_map(read).collect())
    },
);

fn read_number(
    written: &Value,
    at: FieldPath<'_>,
    reader: &mut Reader<'_>,
    least: u64,
    most: u64,
) -> Option<usize> {
    let value = reader.check(at, written.as_u64(), "must be a whole number")?;
    let in_range = usize::try_from(value).ok().filter(|_| (least..=most).contains(&value));
    reader.check(at, in_range, &format!("must be between {least} and {most}, got {value}"))
}

fn read_duration(
    written: &Value,
    at: FieldPath<'_>,
    reader: &mut Reader<'_>,
    least: u64,
    most: u64,
) -> Option<Duration> {
    let text = reader.check(at, written.as_str(), "must be a string")?;
    // A long text can make humantime overflow, which is a panic.
    let parsed = Some(text).filter(|text| text.len() <= 16);
    let parsed = parsed.and_then(|text| humantime::parse_duration(text).ok());
    let [least, most] = [least, most].map(Duration::from_millis);
    let in_range = parsed.filter(|value| (least..=most).contains(value));
    if in_range.is_none() {
        let [least, most] = [least, most].map(humantime::format_duration);
        reader.note(at, format!("must be a duration between {least} and {most}, like 2s"));
    }
    in_range
}

const NO_SECRET: &str = r#"must be a string, {"env": NAME} or {"sds": {"name": NAME}}"#;

pub(crate) const KIB: u64 = 1024;
pub(crate) const MIB: u64 = 1024 * KIB;
pub(crate) const SECOND: u64 = 1000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;
pub(crate) const YEAR: u64 = 365 * DAY + 6 * HOUR;
