//! The identity of a context.

/// A context, by the VM that it is in and the number that the module knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContextKey {
    pub(super) vm: usize,
    pub(super) context: u32,
}
