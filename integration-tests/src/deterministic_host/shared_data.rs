//! The shared data of all VMs.

use std::collections::BTreeMap;

use super::status::Status;

/// The values by their keys, each with its number for compare-and-swap.
#[derive(Default)]
pub(super) struct SharedData {
    values: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    last_cas: u32,
    conflicts: u32,
}

impl SharedData {
    pub(super) fn get(&self, key: &[u8], compares_keys: bool) -> Option<(Vec<u8>, u32)> {
        self.values.get(&known_by(key, compares_keys)).cloned()
    }

    pub(super) fn set(
        &mut self,
        key: &[u8],
        value: &[u8],
        cas: u32,
        compares_keys: bool,
    ) -> Result<(), Status> {
        let key = known_by(key, compares_keys);
        let is_overtaken = match self.values.get(&key) {
            None => !compares_keys && cas != 0,
            Some(_) if compares_keys && cas == 0 => false,
            Some((_, current)) => *current != cas,
        };
        if self.conflicts > 0 {
            self.conflicts -= 1;
            return Err(Status::CasMismatch);
        }
        if is_overtaken {
            return Err(Status::CasMismatch);
        }
        self.last_cas += 1;
        self.values.insert(key, (value.to_vec(), self.last_cas));
        Ok(())
    }

    /// Whether there is no room for a value with this key.
    pub(super) fn is_full(&self, key: &[u8], compares_keys: bool, most: usize) -> bool {
        self.values.len() >= most && !self.values.contains_key(&known_by(key, compares_keys))
    }

    /// Evicts the oldest value.
    pub(super) fn evict(&mut self) {
        let oldest = self.values.iter().min_by_key(|(_, (_, cas))| *cas).map(|(key, _)| key.clone());
        oldest.map(|key| self.values.remove(&key));
    }

    /// Makes the next writes fail as if a concurrent write had preceded each.
    pub(super) fn conflict(&mut self, times: u32) {
        self.conflicts = times;
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}

/// Returns what a host identifies a key by.
fn known_by(key: &[u8], compares_keys: bool) -> Vec<u8> {
    if compares_keys { key.to_vec() } else { crc32fast::hash(key).to_be_bytes().to_vec() }
}
