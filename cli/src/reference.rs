//! Where docs/reference.md describes what a finding is about.

use std::collections::BTreeSet;

use phantom_token_core::{DocumentedField, configuration_fields};

use crate::check::Finding;

/// The page, and its anchors.
pub struct Reference {
    anchors: BTreeSet<String>,
}

const PAGE: &str = "docs/reference.md";

impl Reference {
    /// The page of this version.
    pub fn new() -> Self {
        let anchors = configuration_fields().into_iter().map(|field| DocumentedField::anchor(&field.path));
        Self { anchors: anchors.collect() }
    }

    /// The link to a field, or to what it is in where the page does not have it: a name that is not a field, or one in a map.
    pub fn of_field(&self, path: &str) -> String {
        self.anchor(path).map_or_else(|| PAGE.to_owned(), |anchor| format!("{PAGE}#{anchor}"))
    }

    /// The links to the blocks that these are about, each once; none if they are about whole files.
    pub fn of_blocks<'a>(&self, findings: impl Iterator<Item = &'a Finding>) -> Option<String> {
        let mut anchors = Vec::new();
        for finding in findings {
            let block = finding.path.split('.').next().and_then(|block| self.anchor(block));
            anchors.extend(block.filter(|block| !anchors.contains(block)));
        }
        (!anchors.is_empty()).then(|| format!("{PAGE}#{}", anchors.join(", #")))
    }

    fn anchor(&self, path: &str) -> Option<String> {
        let anchor = DocumentedField::anchor(path);
        if self.anchors.contains(&anchor) {
            return Some(anchor);
        }
        self.anchor(path.rsplit_once('.')?.0)
    }
}
