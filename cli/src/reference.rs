//! Links from findings to their fields in docs/reference.md.

use std::collections::BTreeSet;

use phantom_token_core::{DocumentedField, configuration_fields};

use crate::check::Finding;

/// The anchors of the page.
pub struct Reference {
    anchors: BTreeSet<String>,
}

const PAGE: &str = "docs/reference.md";

impl Reference {
    /// Returns the page of this version.
    pub fn new() -> Self {
        let anchors = configuration_fields().into_iter().map(|field| DocumentedField::anchor(&field.path));
        Self { anchors: anchors.collect() }
    }

    /// Returns the link to a field. If the page does not have the field, since there is none of that name or it is a key in a map, the link
    /// leads to what contains it.
    pub fn of_field(&self, path: &str) -> String {
        self.anchor(path).map_or_else(|| PAGE.to_owned(), |anchor| format!("{PAGE}#{anchor}"))
    }

    /// Returns the links to the blocks that findings concern, each once; `None` if all findings concern whole files.
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
