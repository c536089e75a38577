//! Edits of JSON (RFC 7396): a fixture is another one with a few members changed.

use serde_json::Value;

/// Merges `edits` into `value`: objects member by member, null removes one, and all else replaces what was there.
pub fn merge(value: &mut Value, edits: Value) {
    let (Value::Object(members), Value::Object(edits)) = (value, edits) else { return };
    for (name, edit) in edits {
        match members.get_mut(&name) {
            _ if edit.is_null() => drop(members.remove(&name)),
            Some(old) if old.is_object() && edit.is_object() => merge(old, edit),
            _ => drop(members.insert(name, edit)),
        }
    }
}

/// This value with `edits` merged into it.
pub fn merged(value: &Value, edits: Value) -> Value {
    let mut value = value.clone();
    merge(&mut value, edits);
    value
}
