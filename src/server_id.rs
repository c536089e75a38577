//! Identifies one of the configured authorization servers.

/// An authorization server, by its index in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerId(pub(crate) usize);
