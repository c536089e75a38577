use super::*;
use crate::testing::test;

/// If this failed, an operator would look up a reason that the gateway gave and find nothing, or find a reason that no longer exists.
#[test]
fn the_page_of_troubles_has_a_section_for_each_reason_and_for_no_other() {
    let sections = sections_of(TROUBLESHOOTING, "Reasons");
    let titles: Vec<&str> = sections.iter().map(|(title, _)| *title).collect();
    let names: Vec<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(titles, names);
    for (reason, (name, section)) in Reason::ALL.iter().zip(sections) {
        let Row { status, description, .. } = reason.row();
        let first = format!("{status}: {description}.\n");
        assert!(section.starts_with(&first), "{name}: expected {first:?}: {section}");
        assert!(section.len() > first.len() + 80, "{name}: nothing is told of it");
    }
}

/// The chapters of a page's part, each with its title.
fn sections_of<'p>(page: &'p str, part: &str) -> Vec<(&'p str, &'p str)> {
    let (_, part) = page.split_once(&format!("\n## {part}\n")).expect("the part");
    let part = part.split("\n## ").next().unwrap_or_default();
    let sections = part.split("\n### ").skip(1);
    sections.map(|section| section.split_once("\n\n").expect("a title and a text")).collect()
}

const TROUBLESHOOTING: &str = include_str!("../../../docs/troubleshooting.md");
