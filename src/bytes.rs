//! Comparing bytes.

use std::cmp::Ordering;

/// How two texts of the same length compare: the first bytes that differ decide. It takes as many at a time as there are, and the last ones
/// again if they are fewer: what was equal before does not decide.
pub fn compare(left: &[u8], right: &[u8]) -> Ordering {
    if let (Some(left_end), Some(right_end)) = (left.last_chunk::<8>(), right.last_chunk::<8>()) {
        for (left, right) in left.as_chunks().0.iter().zip(right.as_chunks().0) {
            if u64::from_ne_bytes(*left) != u64::from_ne_bytes(*right) {
                return u64::from_be_bytes(*left).cmp(&u64::from_be_bytes(*right));
            }
        }
        return u64::from_be_bytes(*left_end).cmp(&u64::from_be_bytes(*right_end));
    }
    if let (Some(left_start), Some(right_start)) = (left.first_chunk::<4>(), right.first_chunk::<4>())
        && let (Some(left_end), Some(right_end)) = (left.last_chunk::<4>(), right.last_chunk::<4>())
    {
        let word = |start: &[u8; 4], end: &[u8; 4]| {
            u64::from(u32::from_be_bytes(*start)) << 32 | u64::from(u32::from_be_bytes(*end))
        };
        return word(left_start, left_end).cmp(&word(right_start, right_end));
    }
    for (left, right) in left.iter().zip(right) {
        if left != right {
            return left.cmp(right);
        }
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests;
