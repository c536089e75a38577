//! Policy: which requests are exposed (R84), and what each requires of its caller and its token.
//!
//! Rules come from the configuration alone. Nothing here knows how a token was verified.

mod condition;
mod host_pattern;
mod pattern;
mod requirement;
mod rules;
mod selection;
mod token_conditions;
mod tree;

#[cfg(test)]
pub(crate) use condition::Scopes;
pub use condition::{Condition, KeyBinding, Peers};
pub use host_pattern::HostPattern;
pub use pattern::PathPattern;
pub use requirement::{Enforcement, Requirement};
pub use rules::{Access, Rule, Rules, is_reflected};
pub use selection::{
    CHECKED_REVISIONS, CallCondition, CallSource, FieldCondition, FieldTest, Selection, TOOLS_CALL,
};
pub(crate) use token_conditions::TokenConditions;
