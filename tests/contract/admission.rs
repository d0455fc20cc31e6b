//! The chart's admission policy knows every field of the CRD that names a Secret or an image: one that it does not know would
//! let somebody read a Secret through the operator.

use std::path::Path;

use ragops_operator::api::schema::definitions;
use serde_json::Value;

/// A field that names a Secret.
struct Reference {
    /// Its place below the spec; `[]` follows a list.
    path: String,
    /// Whether it names a key in the Secret.
    has_key: bool,
    /// Its deepest part that may be absent, itself or what it is in.
    guard: String,
    /// The fields beside it that say where the key is sent, or what is reached with it, and whether they may be absent.
    addresses: Vec<(&'static str, bool)>,
    /// How many of them a spec can have.
    most: u64,
}

/// What the schema below the spec holds.
#[derive(Default)]
struct Found {
    references: Vec<Reference>,
    images: Vec<String>,
}

impl Found {
    fn in_the_crd() -> Self {
        let definition = definitions().into_iter().find(|definition| definition.spec.names.kind == "RagCluster");
        let definition = serde_json::to_value(definition.unwrap()).unwrap();
        let spec = definition.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").unwrap();
        let mut found = Self::default();
        found.walk(("", ""), spec, 1);
        found
    }

    /// Takes in what lies in an object of the schema; `most` objects of its shape can be there.
    fn walk(&mut self, (place, guard): (&str, &str), object: &Value, most: u64) {
        let Some(properties) = object["properties"].as_object() else { return };
        let required: Vec<&str> =
            object["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, property) in properties {
            let path = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
            if name.to_lowercase().ends_with("image") {
                self.images.push(path.clone());
            }
            let guard = if required.contains(&name.as_str()) { guard.to_owned() } else { path.clone() };
            let (path, inner, most) = match &property["items"] {
                Value::Null => (path, property, most),
                items => {
                    let longest = property["maxItems"].as_u64().unwrap_or(u64::MAX);
                    (format!("{path}[]"), items, most.saturating_mul(longest))
                }
            };
            if names_a_secret(name, inner) {
                let is_beside = |address: &&'static str| properties.contains_key(*address);
                let has_key = inner["properties"]["key"].is_object();
                let addresses = ["url", "baseUrl", "endpoint", "bucket"].into_iter().filter(is_beside);
                let addresses = addresses.map(|address| (address, !required.contains(&address))).collect();
                self.references.push(Reference { path, has_key, guard, addresses, most });
            } else {
                self.walk((&path, &guard), inner, most);
            }
        }
    }
}

/// By its name, or by the shape of a reference to a key.
fn names_a_secret(name: &str, object: &Value) -> bool {
    let Some(properties) = object["properties"].as_object() else { return false };
    let is_key_of_something =
        properties.len() == 2 && properties.contains_key("name") && properties.contains_key("key");
    properties.contains_key("name") && (name.to_lowercase().contains("secret") || is_key_of_something)
}

fn template(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/ragops/templates").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The text of a named template.
fn defined(name: &str) -> String {
    let file = template("_references.tpl");
    let (_, rest) = file.split_once(&format!("{{{{- define \"{name}\" -}}}}")).unwrap();
    rest.split_once("{{- end -}}").unwrap().0.trim().to_owned()
}

/// The templates of a policy: what it names, and for how many pairs of Secrets it asks.
type Templates = (&'static str, &'static str);
const POLICY_OF_PODS: Templates = ("ragops.references", "ragops.pairs");
const POLICY_OF_SNAPSHOTS: Templates = ("ragops.snapshotReferences", "ragops.snapshotPairs");

/// What snapshots use has a policy of its own, since each has a budget.
fn policy_of(reference: &Reference) -> Templates {
    if reference.path.starts_with("snapshots.") { POLICY_OF_SNAPSHOTS } else { POLICY_OF_PODS }
}

/// The CEL that stands for a reference.
fn expected(reference: &Reference) -> String {
    let read = |field: &str| match reference.path.split_once("[]") {
        None => format!("{{{{ . }}}}.spec.{field}"),
        Some((_, "")) => format!("s{}", field.split_once("[]").unwrap().1),
        Some(_) => format!("p{}", field.split_once("[]").unwrap().1),
    };
    let place = reference.path.rsplit_once('.').map_or("", |(place, _)| place);
    let mut parts = vec![read(&format!("{}.name", reference.path))];
    parts.extend(reference.has_key.then(|| read(&format!("{}.key", reference.path))));
    parts.extend(reference.addresses.iter().map(|(address, may_be_absent)| {
        let address = read(&format!("{place}.{address}"));
        if *may_be_absent { format!("(has({address}) ? {address} : \"\")") } else { address }
    }));
    let named = parts.join(" + \" \" + ");
    match reference.path.split_once("[]") {
        None => format!("? [{named}] : [])"),
        Some((list, "")) => format!("? {{{{ . }}}}.spec.{list}.map(s, {named}) : [])"),
        Some((list, _)) => {
            let guard = reference.guard.split_once("[]").unwrap().1;
            format!("? {{{{ . }}}}.spec.{list}.filter(p, has(p{guard})).map(p, {named}) : [])")
        }
    }
}

#[test]
fn the_admission_policy_names_every_reference_to_a_secret_with_its_key_and_its_address() {
    let found = Found::in_the_crd().references;
    let paths: Vec<&str> = found.iter().map(|reference| reference.path.as_str()).collect();
    // The walk finds something: each shape that there is today.
    for known in ["vectorStore.externalQdrant.apiKeySecretRef", "generation.providers[].secretRef"] {
        assert!(paths.contains(&known), "{known} is not in {paths:?}");
    }
    assert!(paths.contains(&"podTemplate.imagePullSecrets[]"), "{paths:?}");
    for reference in &found {
        let (expression, references) = (expected(reference), defined(policy_of(reference).0));
        assert!(references.contains(&expression), "_references.tpl lacks, for {}: {expression}", reference.path);
    }
}

#[test]
fn the_admission_policy_names_every_image() {
    let (images, found) = (defined("ragops.images"), Found::in_the_crd().images);
    assert!(found.contains(&"image".to_owned()), "{found:?}");
    for path in &found {
        let expression = format!("? {{{{ . }}}}.spec.{path} : \"\"");
        assert!(images.contains(&expression), "_references.tpl lacks, for {path}: {expression}");
    }
}

/// The API server grants two questions to an expression.
#[test]
fn the_admission_policy_asks_for_as_many_secrets_as_a_spec_can_name() {
    for (references, name) in [POLICY_OF_PODS, POLICY_OF_SNAPSHOTS] {
        let found = Found::in_the_crd().references;
        let of_it = found.iter().filter(|reference| policy_of(reference).0 == references);
        let most: u64 = of_it.map(|reference| reference.most).sum();
        let pairs: u64 = defined(name).parse().unwrap();
        assert!(most > 0 && most <= 2 * pairs, "a spec can name {most} Secrets, and {name} covers {}", 2 * pairs);
        // Every evaluation of a policy has a budget of ten million, and one question costs 350,000.
        assert!((2 * pairs + 1) * 350_000 < 9_500_000, "{pairs} pairs cost more than the API server grants");
    }
}
