//! JSON merge patches (RFC 7396): a fixture is another one with a few members changed.

use serde_json::Value;

/// Merges `edits` into `value`: objects member by member; null removes a member, and anything else replaces it.
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

/// Returns the value with `edits` merged into it.
pub fn merged(value: &Value, edits: Value) -> Value {
    let mut value = value.clone();
    merge(&mut value, edits);
    value
}

/// Returns the first object that satisfies the predicate, at any depth.
pub fn find<'a>(value: &'a Value, is_it: &dyn Fn(&Value) -> bool) -> Option<&'a Value> {
    match value {
        Value::Object(_) if is_it(value) => Some(value),
        Value::Object(members) => members.values().find_map(|member| find(member, is_it)),
        Value::Array(entries) => entries.iter().find_map(|entry| find(entry, is_it)),
        _ => None,
    }
}
