//! Policy: which requests are exposed (R84), and what each requires of its caller and its token.
//!
//! Rules and requirements come from the configuration alone; nothing here knows how a token was verified.

mod pattern;
mod requirement;
mod rules;
mod tree;

pub use pattern::PathPattern;
pub use requirement::{Condition, Enforcement, Requirement, Test};
pub use rules::{Access, HostPattern, Rule, Rules};
