//! Responses to callouts.
//!
//! The SDK delivers a response to the context that was current when the callout was sent, and drops it if that context is gone.
//! So callouts bypass the SDK, and their responses arrive here, through an export that the packaging step substitutes for the
//! SDK's `proxy_on_http_call_response`.

#![allow(unsafe_code, reason = "an export has a name that the linker keeps")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use phantom_token_core::CallId;

use crate::worker::Worker;

thread_local! {
    /// The calls in flight, by the host's numbers, which are unique in a VM across configurations.
    static CALLS: RefCell<BTreeMap<u32, InFlight>> = const { RefCell::new(BTreeMap::new()) };
}

struct InFlight {
    worker: Weak<Worker>,
    call: CallId,
    max_response_bytes: usize,
}

/// Registers a call that the host has sent, under the number that the host gave it.
pub(crate) fn expect(number: u32, worker: &Rc<Worker>, call: CallId, max_response_bytes: usize) {
    let worker = Rc::downgrade(worker);
    CALLS.with_borrow_mut(|calls| calls.insert(number, InFlight { worker, call, max_response_bytes }));
}

/// Handles the end of a callout. The counts describe the response; without fields, there is none.
#[unsafe(no_mangle)]
extern "C" fn phantom_token_on_http_call_response(
    _context: u32,
    number: u32,
    field_count: usize,
    body_size: usize,
    _trailer_count: usize,
) {
    let ended = CALLS.with_borrow_mut(|calls| calls.remove(&number));
    let Some(InFlight { worker, call, max_response_bytes }) = ended else { return };
    if let Some(worker) = worker.upgrade() {
        worker.on_call_done(call, max_response_bytes, field_count, body_size);
    }
}
