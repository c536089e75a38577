//! Fields whose values are words of a closed list.

/// The value of a word of a closed list.
pub(crate) trait Keyword: Copy + PartialEq + 'static {
    /// The words.
    const WORDS: &'static [&'static str];

    /// The values of the words, in the same order.
    const VALUES: &'static [Self];

    /// Returns the value of a word.
    fn of(word: &str) -> Option<Self> {
        let position = Self::WORDS.iter().position(|own| *own == word)?;
        Self::VALUES.get(position).copied()
    }

    /// Returns the word of this value.
    fn word(self) -> &'static str {
        let position = Self::VALUES.iter().position(|value| *value == self);
        position.and_then(|position| Self::WORDS.get(position)).copied().unwrap_or_default()
    }
}

/// Defines field types for enums: `Encoding { Plain = "plain" or Base64Url = "base64url" }`.
macro_rules! keywords {
    ($($type:ident {
        $first:ident = $first_word:literal $(, $other:ident = $other_word:literal)* or $last:ident = $last_word:literal
    })+) => {
        $($crate::fields::keywords!(
            @type $type,
            concat!("must be ", $first_word, $(", ", $other_word,)* " or ", $last_word),
            $first = $first_word $(, $other = $other_word)*, $last = $last_word
        );)+
    };
    (@type $type:ident, $message:expr, $first:ident = $first_word:literal $(, $other:ident = $word:literal)*) => {
        impl $crate::fields::Keyword for $type {
            const WORDS: &'static [&'static str] = &[$first_word $(, $word)*];
            const VALUES: &'static [Self] = &[Self::$first $(, Self::$other)*];
        }

        $crate::fields::field_type!(
            $type => Self,
            $crate::fields::Kind::Words(<Self as $crate::fields::Keyword>::WORDS),
            Self::$first,
            |written, at, reader| {
                let value = written.as_str().and_then(<Self as $crate::fields::Keyword>::of);
                reader.check(at, value, $message)
            },
        );
    };
}

pub(crate) use keywords;
