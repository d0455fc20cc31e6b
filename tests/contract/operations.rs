//! What docs/operations.md lists of rag-server is all that there is, and nothing that there is no longer.

use std::collections::{BTreeMap, BTreeSet};

use rag_server::{
    config::{Config, Live},
    http::{self, error::Code},
    metrics::Metrics,
    operations::Watched,
    ports::{ChatError, ProviderFailure, RateLimit, StoreError},
};
use serde_json::Value;

use crate::documented::rows_of;

const PAGE: &str = "operations.md";

/// Numbers that set how the server works and no limit that a person on call runs into.
const NO_LIMITS: [&str; 21] = [
    "embedding.openai.dimensions",
    "embedding.openai.pricing.input_usd_per_million_tokens",
    "embedding.previous.least",
    "embedding.previous.openai.dimensions",
    "embedding.previous.openai.pricing.input_usd_per_million_tokens",
    "generation.providers[].pricing.input_usd_per_million_tokens",
    "generation.providers[].pricing.output_usd_per_million_tokens",
    "records.postgres.port",
    "records.postgres.servers",
    "records.vector_store.replication_factor",
    "records.vector_store.write_consistency_factor",
    "retrieval.min_score",
    "retrieval.rerank.pricing.usd_per_million_tokens",
    "retrieval.rerank.pricing.usd_per_thousand_requests",
    "retrieval.top_k",
    "tracing.sample_ratio",
    "vector_store.qdrant.hnsw.ef_construct",
    "vector_store.qdrant.hnsw.m",
    "vector_store.qdrant.replication_factor",
    "vector_store.qdrant.shard_number",
    "vector_store.qdrant.write_consistency_factor",
];

/// The first cells below a heading, which name something once each.
fn named(heading: &str) -> BTreeSet<String> {
    let rows = rows_of(PAGE, heading);
    let names: BTreeSet<_> = rows.iter().map(|cells| cells[0].trim_matches('`').to_owned()).collect();
    assert_eq!(names.len(), rows.len(), "{heading}: one row for each");
    for cells in &rows {
        assert!(!cells.last().unwrap().is_empty(), "{heading}: {cells:?}");
    }
    names
}

fn endpoints(api: &impl serde::Serialize) -> BTreeSet<String> {
    let api = serde_json::to_value(api).unwrap();
    let paths = api["paths"].as_object().unwrap().iter();
    let of = |(path, item): (&String, &Value)| {
        let methods = item.as_object().unwrap().keys().map(|method| method.to_uppercase());
        methods.map(|method| format!("{method} {path}")).collect::<Vec<_>>()
    };
    paths.flat_map(of).collect()
}

#[test]
fn every_endpoint_of_both_ports_is_documented() {
    assert_eq!(named("### The public port"), endpoints(&http::public_openapi()));
    assert_eq!(named("### The management port"), endpoints(&http::management_openapi()));
}

#[test]
fn every_metric_of_the_server_is_documented_with_its_labels() {
    let metrics = Metrics::new().unwrap();
    assert_eq!(named("## Metrics"), metrics.names().into_iter().collect());
    let labels: BTreeMap<_, _> =
        rows_of(PAGE, "## Metrics").into_iter().map(|cells| (cells[0].replace('`', ""), cells[1].clone())).collect();
    for (name, told) in metrics.labels() {
        let told: Vec<_> = told.iter().map(|label| format!("`{label}`")).collect();
        assert_eq!(labels[&name], told.join(", "), "{name}");
    }
}

#[test]
fn every_certificate_that_is_watched_is_documented() {
    assert_eq!(named("## Certificates"), Watched::ALL.iter().map(|watched| watched.as_str().to_owned()).collect());
}

#[test]
fn every_cause_of_an_error_is_documented_with_its_status() {
    let documented = named("## Causes of errors");
    assert_eq!(documented, Code::ALL.iter().map(|code| code.slug().to_owned()).collect());
    for cells in rows_of(PAGE, "## Causes of errors") {
        let code = Code::ALL.into_iter().find(|code| code.slug() == cells[0].trim_matches('`')).unwrap();
        assert_eq!(cells[1], code.status().as_str(), "{cells:?}");
    }
}

/// The classes by which calls of parts fail.
fn classes() -> BTreeSet<String> {
    let (store, text) = ("a store", String::new);
    let stores = [
        StoreError::Unreachable { store, address: text(), cause: text() },
        StoreError::AuthFailed { store, address: text() },
        StoreError::Timeout { store, seconds: 1 },
        StoreError::RateLimited { store, retry_after_seconds: 1 },
        StoreError::InUse { path: text() },
        StoreError::Failed { store, cause: text() },
        StoreError::Failed { store, cause: "No space left on device".to_owned() },
        StoreError::Failed { store, cause: "Read-only file system".to_owned() },
    ];
    let models = [
        ChatError::Unreachable { cause: text() },
        ChatError::Timeout,
        ChatError::AuthFailed { status: 401 },
        ChatError::NoKey { cause: text() },
        ChatError::RateLimited { rate_limit: RateLimit::default() },
        ChatError::Refused { status: 400, code: text() },
        ChatError::Failed { status: 500, code: text() },
        ChatError::Garbage { cause: text() },
        ChatError::CutOff,
    ];
    let providers = [
        ProviderFailure::Unreachable,
        ProviderFailure::AuthFailed,
        ProviderFailure::RateLimited,
        ProviderFailure::Timeout,
        ProviderFailure::Failed,
    ];
    let of_stores = stores.iter().map(StoreError::cause);
    let of_others = models.iter().map(ChatError::class).chain(providers.iter().map(|failure| failure.as_str()));
    of_stores.chain(of_others).map(str::to_owned).collect()
}

#[test]
fn every_class_of_what_is_wrong_with_a_part_is_documented() {
    let mut documented = named("### What is wrong with a part");
    // The worker of jobs, the live file, and the headers for the collector tell these of themselves.
    for of_ours in ["ended", "unreadable", "damaged", "no_headers"] {
        assert!(documented.remove(of_ours), "{of_ours}");
    }
    assert_eq!(documented, classes());
}

/// The keys below a schema that are numbers, by their paths, with their defaults.
fn numbers(schema: &Value, path: &str, found: &mut BTreeMap<String, String>) {
    let options = schema["anyOf"].as_array().into_iter().flatten();
    let schema = options.clone().find(|option| option["type"] != "null").unwrap_or(schema);
    let is_of = |kind: &str| match &schema["type"] {
        Value::Array(kinds) => kinds.iter().any(|found| found == kind),
        found => found == kind,
    };
    if is_of("integer") || is_of("number") {
        let default = schema.get("default").filter(|default| !default.is_null());
        found.insert(path.to_owned(), default.map_or_else(|| "none".to_owned(), Value::to_string));
    }
    if is_of("array") && schema["items"]["type"] == "object" {
        numbers(&schema["items"], &format!("{path}[]"), found);
    }
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        numbers(inner, &path, found);
    }
}

#[test]
fn every_limit_of_the_configuration_is_documented_with_its_default() {
    let mut keys = BTreeMap::new();
    numbers(&Config::schema(), "", &mut keys);
    numbers(&Live::schema(), "", &mut keys);
    for known in NO_LIMITS {
        assert!(keys.remove(known).is_some(), "{known} is no key any more");
    }
    let heading = "### Set by the configuration";
    assert_eq!(named(heading), keys.keys().cloned().collect());
    for cells in rows_of(PAGE, heading) {
        assert_eq!(cells[1], keys[cells[0].trim_matches('`')], "{cells:?}");
    }
}
