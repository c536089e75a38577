//! The identity of a context.

/// A context, identified by its VM and the module's number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContextKey {
    pub(super) vm: usize,
    pub(super) context: u32,
}
