use super::*;

#[test]
fn figures_are_summarised_by_rank() {
    let check = |figures: &[f64], expected: (f64, f64, f64)| {
        let summary = Summary::of(figures.iter().copied()).expect("figures");
        assert_eq!((summary.lower_quartile, summary.median, summary.upper_quartile), expected, "{figures:?}");
    };
    check(&[7.0], (7.0, 7.0, 7.0));
    check(&[4.0, 2.0], (2.5, 3.0, 3.5));
    check(&[5.0, 1.0, 4.0, 2.0, 3.0], (2.0, 3.0, 4.0));
    check(&[1.0, 2.0, 3.0, 4.0, 1e9], (2.0, 3.0, 4.0));
    check(&[-3.0, -1.0, -2.0], (-2.5, -2.0, -1.5));
}

#[test]
fn nothing_has_no_summary_and_neither_has_what_is_no_number() {
    assert_eq!(Summary::of([]), None);
    assert_eq!(Summary::of([1.0, f64::NAN]), None);
}

#[test]
fn the_median_is_known_better_the_more_figures_there_are() {
    // The exact ranks of the sign test are 2 and 9 of 10, and 40 and 61 of 100: never wider than these.
    let confidence = |count: u32| Summary::of((1..=count).map(f64::from)).expect("figures").confidence;
    assert_eq!(confidence(1), (1.0, 1.0));
    assert_eq!(confidence(4), (1.0, 4.0), "few figures say nothing");
    assert_eq!(confidence(10), (1.0, 10.0));
    assert_eq!(confidence(100), (40.0, 61.0));
}

#[test]
fn the_farthest_is_on_either_side() {
    let farthest = |figures: [f64; 3]| Summary::of(figures).expect("figures").farthest();
    assert_eq!(farthest([-3.0, 0.0, 1.0]), 3.0);
    assert_eq!(farthest([-1.0, 0.0, 3.0]), 3.0);
}

#[test]
fn per_mille_are_of_times_that_were() {
    let times: Vec<Duration> = (1..=1000).map(Duration::from_micros).collect();
    for (share, expected) in [(1, 1), (500, 500), (990, 990), (999, 999), (1000, 1000)] {
        assert_eq!(per_mille(&times, share), Duration::from_micros(expected), "{share}");
    }
    let few = [Duration::from_micros(1), Duration::from_micros(9)];
    assert_eq!(per_mille(&few, 500), Duration::from_micros(1));
    assert_eq!(per_mille(&few, 999), Duration::from_micros(9));
    assert_eq!(per_mille(&[], 500), Duration::ZERO);
}
