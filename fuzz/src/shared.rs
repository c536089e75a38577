//! Shared data in memory, which a target may tamper with.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use phantom_token_core::SharedData;

/// Shared data as in Envoy. With `one_key_for_all`, all keys collide, as their checksums may on some hosts.
#[derive(Default)]
pub struct Store {
    /// The values by their keys.
    pub values: RefCell<BTreeMap<String, Vec<u8>>>,
    /// Whether all keys collide.
    pub one_key_for_all: Cell<bool>,
}

impl Store {
    fn key(&self, key: &str) -> String {
        if self.one_key_for_all.get() { String::new() } else { key.to_owned() }
    }
}

impl SharedData for Store {
    fn get(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.values.borrow().get(&self.key(key)).map(|value| (value.clone(), 1))
    }

    fn set(&self, key: &str, value: &[u8], _cas: u32) -> bool {
        self.values.borrow_mut().insert(self.key(key), value.to_vec());
        true
    }
}
