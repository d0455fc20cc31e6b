//! Where a live object differs from the one that is wanted. Pure.
//!
//! Only two things count: a wanted leaf that the live object lacks or holds otherwise, and a leaf that we own and no longer
//! want. Everything else in the live object (defaults, other people's labels, sidecars, replica counts) is not ours to judge.
//! Nothing found means that no request is made at all.

use std::fmt;

use serde_json::{Map, Value};

use super::fields::{self, Fields};
use crate::quantity;

/// One place where the live object is not what is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Difference {
    /// Where, as a person would write it: `spec.template.spec.containers[name=server].image`.
    pub path: String,
    /// In which way.
    pub cause: Cause,
}

/// In which way a leaf is not what is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Nobody took it away from us: the plan changed, or the field is gone.
    Ours,
    /// Another field manager set it to something else.
    SetBy(String),
    /// We own it and the plan no longer has it.
    Surplus,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::SetBy(manager) => write!(f, "{} (set by {manager})", self.path),
            Cause::Ours | Cause::Surplus => f.write_str(&self.path),
        }
    }
}

/// Every difference between `wanted`, which `manager` applies, and `live`, which carries its `managedFields`.
pub fn drift(wanted: &Value, live: &Value, manager: &str) -> Vec<Difference> {
    let ours = fields::applied_by(live, manager);
    let mut walk = Walk::default();
    walk.value(wanted, Some(live), &Owners { ours, others: fields::of_others(live, manager) });
    if let Some(ours) = ours {
        walk.surplus(ours, Some(wanted));
    }
    // The order of the keys of a JSON object depends on what else is linked; that of an event's sentence must not.
    walk.found.sort_by(|a, b| a.path.cmp(&b.path));
    walk.found
}

/// Who owns the node that the walk stands on.
#[derive(Clone)]
struct Owners<'a> {
    ours: Option<&'a Fields>,
    others: Vec<(&'a str, &'a Fields)>,
}

impl<'a> Owners<'a> {
    /// An owned leaf covers all that is below it: atomic maps and lists are owned as a whole.
    fn below(&self, step: impl Fn(&'a Fields) -> Option<&'a Fields>) -> Self {
        let descend = |node: &'a Fields| if node.is_empty() { Some(node) } else { step(node) };
        Self {
            ours: self.ours.and_then(descend),
            others: self.others.iter().filter_map(|(name, node)| Some((*name, descend(node)?))).collect(),
        }
    }

    fn field(&self, name: &str) -> Self {
        self.below(|node| fields::field(node, name))
    }

    fn element(&self, element: &Value) -> Self {
        self.below(|node| fields::element(node, element))
    }

    /// An atomic map or list that somebody else took over as a whole.
    fn is_taken_over(&self) -> bool {
        self.ours.is_none() && self.others.iter().any(|(_, node)| node.is_empty())
    }

    fn cause(&self) -> Cause {
        self.others.first().map_or(Cause::Ours, |(name, _)| Cause::SetBy((*name).to_owned()))
    }
}

/// How the elements of a list are told apart.
enum ListKind {
    Keyed(Vec<String>),
    Set,
    Atomic,
}

#[derive(Default)]
struct Walk {
    path: Vec<String>,
    found: Vec<Difference>,
}

impl Walk {
    fn value(&mut self, wanted: &Value, live: Option<&Value>, owners: &Owners<'_>) {
        match (wanted, live) {
            (Value::Null, _) => {}
            (_, None | Some(Value::Null)) => {
                // The API server drops zero values of optional fields, and still counts them as ours.
                if !(is_zero(wanted) && owners.ours.is_some()) {
                    self.report(owners.cause());
                }
            }
            (Value::Object(wanted), Some(Value::Object(live))) => self.object(wanted, live, owners),
            (Value::Array(wanted), Some(Value::Array(live))) => self.list(wanted, live, owners),
            (_, Some(live)) => {
                if !self.is_same(wanted, live) {
                    self.report(owners.cause());
                }
            }
        }
    }

    fn object(&mut self, wanted: &Map<String, Value>, live: &Map<String, Value>, owners: &Owners<'_>) {
        if owners.is_taken_over() && live.keys().any(|name| !wanted.contains_key(name)) {
            return self.report(owners.cause());
        }
        for (name, value) in wanted {
            if self.is_identity(name) {
                continue;
            }
            let owners = owners.field(name);
            self.at(name.clone(), |walk| walk.value(value, live.get(name), &owners));
        }
    }

    fn list(&mut self, wanted: &[Value], live: &[Value], owners: &Owners<'_>) {
        match self.list_kind(wanted, owners) {
            ListKind::Keyed(keys) => {
                for element in wanted {
                    let found = live.iter().find(|candidate| keys.iter().all(|key| same_key(element, candidate, key)));
                    let owners = owners.element(element);
                    self.at(element_name(element, &keys), |walk| walk.value(element, found, &owners));
                }
            }
            ListKind::Set => {
                for element in wanted.iter().filter(|element| !live.contains(element)) {
                    self.at(format!("[={element}]"), |walk| walk.report(owners.cause()));
                }
            }
            ListKind::Atomic if wanted.len() != live.len() => self.report(owners.cause()),
            ListKind::Atomic => {
                for (index, (element, found)) in wanted.iter().zip(live).enumerate() {
                    self.at(format!("[{index}]"), |walk| walk.value(element, Some(found), owners));
                }
            }
        }
    }

    /// The API server's record says what kind of list it is; only a list that nobody owns yet has to be guessed by its name.
    fn list_kind(&self, wanted: &[Value], owners: &Owners<'_>) -> ListKind {
        let known = owners.ours.into_iter().chain(owners.others.iter().map(|(_, node)| *node));
        for node in known {
            if let Some(keys) = node.keys().find_map(|entry| fields::merge_keys(entry)) {
                return ListKind::Keyed(keys.into_iter().map(|(name, _)| name).collect());
            }
            if node.keys().any(|entry| entry.starts_with("v:")) {
                return ListKind::Set;
            }
            if node.is_empty() {
                return ListKind::Atomic;
            }
        }
        let name = self.path.last().map_or("", String::as_str);
        guessed_keys(name, wanted.first()).map_or(ListKind::Atomic, ListKind::Keyed)
    }

    /// Leaves that we own and `wanted` no longer has.
    fn surplus(&mut self, owned: &Fields, wanted: Option<&Value>) {
        for (entry, below) in owned {
            if let Some(name) = entry.strip_prefix("f:") {
                self.surplus_at(name.to_owned(), below, wanted.and_then(|value| value.get(name)));
            } else if let Some(keys) = fields::merge_keys(entry) {
                let elements = wanted.and_then(Value::as_array).into_iter().flatten();
                let found = elements.into_iter().find(|element| fields::has_keys(element, &keys));
                let names: Vec<_> = keys.keys().cloned().collect();
                self.surplus_at(element_name(&Value::Object(keys), &names), below, found);
            } else if let Some(value) = fields::set_value(entry) {
                let found = wanted.and_then(Value::as_array).is_some_and(|values| values.contains(&value));
                if !found {
                    self.at(format!("[={value}]"), |walk| walk.report(Cause::Surplus));
                }
            }
        }
    }

    fn surplus_at(&mut self, name: String, below: &Value, wanted: Option<&Value>) {
        self.at(name, |walk| match wanted {
            None | Some(Value::Null) => walk.report(Cause::Surplus),
            Some(_) => {
                if let Some(below) = below.as_object() {
                    walk.surplus(below, wanted);
                }
            }
        });
    }

    fn at(&mut self, name: String, visit: impl FnOnce(&mut Self)) {
        self.path.push(name);
        visit(self);
        self.path.pop();
    }

    fn report(&mut self, cause: Cause) {
        let mut path = String::new();
        for name in &self.path {
            if !path.is_empty() && !name.starts_with('[') {
                path.push('.');
            }
            path.push_str(name);
        }
        self.found.push(Difference { path, cause });
    }

    /// What names the object is equal by construction, and never stands in `managedFields`.
    fn is_identity(&self, name: &str) -> bool {
        match self.path.as_slice() {
            [] => matches!(name, "apiVersion" | "kind"),
            [root] if root == "metadata" => matches!(name, "name" | "namespace"),
            _ => false,
        }
    }

    fn is_same(&self, wanted: &Value, live: &Value) -> bool {
        match (wanted, live) {
            (Value::Number(wanted), Value::Number(live)) => wanted == live || wanted.as_f64() == live.as_f64(),
            (Value::String(wanted), Value::String(live)) if self.is_quantity() => {
                wanted == live
                    || matches!((quantity::nanos(wanted), quantity::nanos(live)), (Some(a), Some(b)) if a == b)
            }
            _ => wanted == live,
        }
    }

    fn is_quantity(&self) -> bool {
        match self.path.as_slice() {
            [.., parent, _] if matches!(parent.as_str(), "requests" | "limits") => true,
            [.., leaf] => matches!(leaf.as_str(), "tolerance" | "sizeLimit" | "averageValue"),
            [] => false,
        }
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.values().all(is_zero),
    }
}

fn same_key(wanted: &Value, live: &Value, key: &str) -> bool {
    match wanted.get(key) {
        Some(value) => live.get(key) == Some(value),
        None => key == "protocol" && live.get(key).is_none_or(|protocol| protocol == "TCP"),
    }
}

fn element_name(element: &Value, keys: &[String]) -> String {
    let shown: Vec<String> = keys
        .iter()
        .filter_map(|key| match element.get(key)? {
            Value::String(text) => Some(format!("{key}={text}")),
            value => Some(format!("{key}={value}")),
        })
        .collect();
    format!("[{}]", shown.join(","))
}

/// The merge keys of the lists that our children have, by the name of the list.
fn guessed_keys(list: &str, element: Option<&Value>) -> Option<Vec<String>> {
    let has = |key: &str| element.is_some_and(|element| element.get(key).is_some());
    let keys: &[&str] = match list {
        "containers" | "initContainers" | "volumes" | "env" | "imagePullSecrets" => &["name"],
        "volumeMounts" => &["mountPath"],
        "ports" if has("containerPort") => &["containerPort", "protocol"],
        "ports" if has("targetPort") => &["port", "protocol"],
        "topologySpreadConstraints" => &["topologyKey", "whenUnsatisfiable"],
        "ownerReferences" => &["uid"],
        _ => return None,
    };
    Some(keys.iter().map(|key| (*key).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
    use serde_json::json;

    use super::*;

    const CORE: &str = "ragops.dev/core";

    /// A live object that we applied, as the API server would keep it.
    fn live(mut object: Value, fields: Value, others: &[(&str, Value)]) -> Value {
        let mut entries = vec![json!({"manager": CORE, "operation": "Apply", "fieldsV1": fields})];
        entries.extend(
            others.iter().map(|(name, fields)| json!({"manager": name, "operation": "Update", "fieldsV1": fields})),
        );
        object["metadata"] = json!({"managedFields": entries});
        object
    }

    fn paths(found: &[Difference]) -> Vec<String> {
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_object_that_holds_what_is_wanted_has_no_drift() {
        let wanted =
            json!({"kind": "Deployment", "metadata": {"name": "a"}, "spec": {"paused": false, "minReadySeconds": 5}});
        let mut live = live(
            json!({"spec": {"minReadySeconds": 5, "replicas": 7, "strategy": {"type": "RollingUpdate"}}}),
            json!({"f:spec": {"f:paused": {}, "f:minReadySeconds": {}}}),
            &[],
        );
        live["metadata"]["name"] = json!("a");
        assert_eq!(drift(&wanted, &live, CORE), []);
    }

    #[test]
    fn a_changed_field_names_who_changed_it() {
        let wanted = json!({"spec": {"template": {"spec": {"containers": [{"name": "server", "image": "a:1"}]}}}});
        let live = live(
            json!({"spec": {"template": {"spec": {"containers": [{"name": "sidecar"}, {"name": "server", "image": "a:2"}]}}}}),
            json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"server\"}": {".": {}, "f:name": {}}}}}}}),
            &[(
                "kubectl-edit",
                json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"server\"}": {"f:image": {}}}}}}}),
            )],
        );
        assert_eq!(
            paths(&drift(&wanted, &live, CORE)),
            ["spec.template.spec.containers[name=server].image (set by kubectl-edit)"]
        );
    }

    #[test]
    fn a_changed_plan_is_nobody_elses_doing() {
        let wanted = json!({"spec": {"minReadySeconds": 6}});
        let live = live(json!({"spec": {"minReadySeconds": 5}}), json!({"f:spec": {"f:minReadySeconds": {}}}), &[]);
        assert_eq!(
            drift(&wanted, &live, CORE),
            [Difference { path: "spec.minReadySeconds".into(), cause: Cause::Ours }]
        );
    }

    #[test]
    fn what_others_add_is_not_drift() {
        let wanted = json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "server"}]}});
        let mut live = live(
            json!({"spec": {"containers": [{"name": "server", "terminationMessagePath": "/dev/log"}, {"name": "mesh"}]}}),
            json!({"f:metadata": {"f:labels": {"f:app": {}}}, "f:spec": {"f:containers": {"k:{\"name\":\"server\"}": {".": {}, "f:name": {}}}}}),
            &[("mesh", json!({"f:spec": {"f:containers": {"k:{\"name\":\"mesh\"}": {".": {}, "f:name": {}}}}}))],
        );
        live["metadata"]["labels"] = json!({"app": "a", "team": "blue"});
        assert_eq!(drift(&wanted, &live, CORE), []);
    }

    #[test]
    fn a_leaf_that_we_own_and_no_longer_want_is_drift() {
        let owned = json!({"f:spec": {
            "f:nodeSelector": {"f:disk": {}},
            "f:finalizers": {"v:\"a\"": {}, "v:\"b\"": {}},
            "f:containers": {
                "k:{\"name\":\"old\"}": {".": {}, "f:name": {}},
                "k:{\"name\":\"server\"}": {".": {}, "f:name": {}, "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}},
            },
        }});
        let wanted = json!({"spec": {"finalizers": ["a"], "containers": [{"name": "server", "ports": [{"containerPort": 80}]}]}});
        let live = live(
            json!({"spec": {"nodeSelector": {"disk": "ssd"}, "finalizers": ["a", "b"], "containers": [
                {"name": "old"}, {"name": "server", "ports": [{"containerPort": 80, "protocol": "TCP"}]},
            ]}}),
            owned,
            &[],
        );
        assert_eq!(
            paths(&drift(&wanted, &live, CORE)),
            ["spec.containers[name=old]", "spec.finalizers[=\"b\"]", "spec.nodeSelector"]
        );
    }

    #[test]
    fn quantities_are_compared_by_value_and_only_where_they_are_quantities() {
        let wanted = json!({"spec": {
            "behavior": {"scaleDown": {"tolerance": "0.572"}},
            "resources": {"requests": {"cpu": "0.25", "memory": "1Gi"}},
            "value": "1",
        }});
        let mut held = json!({"spec": {
            "behavior": {"scaleDown": {"tolerance": "572m"}},
            "resources": {"requests": {"cpu": "250m", "memory": "1024Mi"}},
            "value": "1000m",
        }});
        assert_eq!(paths(&drift(&wanted, &held, CORE)), ["spec.value"]);
        held["spec"]["value"] = json!("1");
        held["spec"]["behavior"]["scaleDown"]["tolerance"] = json!("571m");
        assert_eq!(paths(&drift(&wanted, &held, CORE)), ["spec.behavior.scaleDown.tolerance"]);
    }

    #[test]
    fn an_atomic_list_is_compared_as_a_whole() {
        let fields = || json!({"f:spec": {"f:args": {}}});
        let wanted = json!({"spec": {"args": ["serve", "--config"]}});
        let same = live(json!({"spec": {"args": ["serve", "--config"]}}), fields(), &[]);
        let longer = live(json!({"spec": {"args": ["serve", "--config", "x"]}}), fields(), &[]);
        let swapped = live(json!({"spec": {"args": ["--config", "serve"]}}), fields(), &[]);
        assert_eq!(drift(&wanted, &same, CORE), []);
        assert_eq!(paths(&drift(&wanted, &longer, CORE)), ["spec.args"]);
        assert_eq!(paths(&drift(&wanted, &swapped, CORE)), ["spec.args[0]", "spec.args[1]"]);
    }

    #[test]
    fn an_atomic_map_that_somebody_widened_is_drift() {
        let wanted = json!({"spec": {"podSelector": {"matchLabels": {"app": "a"}}}});
        let held = json!({"spec": {"podSelector": {"matchLabels": {"app": "a", "never": "matches"}}}});
        let taken = live(
            held,
            json!({"f:spec": {"f:policyTypes": {}}}),
            &[("kubectl-edit", json!({"f:spec": {"f:podSelector": {}}}))],
        );
        let found = drift(&wanted, &taken, CORE);
        assert!(paths(&found).contains(&"spec.podSelector.matchLabels (set by kubectl-edit)".to_owned()), "{found:?}");
    }

    #[test]
    fn a_zero_value_may_be_absent_only_while_it_is_ours() {
        let wanted = json!({"spec": {"automount": false, "emptyDir": {}}});
        let ours = live(json!({"spec": {}}), json!({"f:spec": {"f:automount": {}, "f:emptyDir": {}}}), &[]);
        let taken = live(json!({"spec": {}}), json!({"f:spec": {".": {}}}), &[]);
        assert_eq!(drift(&wanted, &ours, CORE), []);
        assert_eq!(paths(&drift(&wanted, &taken, CORE)), ["spec.automount", "spec.emptyDir"]);
    }

    #[test]
    fn ports_of_two_protocols_are_told_apart() {
        let wanted = json!({"spec": {"ports": [{"port": 53, "protocol": "UDP", "targetPort": 53}, {"port": 53, "targetPort": 54}]}});
        let live = json!({"spec": {"ports": [
            {"port": 53, "protocol": "TCP", "targetPort": 54}, {"port": 53, "protocol": "UDP", "targetPort": 99},
        ]}});
        assert_eq!(paths(&drift(&wanted, &live, CORE)), ["spec.ports[port=53,protocol=UDP].targetPort"]);
    }

    fn scalar() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-z]{1,5}".prop_map(Value::from)
        ]
    }

    /// Objects as builders make them: maps and atomic lists, without nulls.
    fn document() -> impl Strategy<Value = Value> {
        let tree = scalar().prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                vec(scalar(), 1..4).prop_map(Value::from),
                btree_map("[a-z]{1,4}", inner, 1..5).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        });
        btree_map("[a-z]{1,4}", tree, 1..5).prop_map(|map| json!({"spec": map}))
    }

    /// The ownership that the API server records for an applied document.
    fn ownership(value: &Value) -> Value {
        match value {
            Value::Object(map) => map.iter().map(|(name, below)| (format!("f:{name}"), ownership(below))).collect(),
            _ => json!({}),
        }
    }

    fn leaves(value: &Value, at: &mut Vec<String>, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                for (name, below) in map {
                    at.push(name.clone());
                    leaves(below, at, found);
                    at.pop();
                }
            }
            _ => found.push(format!("/{}", at.join("/"))),
        }
    }

    proptest! {
        #[test]
        fn what_was_just_applied_has_no_drift(wanted in document()) {
            let applied = live(wanted.clone(), ownership(&wanted), &[]);
            prop_assert_eq!(drift(&wanted, &applied, CORE), []);
        }

        #[test]
        fn additions_of_others_are_never_drift(wanted in document(), added in document()) {
            let mut held = wanted.clone();
            held["other"] = added.clone();
            let applied = live(held, ownership(&wanted), &[("other", ownership(&json!({"other": added})))]);
            prop_assert_eq!(drift(&wanted, &applied, CORE), []);
        }

        #[test]
        fn every_changed_leaf_is_found_and_no_other(wanted in document(), seed in any::<prop::sample::Index>()) {
            let mut all = Vec::new();
            leaves(&wanted, &mut Vec::new(), &mut all);
            let pointer = seed.get(&all);
            let mut held = wanted.clone();
            *held.pointer_mut(pointer).unwrap() = json!({"edited": "by hand"});
            let found = drift(&wanted, &live(held, ownership(&wanted), &[]), CORE);
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(format!("/{}", found[0].path.replace('.', "/")), pointer.clone());
        }

        #[test]
        fn dropping_a_leaf_from_the_plan_is_drift(before in document(), seed in any::<prop::sample::Index>()) {
            let mut all = Vec::new();
            leaves(&before, &mut Vec::new(), &mut all);
            let pointer = seed.get(&all).clone();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            let mut after = before.clone();
            after.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
            let found = drift(&after, &live(before.clone(), ownership(&before), &[]), CORE);
            prop_assert_eq!(found.len(), 1);
            prop_assert!(matches!(found[0].cause, Cause::Surplus));
        }

        #[test]
        fn any_two_documents_are_compared_without_a_panic(wanted in document(), held in document(), fields in document()) {
            let _ = drift(&wanted, &live(held.clone(), fields, &[]), CORE);
            let _ = drift(&wanted, &held, CORE);
        }
    }
}
