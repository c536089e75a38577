//! Which of the configured authorization servers.

/// An authorization server, by its place among those that are configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerId(pub(crate) usize);
