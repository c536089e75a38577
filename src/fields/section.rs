//! Sections: objects of the configuration, defined by the lines of their fields.

use super::{Absence, Field, Kind};

/// Defines sections. The type of a field is followed by the meaning of its absence: `= "2s"` for that value, `= {}` for a section of
/// defaults, `= []` for an empty list, `= required` or `= (required "why")` for an error; without any of these, there is no value. A last
/// line `..rest: Rest` adds the fields of another section, as if they were written here.
macro_rules! section {
    ($(
        $(#[doc = $about:literal])+
        $(#[derive($($derived:ident),+)])?
        $visibility:vis struct $section:ident {
            $($(#[doc = $meaning:literal])+ $field:ident: $type:ty $(= $absence:tt)?,)+
            $(..$rest:ident: $rest_type:ident,)?
        }
    )+) => {$(
        $(#[doc = $about])+
        #[derive(Clone, Debug $(, $($derived),+)?)]
        $visibility struct $section {
            $($(#[doc = $meaning])+ $visibility $field: $crate::fields::member!($type $(, $absence)?),)+
            $($visibility $rest: $rest_type,)?
        }

        impl $section {
            pub(crate) const FIELDS: &'static [$crate::fields::Field] = $crate::fields::with_rest!(&[
                $($crate::fields::Field {
                    name: stringify!($field),
                    kind: <$type as $crate::fields::FieldType>::KIND,
                    absence: $crate::fields::absence!($($absence)?),
                    #[cfg(feature = "schema")]
                    meaning: &[$($meaning),+],
                },)+
            ] $(, $rest_type)?);

            #[inline(never)]
            pub(crate) fn of(
                members: &serde_json::Map<String, serde_json::Value>,
                at: $crate::fields::FieldPath<'_>,
                reader: &mut $crate::fields::Reader<'_>,
            ) -> Self {
                Self {
                    $($field: $crate::fields::read_member!(
                        reader, $type, members, stringify!($field), at $(, $absence)?
                    ),)+
                    $($rest: $rest_type::of(members, at, reader),)?
                }
            }
        }

        impl $crate::fields::FieldType for $section {
            type Value = Self;

            const KIND: &'static $crate::fields::Kind = &$crate::fields::Kind::Section(Self::FIELDS);

            fn read(
                written: &serde_json::Value,
                at: $crate::fields::FieldPath<'_>,
                reader: &mut $crate::fields::Reader<'_>,
            ) -> Option<Self> {
                reader.members(written, at, Self::FIELDS).map(|members| Self::of(members, at, reader))
            }

            fn placeholder() -> Self {
                Self::of(
                    &serde_json::Map::new(),
                    $crate::fields::FieldPath::Root,
                    &mut $crate::fields::Reader::default(),
                )
            }
        }
    )+};
}

macro_rules! member {
    ($type:ty) => { Option<<$type as $crate::fields::FieldType>::Value> };
    ($type:ty, $absence:tt) => { <$type as $crate::fields::FieldType>::Value };
}

macro_rules! with_rest {
    ($own:expr) => {
        $own
    };
    ($own:expr, $rest:ident) => {{
        const OWN: &[$crate::fields::Field] = $own;
        &$crate::fields::joined::<{ OWN.len().saturating_add($rest::FIELDS.len()) }>(OWN, $rest::FIELDS)
    }};
}

/// Returns the fields of both lists, `COUNT` in total.
pub(crate) const fn joined<const COUNT: usize>(
    mut own: &'static [Field],
    mut rest: &'static [Field],
) -> [Field; COUNT] {
    const NONE: Field = Field {
        name: "",
        kind: &Kind::Any,
        absence: Absence::Optional,
        #[cfg(feature = "schema")]
        meaning: &[],
    };
    let mut all = [NONE; COUNT];
    let mut free: &mut [Field] = &mut all;
    while let [place, after @ ..] = free {
        let next = if own.is_empty() { &mut rest } else { &mut own };
        if let [field, more @ ..] = *next {
            *place = *field;
            *next = more;
        }
        free = after;
    }
    all
}

macro_rules! absence {
    () => {
        $crate::fields::Absence::Optional
    };
    (required) => {
        $crate::fields::Absence::Required("is required")
    };
    ((required $message:literal)) => {
        $crate::fields::Absence::Required($message)
    };
    ({}) => {
        $crate::fields::Absence::Defaults
    };
    ([]) => {
        $crate::fields::Absence::Defaults
    };
    ($default:literal) => {
        $crate::fields::Absence::Means(|| serde_json::Value::from($default))
    };
}

macro_rules! read_member {
    ($reader:ident, $type:ty, $members:ident, $name:expr, $at:ident) => {
        $reader.optional::<$type>($members, $name, $at)
    };
    ($reader:ident, $type:ty, $members:ident, $name:expr, $at:ident, $absence:tt) => {
        $reader.value::<$type>($members, $name, &$crate::fields::absence!($absence), $at)
    };
}

pub(crate) use {absence, member, read_member, section, with_rest};
