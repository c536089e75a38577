//! Responses to callouts.
//!
//! The SDK delivers a response to the context that was current when the callout was sent, and drops it if that context is gone.
//! So callouts bypass the SDK, and their responses arrive here, through an export that the packaging step substitutes for the
//! SDK's `proxy_on_http_call_response`.

#![allow(unsafe_code, reason = "an export has a name that the linker keeps")]

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use crate::worker::Worker;

thread_local! {
    /// The workers of this VM, one for each configuration.
    static WORKERS: RefCell<Vec<Weak<Worker>>> = const { RefCell::new(Vec::new()) };
}

/// From now on, this worker gets the answers to its callouts.
pub(crate) fn register(worker: &Rc<Worker>) {
    WORKERS.with_borrow_mut(|workers| {
        workers.retain(|other| other.strong_count() > 0);
        workers.push(Rc::downgrade(worker));
    });
}

/// A callout came to an end. The host numbers the callouts of a VM, whichever configuration sent them.
#[unsafe(no_mangle)]
extern "C" fn phantom_token_on_http_call_response(
    _context: u32,
    id: u32,
    field_count: usize,
    body_size: usize,
    _trailer_count: usize,
) {
    let workers: Vec<Rc<Worker>> =
        WORKERS.with_borrow(|workers| workers.iter().filter_map(Weak::upgrade).collect());
    for worker in workers {
        if worker.on_call_done(id, field_count, body_size) {
            return;
        }
    }
}
