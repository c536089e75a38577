//! The data that all VMs share.

use std::collections::BTreeMap;

use super::behaviour::Behaviour;
use super::status::Status;

/// Values by their keys, each with the number that a compare-and-swap wants.
#[derive(Default)]
pub(super) struct SharedData {
    values: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    last_cas: u32,
    conflicts: u32,
}

impl SharedData {
    pub(super) fn get(&self, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        self.values.get(key).cloned()
    }

    pub(super) fn set(
        &mut self,
        key: &[u8],
        value: &[u8],
        cas: u32,
        behaviour: Behaviour,
    ) -> Result<(), Status> {
        let is_overtaken = match (self.values.get(key), behaviour) {
            (None, _) => false,
            (Some(_), Behaviour::Envoy) if cas == 0 => false,
            (Some((_, current)), _) => *current != cas,
        };
        if self.conflicts > 0 {
            self.conflicts -= 1;
            return Err(Status::CasMismatch);
        }
        if is_overtaken {
            return Err(Status::CasMismatch);
        }
        self.last_cas += 1;
        self.values.insert(key.to_vec(), (value.to_vec(), self.last_cas));
        Ok(())
    }

    /// Lets the next writes fail, as if somebody else had written in between.
    pub(super) fn conflict(&mut self, times: u32) {
        self.conflicts = times;
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}
