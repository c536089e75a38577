//! How objects are defined: by their fields, each with what it means, its type, and what its absence means.

/// Defines objects. The names that are left over are `unknown`.
macro_rules! objects {
    ($(
        $(#[doc = $about:literal])+
        struct $object:ident {
            $($(#[doc = $meaning:literal])+ $field:ident: $shape:ty $(= $absence:tt)?,)+
        }
    )+) => {
        $(
            $(#[doc = $about])+
            pub(in crate::config) struct $object {
                $($(#[doc = $meaning])+ pub(in crate::config) $field: Field<$shape>,)+
                /// Names of none of these.
                pub(in crate::config) unknown: Vec<String>,
            }

            impl $object {
                #[inline(never)]
                fn of(mut members: Map<String, Value>) -> Self {
                    Self {
                        $($field: Field::read(members.remove(stringify!($field)), absence!($($absence)?)),)+
                        unknown: members.into_iter().map(|(name, _)| name).collect(),
                    }
                }
            }

            impl Default for $object {
                fn default() -> Self {
                    Self::of(Map::new())
                }
            }

            impl Shape for $object {
                const WHAT: &'static str = "an object";

                fn read(value: Value) -> Option<Self> {
                    if let Value::Object(members) = value { Some(Self::of(members)) } else { None }
                }
            }

            #[cfg(feature = "schema")]
            impl Described for $object {
                fn description() -> Description {
                    schema::object(vec![
                        $((
                            stringify!($field),
                            &[$($meaning),+],
                            <$shape as Described>::description(),
                            absence!($($absence)?),
                        ),)+
                    ])
                }
            }
        )+
    };
}

macro_rules! absence {
    () => {
        Absence::Allowed
    };
    (required) => {
        Absence::Refused
    };
    ($default:literal) => {
        Absence::Means(Value::from($default))
    };
}

pub(super) use {absence, objects};
