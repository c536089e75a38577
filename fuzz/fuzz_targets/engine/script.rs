//! Scripts of steps. A step is a letter, followed by characters that select its arguments, where `0` selects the first.
//!
//! ```text
//! r WORKER TOKEN CREDENTIALS PLACE SPOOFED   a request arrives
//! a CALL ANSWER                              the server responds to an open call
//! w CALL                                     a call ends without the host providing the time
//! n WORKER                                   the host will not send the next call
//! c REQUEST                                  the client of a waiting request leaves
//! t WORKER                                   a timer fires
//! s WORKER                                   the host proves that it switches streams
//! + DURATION, - DURATION                     the clock goes on, or back
//! ```

use crate::client::{Credentials, Place, Spoofed};
use crate::server::Answer;

/// One step.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Request {
        worker: usize,
        token: usize,
        credentials: Credentials,
        place: Place,
        spoofed: Spoofed,
    },
    /// The call is an index into the open calls of both workers.
    Respond {
        call: usize,
        answer: Answer,
    },
    EndWithoutTime {
        call: usize,
    },
    RefuseCall {
        worker: usize,
    },
    /// The request is an index into the waiting requests, the oldest first.
    Leave {
        request: usize,
    },
    Tick {
        worker: usize,
    },
    ProveSwitching {
        worker: usize,
    },
    /// In milliseconds.
    Forward(u64),
    Back(u64),
}

impl Step {
    /// Reads a line. Returns `None` if no step begins with its first letter.
    pub fn read(line: &[u8]) -> Option<Self> {
        let number = |place: usize| usize::from(line.get(place).map_or(0, |byte| byte.wrapping_sub(b'0')));
        let worker = number(1) % 2;
        Some(match line.first()? {
            b'r' => Self::Request {
                worker,
                token: number(2),
                credentials: choose(&Credentials::ALL, number(3)),
                place: choose(&Place::ALL, number(4)),
                spoofed: choose(&Spoofed::ALL, number(5)),
            },
            b'a' => Self::Respond { call: number(1), answer: choose(&Answer::ALL, number(2)) },
            b'w' => Self::EndWithoutTime { call: number(1) },
            b'n' => Self::RefuseCall { worker },
            b'c' => Self::Leave { request: number(1) },
            b't' => Self::Tick { worker },
            b's' => Self::ProveSwitching { worker },
            b'+' => Self::Forward(choose(&DURATIONS, number(1))),
            b'-' => Self::Back(choose(&DURATIONS, number(1))),
            _ => return None,
        })
    }
}

fn choose<T: Copy>(all: &[T], number: usize) -> T {
    all[number % all.len()]
}

/// In milliseconds.
const DURATIONS: [u64; 6] = [1, 1_000, 6_000, 25_000, 50_000, 100_000];
