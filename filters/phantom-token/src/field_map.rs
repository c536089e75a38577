//! The serialized header map of the proxy-wasm ABI, little-endian: the number of fields, the sizes of each name and value, then each name
//! and value, each followed by a NUL.

/// Returns the fields, borrowed from the bytes. Data that does not match the sizes ends the list; the host would not write that.
pub(crate) fn fields(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
    let (count, rest) = read_size(bytes).unwrap_or_default();
    let (mut sizes, mut data) = rest.split_at_checked(count.saturating_mul(8)).unwrap_or_default();
    std::iter::from_fn(move || {
        let (name_size, rest) = read_size(sizes)?;
        let (value_size, rest) = read_size(rest)?;
        sizes = rest;
        let (name, rest) = read_text(data, name_size)?;
        let (value, rest) = read_text(rest, value_size)?;
        data = rest;
        Some((name, value))
    })
}

/// Serializes fields.
pub(crate) fn encode<V: AsRef<str>>(fields: &[(&str, V)]) -> Vec<u8> {
    let sizes =
        |(name, value): &(&str, V)| name.len().saturating_add(value.as_ref().len()).saturating_add(10);
    let size = fields.iter().map(sizes).fold(4, usize::saturating_add);
    let mut bytes = Vec::with_capacity(size);
    let mut put_size =
        |size: usize| bytes.extend_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
    put_size(fields.len());
    for (name, value) in fields {
        put_size(name.len());
        put_size(value.as_ref().len());
    }
    for (name, value) in fields {
        for text in [*name, value.as_ref()] {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
        }
    }
    bytes
}

fn read_size(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (size, rest) = bytes.split_first_chunk()?;
    Some((usize::try_from(u32::from_le_bytes(*size)).ok()?, rest))
}

fn read_text(bytes: &[u8], size: usize) -> Option<(&[u8], &[u8])> {
    let (text, rest) = bytes.split_at_checked(size)?;
    let (_nul, rest) = rest.split_first()?;
    Some((text, rest))
}
