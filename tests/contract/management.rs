//! The paths that the operator and the probes call, looked up in the server's real routers, and the answers that it reads.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use rag_server::{
    corpus,
    http::{management_openapi, ops, readiness},
};
use ragops_operator::{
    cluster::observed::CORPUS_OF_ANOTHER,
    server_client::{PATHS, RECORDS_PART, STORE_PART, ServerStatus},
};

use crate::rendered::{children, examples};

#[test]
fn every_path_that_the_operator_calls_exists_in_the_servers_router() {
    let api = management_openapi();
    for path in PATHS {
        assert!(api.paths.paths.contains_key(path), "the operator calls {path}, which the server does not route");
    }
}

#[test]
fn every_probe_asks_the_management_port_for_a_path_that_the_server_routes_there() {
    let api = management_openapi();
    let children = children(examples().remove(0).1);
    let pod = children.deployment.spec.template.spec.unwrap();
    let container = &pod.containers[0];
    let ports = container.ports.as_ref().unwrap();
    let management = ports.iter().find(|port| port.container_port == 9090).unwrap().name.as_ref().unwrap();
    let probes = [&container.liveness_probe, &container.readiness_probe, &container.startup_probe];
    for probe in probes.map(|probe| probe.as_ref().unwrap().http_get.as_ref().unwrap()) {
        // Whoever fills the public port must not have the pod restarted.
        assert_eq!(probe.port, IntOrString::String(management.clone()), "{probe:?}");
        let path = probe.path.as_ref().unwrap();
        assert!(api.paths.paths.contains_key(path), "a probe asks {path}, which the server does not route there");
    }
}

#[test]
fn the_operator_knows_how_a_server_says_that_the_corpus_is_of_another_cluster() {
    let readiness = readiness::Readiness::default();
    let says_so = || readiness.waiting_for().iter().any(|part| part.contains(CORPUS_OF_ANOTHER));
    assert!(!says_so());
    readiness.held_by(readiness::Part::Corpus, corpus::FOREIGN);
    assert!(says_so(), "{:?}", readiness.waiting_for());
}

#[test]
fn the_operator_reads_from_a_status_what_the_server_put_there() {
    let said = ops::Status {
        version: "0.1.0".to_owned(),
        config_sha256: "c0ffee".to_owned(),
        live_sha256: Some("1ced".to_owned()),
        ready: true,
        waiting_for: vec!["the vector store".to_owned()],
        read_only: true,
        documents: 12,
        credentials: vec![ops::AcceptedCredential {
            name: "api-key.default".to_owned(),
            generation: "current".to_owned(),
            fingerprint: "0123456789ab".to_owned(),
            uses: 7,
            last_used_at: None,
        }],
        moving: Some(ops::Moving { model: "wider".to_owned(), documents: 3, of: 12 }),
        parts: vec![
            ops::Part { name: ops::RECORDS.to_owned(), reachable: Some(true), ..ops::Part::default() },
            ops::Part {
                name: ops::VECTOR_STORE.to_owned(),
                reachable: Some(false),
                since: Some("2026-11-21T08:00:00Z".to_owned()),
                cause: Some("auth_failed".to_owned()),
            },
        ],
        ..ops::Status::default()
    };
    let heard: ServerStatus = serde_json::from_value(serde_json::to_value(&said).unwrap()).unwrap();
    assert_eq!(heard.version, said.version);
    assert_eq!(heard.config_sha256, said.config_sha256);
    assert_eq!(heard.live_sha256, said.live_sha256);
    assert_eq!((heard.ready, heard.read_only, heard.documents), (said.ready, said.read_only, said.documents));
    assert_eq!(heard.waiting_for, said.waiting_for);
    let credential = &heard.credentials[0];
    assert_eq!((credential.name.as_str(), credential.generation.as_str()), ("api-key.default", "current"));
    assert_eq!(credential.fingerprint, "0123456789ab");
    let store = heard.store().unwrap();
    assert_eq!((store.reachable, store.cause.as_deref()), (Some(false), Some("auth_failed")));
    assert_eq!(store.since.as_deref(), Some("2026-11-21T08:00:00Z"));
    assert!(heard.has_lost_store());
}

#[test]
fn the_operator_knows_the_store_by_the_names_that_the_server_gives_it() {
    assert_eq!((STORE_PART, RECORDS_PART), (ops::VECTOR_STORE, ops::RECORDS));
    let readiness = readiness::Readiness::default();
    readiness.held_by(readiness::Part::VectorStore, "auth_failed");
    let waited_for = readiness.waiting_for().into_iter().find(|part| part.contains(STORE_PART)).unwrap();
    assert!(waited_for.ends_with(" (auth failed)"), "{waited_for}");
}
