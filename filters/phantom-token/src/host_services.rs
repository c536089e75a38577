//! The host's services for the core: its shared data, its randomness and its log.

use std::rc::Rc;

use log::Level;
use phantom_token_core::{DecisionLog, LogSink, Randomness, SharedData, Timestamp};

use crate::host;

/// The host's shared data, and the log of what it does not keep.
pub(crate) struct HostSharedData(pub(crate) Rc<DecisionLog>);

impl SharedData for HostSharedData {
    fn get(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        host::shared_data(key).ok()
    }

    fn set(&self, key: &str, value: &[u8], cas: u32) -> bool {
        let result = host::set_shared_data(key, value, cas);
        if let Err(refused) = result {
            self.0.log(
                Level::Debug,
                format_args!("the host did not store an entry in its shared data: {refused:?}"),
            );
        }
        result.is_ok()
    }
}

/// The host's randomness, by WASI.
pub(crate) struct HostRandomness;

impl Randomness for HostRandomness {
    fn bytes(&self) -> Option<[u8; 16]> {
        let mut bytes = [0; 16];
        getrandom::getrandom(&mut bytes).ok().map(|()| bytes)
    }
}

/// The host's log.
pub(crate) struct HostLog;

impl LogSink for HostLog {
    fn write(&self, level: Level, line: &str) {
        host::log(level, line);
    }

    fn now(&self) -> Timestamp {
        host::now().unwrap_or(Timestamp::from_millis(0))
    }
}
