//! The comparison of memory that the compiler calls wherever texts are compared. The C library's takes one byte at a time, and was a tenth of
//! what a cached token costs.

#![allow(unsafe_code, reason = "the compiler calls it by its name, with pointers")]

use std::slice;

use phantom_token_core::compare;

/// `memcmp` of C.
///
/// # Safety
/// So many bytes can be read at both places.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, size: usize) -> i32 {
    if size == 0 {
        return 0;
    }
    // SAFETY: that is what callers of `memcmp` warrant.
    let (left, right) = unsafe { (slice::from_raw_parts(left, size), slice::from_raw_parts(right, size)) };
    compare(left, right) as i32
}
