//! The header fields of a request or response, including pseudo-header fields, and their encoding in the ABI.

use std::fmt;

/// Header fields in order. Values are bytes: a value that is not UTF-8 is legal.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HeaderMap(Vec<Field>);

#[derive(Clone, PartialEq, Eq)]
struct Field {
    name: String,
    value: Vec<u8>,
    /// Whether the field is hidden from the filter although it is sent.
    is_hidden: bool,
}

impl HeaderMap {
    pub fn new(fields: &[(&str, &str)]) -> Self {
        fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
    }

    /// Adds a field after the others.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        self.0.push(Field { name: name.to_ascii_lowercase(), value: value.to_vec(), is_hidden: false });
    }

    /// The value of the first field with this name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// The value of the first field with this name as text, empty if it is absent or not UTF-8.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default()
    }

    pub fn count(&self, name: &str) -> usize {
        self.iter().filter(|(own, _)| *own == name).count()
    }

    /// Whether any field with this name, in any letter case, has a value that is not empty.
    pub fn has_value(&self, name: &str) -> bool {
        self.iter().any(|(own, value)| own.eq_ignore_ascii_case(name) && !value.is_empty())
    }

    /// Replaces all fields with this name by one.
    pub fn replace(&mut self, name: &str, value: &[u8]) {
        match self.place(name) {
            Some(place) => {
                self.0[place].value = value.to_vec();
                let mut index = 0;
                self.0.retain(|field| {
                    let stays = !field.is_of(name) || index == place;
                    index += 1;
                    stays
                });
            }
            None => self.push(name, value),
        }
    }

    /// Sets the first field with this name and hides the others, or adds one if there is none.
    pub(super) fn replace_first(&mut self, name: &str, value: &[u8]) {
        match self.place(name) {
            Some(place) => {
                self.0[place].value = value.to_vec();
                let others = self.0.iter_mut().enumerate().filter(|(index, _)| *index != place);
                others.filter(|(_, field)| field.is_of(name)).for_each(|(_, field)| field.is_hidden = true);
            }
            None => self.push(name, value),
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|field| !field.is_of(name));
    }

    /// Hides all fields with this name.
    pub(super) fn hide(&mut self, name: &str) {
        self.0.iter_mut().filter(|field| field.is_of(name)).for_each(|field| field.is_hidden = true);
    }

    /// Returns all fields that are sent, including the hidden ones.
    pub(super) fn sent(&self) -> Self {
        Self(self.0.iter().cloned().map(|field| Field { is_hidden: false, ..field }).collect())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let seen = self.0.iter().filter(|field| !field.is_hidden);
        seen.map(|field| (field.name.as_str(), field.value.as_slice()))
    }

    pub fn len(&self) -> usize {
        self.iter().count()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn pseudo_count(&self) -> usize {
        self.iter().filter(|(name, _)| name.starts_with(':')).count()
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|field| !field.is_hidden && field.is_of(name))
    }

    /// Encodes the first `most` fields as the ABI passes them. Without fields, the result is empty, as in Envoy.
    pub(super) fn encode(&self, most: usize) -> Vec<u8> {
        if self.is_empty() {
            return Vec::new();
        }
        let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        let mut bytes = size(self.len().min(most)).to_vec();
        for (name, value) in self.iter().take(most) {
            bytes.extend_from_slice(&size(name.len()));
            bytes.extend_from_slice(&size(value.len()));
        }
        for (name, value) in self.iter().take(most) {
            for text in [name.as_bytes(), value] {
                bytes.extend_from_slice(text);
                bytes.push(0);
            }
        }
        bytes
    }

    /// Decodes fields that a module passes. Returns `None` if the sizes do not match the data.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let (count, rest) = read_size(bytes)?;
        let (mut sizes, mut data) = rest.split_at_checked(count.checked_mul(8)?)?;
        let mut fields = Self::default();
        for _ in 0..count {
            let (name_size, rest) = read_size(sizes)?;
            let (value_size, rest) = read_size(rest)?;
            sizes = rest;
            let (name, rest) = read_text(data, name_size)?;
            let (value, rest) = read_text(rest, value_size)?;
            data = rest;
            fields.push(std::str::from_utf8(name).ok()?, value);
        }
        data.is_empty().then_some(fields)
    }
}

impl fmt::Debug for HeaderMap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_map()
            .entries(self.iter().map(|(name, value)| (name, String::from_utf8_lossy(value))))
            .finish()
    }
}

impl FromIterator<(String, Vec<u8>)> for HeaderMap {
    fn from_iter<I: IntoIterator<Item = (String, Vec<u8>)>>(fields: I) -> Self {
        let field = |(name, value)| Field { name, value, is_hidden: false };
        Self(fields.into_iter().map(field).collect())
    }
}

impl Field {
    fn is_of(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

fn read_size(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (size, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*size) as usize, rest))
}

fn read_text(bytes: &[u8], size: usize) -> Option<(&[u8], &[u8])> {
    let (text, rest) = bytes.split_at_checked(size)?;
    let (nul, rest) = rest.split_first()?;
    (*nul == 0).then_some((text, rest))
}
