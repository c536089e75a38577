use std::collections::BTreeSet;

use super::*;
use crate::testing::test;

/// If this failed, two metrics would be one in the host's statistics, or a dashboard would not find one.
#[test]
fn each_metric_has_a_name_of_its_own_and_a_meaning() {
    let all = metrics();
    let names: BTreeSet<&str> = all.iter().map(|metric| metric.name.as_str()).collect();
    assert_eq!(names.len(), all.len());
    assert_eq!(
        all.len(),
        Counter::ALL.len() + Gauge::ALL.len() + Histogram::ALL.len() + 2 * Reason::ALL.len()
    );
    for metric in &all {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'.');
        assert!(metric.name.starts_with(PREFIX) && metric.name.bytes().all(is_plain), "{metric:?}");
        assert!(metric.meaning.ends_with('.') && metric.meaning.len() > 10, "{metric:?}");
    }
}

/// If this failed, an array of metrics by discriminant would count under another's name.
#[test]
fn lists_are_in_the_order_of_discriminants() {
    assert!(Counter::ALL.iter().enumerate().all(|(index, one)| *one as usize == index));
    assert!(Gauge::ALL.iter().enumerate().all(|(index, one)| *one as usize == index));
    assert!(Reason::ALL.iter().enumerate().all(|(index, one)| *one as usize == index));
}
