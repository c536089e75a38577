//! Comparing bytes.

use std::cmp::Ordering;

/// How two texts of the same length compare: the first bytes that differ decide. Mostly these are the very first; behind them, it takes eight at
/// a time, as long as there are so many.
#[inline]
pub fn compare(left: &[u8], right: &[u8]) -> Ordering {
    if let ([left, ..], [right, ..]) = (left, right)
        && left != right
    {
        return left.cmp(right);
    }
    let ((left, left_rest), (right, right_rest)) = (left.as_chunks::<8>(), right.as_chunks::<8>());
    for (left, right) in left.iter().zip(right) {
        if u64::from_ne_bytes(*left) != u64::from_ne_bytes(*right) {
            return u64::from_be_bytes(*left).cmp(&u64::from_be_bytes(*right));
        }
    }
    for (left, right) in left_rest.iter().zip(right_rest) {
        if left != right {
            return left.cmp(right);
        }
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests;
