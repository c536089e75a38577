//! Policy: which requests are exposed (R84), and what each requires of its caller and its token.
//!
//! Rules come from the configuration alone. Nothing here knows how a token was verified.

mod condition;
mod pattern;
mod requirement;
mod rules;
mod selection;
mod tree;

pub use condition::{
    AcrValues, AnyScopes, Audience, ClaimCondition, ClaimConditions, Condition, KeyBinding, MaxAge, Peers,
    Scopes, Test,
};
pub use pattern::PathPattern;
pub use requirement::{Enforcement, Requirement};
pub use rules::{Access, HostPattern, Rule, Rules, is_reflected};
pub use selection::{
    CHECKED_REVISIONS, CallCondition, CallSource, FieldCondition, FieldTest, Selection, TOOLS_CALL,
};
