use super::*;

/// If this failed, the filter in wasm would take one name, token or issuer for another: all its comparisons are made by this.
#[test]
fn r265_bytes_compare_as_slices_do() {
    for length in 0..40 {
        let left: Vec<u8> = (0..length).map(|place| 200_u8.wrapping_add(place)).collect();
        assert_eq!(compare(&left, &left), Ordering::Equal, "{length}");
        for place in 0..left.len() {
            for (change, later) in [(1_u8, 0), (1, 255), (127, 1), (128, 0), (255, 1)] {
                let mut right = left.clone();
                right[place] = right[place].wrapping_add(change);
                right[place + 1..].iter_mut().for_each(|byte| *byte = byte.wrapping_add(later));
                assert_eq!(compare(&left, &right), left.cmp(&right), "{left:?} and {right:?}");
                assert_eq!(compare(&right, &left), right.cmp(&left), "{right:?} and {left:?}");
            }
        }
    }
}
