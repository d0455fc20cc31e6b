//! `/ops/status` between versions: an operator understands the servers before and after it, and the server's type keeps what earlier versions promised.

use std::{net::IpAddr, time::Duration};

use rag_server::{
    config::{ApiKey, Auth, Config, LiveSettings, Loaded, Role},
    http::{Api, management_router, ops},
    metrics::Metrics,
    operations::Operations,
    security::Keys,
};
use ragops_operator::server_client::{OperatorKey, ServerClient, ServerStatus};
use serde_json::{Value, json};

/// What servers of version 1 answer, every field with a value. It changes no more: such servers run.
fn first() -> Value {
    json!({
        "version": "0.1.0",
        "config_sha256": "c0ffee",
        "live_sha256": "1ced",
        "ready": true,
        "waiting_for": ["the vector store"],
        "read_only": true,
        "documents": 12,
        "credentials": [
            {"name": "api-key.default", "generation": "current", "fingerprint": "0123456789ab", "uses": 7},
        ],
        "moving": {"model": "wider", "documents": 3, "of": 12},
        "boot_id": "0192f0c1-2b3c-7d4e-8f50-112233445566",
        "started_at": "2026-11-21T08:00:00Z",
        "parts": [
            {"name": "vector store", "reachable": false, "since": "2026-11-21T08:00:00Z", "cause": "timeout"},
        ],
        "breakers": [{"provider": "main", "state": "half_open"}],
        "in_flight": 1,
        "queue": 2,
        "jobs": "working",
        "epoch": 3,
        "corpus_version": 4,
        "cache": {"entries": 5, "bytes": 6},
    })
}

/// What version 2 adds.
fn added() -> Value {
    json!({
        "status_version": 2,
        "counted_at": "2026-11-21T08:00:02Z",
        "chunks": 120,
        "chunks_counted_at": "2026-11-21T08:00:01Z",
        "counters": {
            "requests": [{"class": "query", "requests": 20, "errors": 1}],
            "questions": {"grounded": 10, "partial": 4, "refused": 3, "failed": 2, "abandoned": 1},
            "server_seconds": {"count": 19, "sum_seconds": 1.5, "buckets": [{"le_seconds": 0.5, "count": 18}]},
            "cost": [{"part": "generate", "micro_usd": 1500}],
        },
        "memory": {"resident_bytes": 100, "peak_resident_bytes": 200},
    })
}

/// What servers of version 2 answer.
fn second() -> Value {
    let (mut both, added) = (first(), added());
    both.as_object_mut().unwrap().extend(added.as_object().unwrap().clone());
    both["credentials"][0]["last_used_at"] = json!("2026-11-21T08:00:03Z");
    both
}

/// The places at which a value lacks, or has otherwise, what another one has.
fn missing(place: &str, wanted: &Value, found: &Value) -> Vec<String> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            let member = |(name, wanted): (&String, &Value)| {
                let place = format!("{place}.{name}");
                found.get(name).map_or_else(|| vec![place.clone()], |found| missing(&place, wanted, found))
            };
            wanted.iter().flat_map(member).collect()
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            let item = |(wanted, found): (&Value, &Value)| missing(&format!("{place}[]"), wanted, found);
            wanted.iter().zip(found).flat_map(item).collect()
        }
        _ if wanted == found => Vec::new(),
        _ => vec![format!("{place}: {found} and not {wanted}")],
    }
}

fn servers(answer: Value) -> ops::Status {
    serde_json::from_value(answer).unwrap()
}

fn operators(answer: Value) -> ServerStatus {
    serde_json::from_value(answer).unwrap()
}

#[test]
fn an_operator_reads_the_same_from_a_server_of_version_1_and_of_version_2() {
    assert_eq!(operators(first()), operators(second()));
    assert_eq!(operators(first()).documents, 12);
}

#[test]
fn what_version_1_promised_stands_in_version_2_under_the_same_names_with_the_same_types() {
    let answered = serde_json::to_value(servers(second())).unwrap();
    assert_eq!(missing("", &first(), &answered), Vec::<String>::new());
    assert_eq!(missing("", &second(), &answered), Vec::<String>::new());
    assert_eq!(servers(second()).status_version, ops::STATUS_VERSION);
}

#[test]
fn a_new_reader_tells_what_an_older_server_does_not_say_from_a_zero() {
    let ops::Status { status_version, counters, memory, chunks, counted_at, credentials, .. } = servers(first());
    assert_eq!((status_version, counters, memory, chunks, counted_at), (1, None, None, None, None));
    assert_eq!(credentials[0].last_used_at, None);
    // Before there were parts and a boot id.
    let mut oldest = first();
    let of_then = ["version", "config_sha256", "live_sha256", "ready", "waiting_for", "read_only", "documents"];
    oldest.as_object_mut().unwrap().retain(|name, _| of_then.contains(&name.as_str()));
    oldest["credentials"] = json!([{"name": "operator", "generation": "current", "fingerprint": "0123456789ab"}]);
    assert_eq!(servers(oldest.clone()).status_version, 1);
    assert_eq!(operators(oldest).credentials[0].name, "operator");
}

#[test]
fn a_reader_of_version_2_understands_what_comes_after_it() {
    let mut third = second();
    third["status_version"] = json!(3);
    third["novelty"] = json!({"a": [1]});
    for place in ["counters", "memory"] {
        third[place]["novelty"] = json!(1);
    }
    third["counters"]["requests"].as_array_mut().unwrap().push(json!({"class": "new", "requests": 1, "errors": 0}));
    third["counters"]["questions"]["novelty"] = json!(1);
    third["credentials"][0]["novelty"] = json!(1);
    assert_eq!(operators(third.clone()), operators(first()));
    let read = servers(third);
    assert_eq!(read.counters.unwrap().requests[1].class, "new");
}

/// As many clients as a RagCluster may have, each with two valid keys and a name of the longest kind.
fn crowded(folder: &std::path::Path) -> Auth {
    let mut auth = Auth { credentials_dir: Some(folder.to_owned()), api_keys: Vec::new() };
    let key = |file: &str| std::fs::write(folder.join(file), format!("the material of {file}").replace(' ', "-"));
    for number in 0..32 {
        let name = format!("{number:x>40}");
        for generation in ["current", "previous"] {
            key(&format!("api-key.{name}.{generation}")).unwrap();
        }
        auth.api_keys.push(ApiKey { name, role: Role::Reader, tenant: None });
    }
    std::fs::write(folder.join("operator.current"), "the-operators-key-0123").unwrap();
    auth
}

#[tokio::test]
async fn the_operators_client_reads_the_answer_of_the_servers_router_however_many_keys_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let loaded = Loaded { config: Config::default(), sha256: "c0ffee".to_owned() };
    let keys = Keys::open(&crowded(folder.path()));
    assert!(keys.refused().is_empty(), "{:?}", keys.refused());
    let operations = Operations::new(LiveSettings::new(None));
    let api = Api::new(&loaded, keys, Metrics::new().unwrap(), operations);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, management_router(api)).await });

    let key = OperatorKey::from_bytes(b"the-operators-key-0123").unwrap();
    let client = ServerClient::new(address.port(), Duration::from_secs(60)).unwrap();
    let here: IpAddr = address.ip();
    let heard = client.status(here, &key).await.unwrap();
    assert_eq!((heard.config_sha256.as_str(), heard.ready), ("c0ffee", false));

    let url = format!("http://{address}{}", ops::STATUS_PATH);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let told = http.get(url).bearer_auth("the-operators-key-0123").send().await.unwrap();
    let told: ops::Status = told.json().await.unwrap();
    assert_eq!((told.status_version, told.credentials.len()), (ops::STATUS_VERSION, 65));
    let operator = told.credentials.last().unwrap();
    assert!(operator.uses == 2 && operator.last_used_at.is_some(), "{operator:?}");
    assert!(told.counters.is_some() && told.memory.is_some());
}
