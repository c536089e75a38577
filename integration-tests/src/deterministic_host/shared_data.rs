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
    pub(super) fn get(&self, key: &[u8], behaviour: Behaviour) -> Option<(Vec<u8>, u32)> {
        self.values.get(&known_by(key, behaviour)).cloned()
    }

    pub(super) fn set(
        &mut self,
        key: &[u8],
        value: &[u8],
        cas: u32,
        behaviour: Behaviour,
    ) -> Result<(), Status> {
        let key = known_by(key, behaviour);
        let is_overtaken = match (self.values.get(&key), behaviour) {
            (None, Behaviour::Envoy) => false,
            (None, Behaviour::NgxWasm) => cas != 0,
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
        self.values.insert(key, (value.to_vec(), self.last_cas));
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

/// What a host tells a key from others by.
fn known_by(key: &[u8], behaviour: Behaviour) -> Vec<u8> {
    match behaviour {
        Behaviour::Envoy => key.to_vec(),
        Behaviour::NgxWasm => crc32fast::hash(key).to_be_bytes().to_vec(),
    }
}
