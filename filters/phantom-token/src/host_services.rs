//! The host's services for the core: its shared data, its randomness and its log.

use log::Level;
use phantom_token_core::{LogSink, Randomness, SharedData, Timestamp};

use crate::host;

/// The services that a VM receives from its host.
pub(crate) struct HostServices;

impl SharedData for HostServices {
    fn get(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        host::shared_data(key).ok()
    }

    fn set(&self, key: &str, value: &[u8], cas: u32) -> bool {
        host::set_shared_data(key, value, cas).is_ok()
    }
}

/// Randomness from WASI.
impl Randomness for HostServices {
    fn bytes(&self) -> Option<[u8; 16]> {
        let mut bytes = [0; 16];
        getrandom::getrandom(&mut bytes).ok().map(|()| bytes)
    }
}

impl LogSink for HostServices {
    fn write(&self, level: Level, line: &str) {
        host::log(level, line);
    }

    fn now(&self) -> Timestamp {
        host::now().unwrap_or(Timestamp::from_millis(0))
    }
}
