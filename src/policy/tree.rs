//! Stores patterns by segment, so that the cost of a lookup depends on the path, not on the number of patterns.

use std::collections::BTreeMap;

use super::pattern::{PathPattern, Segment, split_first};

/// Patterns, each with the indices of its rules. Letter case does not matter here.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    below: Vec<usize>,
    exact: Vec<usize>,
    literals: BTreeMap<Box<str>, Tree>,
    placeholder: Option<Box<Tree>>,
}

impl Tree {
    /// Adds the index of a rule with this pattern, behind those that are present.
    pub(super) fn insert(&mut self, pattern: &PathPattern, place: usize) {
        let mut node = self;
        for segment in pattern.segments() {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.to_ascii_lowercase().into()).or_default(),
                Segment::Placeholder => node.placeholder.get_or_insert_default(),
            };
        }
        if pattern.is_exact() { node.exact.push(place) } else { node.below.push(place) }
    }

    /// Visits the indices of the rules for a path without slashes at its ends, in lower case, the most specific first: at the first segment
    /// where two patterns differ, a literal precedes a placeholder; then the longer pattern comes first, and of equally long ones the exact
    /// one.
    pub(super) fn visit(&self, path: &str, visit: &mut impl FnMut(usize)) {
        #[cfg(test)]
        VISITS.set(VISITS.get().saturating_add(1));
        match split_first(path) {
            Some((segment, rest)) => {
                let children = [self.literals.get(segment), self.placeholder.as_deref()];
                children.into_iter().flatten().for_each(|child| child.visit(rest, visit));
            }
            None => self.exact.iter().copied().for_each(&mut *visit),
        }
        self.below.iter().copied().for_each(visit);
    }
}

#[cfg(test)]
thread_local! {
    /// The number of nodes that were visited.
    pub(super) static VISITS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}
