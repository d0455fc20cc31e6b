//! Who owns which field of a live object: the API server's `managedFields`, read but never written. Pure.
//!
//! A set of fields is a tree of JSON objects whose keys say what they lead to: `f:NAME` a field, `k:{...}` the list element
//! with these key values, `v:VALUE` an element of a set, `.` the node itself. A node without children is an owned leaf.

use serde_json::{Map, Value};

/// A node of the tree.
pub(crate) type Fields = Map<String, Value>;

/// The tree of the fields that `manager` set by server-side apply on the object itself; nothing if it never applied.
pub(crate) fn applied_by<'a>(live: &'a Value, manager: &str) -> Option<&'a Fields> {
    entries(live).find(|entry| is_apply_of(entry, manager)).and_then(|entry| entry.get("fieldsV1")?.as_object())
}

/// The trees of everybody else, with their names.
pub(crate) fn of_others<'a>(live: &'a Value, manager: &str) -> Vec<(&'a str, &'a Fields)> {
    entries(live)
        .filter(|entry| entry.get("manager").and_then(Value::as_str) != Some(manager))
        .filter_map(|entry| Some((entry.get("manager")?.as_str()?, entry.get("fieldsV1")?.as_object()?)))
        .collect()
}

fn entries(live: &Value) -> impl Iterator<Item = &Value> {
    live.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten()
}

fn is_apply_of(entry: &Value, manager: &str) -> bool {
    let is = |key: &str, value: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default() == value;
    is("manager", manager) && is("operation", "Apply") && is("subresource", "")
}

/// The node below `fields` for the field `name`.
pub(crate) fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a Fields> {
    fields.get(&format!("f:{name}"))?.as_object()
}

/// The node below `fields` for the list element that `element` describes.
pub(crate) fn element<'a>(fields: &'a Fields, element: &Value) -> Option<&'a Fields> {
    fields.iter().find_map(|(key, node)| {
        let keys = merge_keys(key)?;
        has_keys(element, &keys).then(|| node.as_object())?
    })
}

/// The key values that a `k:` entry stands for.
pub(crate) fn merge_keys(entry: &str) -> Option<Fields> {
    match serde_json::from_str(entry.strip_prefix("k:")?) {
        Ok(Value::Object(keys)) => Some(keys),
        _ => None,
    }
}

/// The value that a `v:` entry stands for.
pub(crate) fn set_value(entry: &str) -> Option<Value> {
    serde_json::from_str(entry.strip_prefix("v:")?).ok()
}

/// Does the element carry these key values? A key that it leaves out stands for the API server's default.
pub(crate) fn has_keys(element: &Value, keys: &Fields) -> bool {
    keys.iter().all(|(name, value)| match element.get(name) {
        Some(found) => found == value,
        // The only merge key that Kubernetes fills in: the protocol of a port.
        None => name == "protocol" && value == "TCP",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn live() -> Value {
        json!({"metadata": {"managedFields": [
            {"manager": "ragops.dev/core", "operation": "Update", "fieldsV1": {"f:data": {"f:old": {}}}},
            {"manager": "ragops.dev/core", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}},
            {"manager": "ragops.dev/core", "operation": "Apply", "fieldsV1": {"f:data": {"f:a": {}}}},
            {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:data": {"f:b": {}}}},
        ]}})
    }

    #[test]
    fn only_what_the_manager_applied_to_the_object_itself_is_its_own() {
        assert_eq!(
            applied_by(&live(), "ragops.dev/core").cloned().map(Value::Object),
            Some(json!({"f:data": {"f:a": {}}}))
        );
        assert_eq!(applied_by(&live(), "nobody"), None);
        assert_eq!(applied_by(&json!({}), "ragops.dev/core"), None);
    }

    #[test]
    fn the_others_are_named() {
        let live = live();
        let others = of_others(&live, "ragops.dev/core");
        assert_eq!(others.len(), 1);
        assert_eq!(others[0].0, "kubectl-edit");
    }

    #[test]
    fn a_port_without_a_protocol_is_the_one_over_tcp() {
        let fields = json!({"k:{\"containerPort\":8080,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}}});
        let fields = fields.as_object().unwrap();
        assert!(element(fields, &json!({"containerPort": 8080, "name": "http"})).is_some());
        assert!(element(fields, &json!({"containerPort": 8080, "protocol": "UDP"})).is_none());
        assert!(element(fields, &json!({"containerPort": 9090})).is_none());
    }

    #[test]
    fn a_damaged_entry_leads_nowhere() {
        assert_eq!(merge_keys("k:{"), None);
        assert_eq!(merge_keys("f:name"), None);
        assert_eq!(set_value("v:\"x\""), Some(json!("x")));
    }
}
