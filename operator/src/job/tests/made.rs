//! What is made for a Job, and whom it concerns.

use serde_json::{Value, json};

use super::{SNAPSHOTS, built, nightly, servers_after_a_pass, with_snapshots};
use crate::api::labels;
use crate::cluster::build::config::CONFIG_FILE;
use crate::cluster::fixtures::{EMBEDDED, EXTERNAL, cluster, nothing, pass};
use crate::job::Built;

#[test]
fn what_selects_servers_or_their_store_selects_no_job() {
    let cluster = with_snapshots("");
    let children = pass(&cluster, &nothing()).2;
    let job = built(&cluster, None).job;
    let pods = job.spec.unwrap().template.metadata.unwrap().labels.unwrap();
    let policy = children.network_policy.unwrap().spec.unwrap().pod_selector.unwrap();
    let budget = children.disruption_budget.spec.unwrap().selector.unwrap();
    let set = children.qdrant.unwrap();
    let service = children.service.spec.unwrap().selector.unwrap();
    let selectors = [
        children.deployment.spec.selector.match_labels.unwrap(),
        policy.match_labels.unwrap(),
        budget.match_labels.unwrap(),
        service,
        set.stateful_set.spec.selector.match_labels.unwrap(),
        set.service.spec.unwrap().selector.unwrap(),
    ];
    for selector in selectors {
        assert!(!selector.iter().all(|(key, value)| pods.get(key) == Some(value)), "{selector:?}");
    }
    // And the store lets it in.
    let ingress = json!(set.network_policy.unwrap().spec.unwrap().ingress);
    let peers = ingress[0]["from"].as_array().unwrap();
    let lets_in = |peer: &Value| {
        let labels = peer["podSelector"]["matchLabels"].as_object().unwrap();
        labels.iter().all(|(key, value)| pods.get(key).map(String::as_str) == value.as_str())
    };
    assert!(peers.iter().any(lets_in), "{ingress}");
}

#[test]
fn a_cluster_without_snapshots_lets_nobody_else_into_its_store() {
    let children = pass(&cluster("{}"), &nothing()).2;
    let ingress = children.qdrant.unwrap().network_policy.unwrap().spec.unwrap().ingress.unwrap();
    assert_eq!(ingress[0].from.as_ref().unwrap().len(), 1);
}

#[test]
fn a_jobs_configuration_is_the_servers_and_then_the_archive() {
    let cluster = with_snapshots("");
    let of_servers = servers_after_a_pass(&cluster).unwrap().config;
    for (destination, expected) in [
        (
            Some("offsite"),
            "s3.bucket = archive, s3.prefix = team-a/handbook, s3.endpoint = http://seaweedfs.storage.svc:8333, s3.region = \
             us-east-1, s3.access_key_id_file = /etc/rag/archive/access-key-id, s3.secret_access_key_file = \
             /etc/rag/archive/secret-access-key, s3.ca_file = /etc/rag/archive/ca.crt",
        ),
        (Some("near"), "folder.path = /var/lib/rag/archive/team-a/handbook"),
        (
            Some("cloud"),
            "s3.bucket = archive, s3.prefix = rag, s3.region = us-east-1, s3.access_key_id_file = \
             /etc/rag/archive/access-key-id, s3.secret_access_key_file = /etc/rag/archive/secret-access-key",
        ),
    ] {
        let config = built(&cluster, destination).config;
        assert_eq!(config.immutable, Some(true));
        let bytes = &config.data.unwrap()[CONFIG_FILE];
        let table = bytes.strip_prefix(&of_servers).unwrap();
        let parsed: toml::Table = bytes.parse().unwrap();
        assert_eq!(parsed.len(), of_servers.parse::<toml::Table>().unwrap().len() + 1, "{table}");
        let snapshots = parsed["snapshots"].as_table().unwrap();
        let values = |kind: &str| {
            let table = snapshots.get(kind).and_then(toml::Value::as_table);
            let line = |(key, value): (&String, &toml::Value)| format!("{kind}.{key} = {}", value.as_str().unwrap());
            table.into_iter().flatten().map(line).collect::<Vec<_>>()
        };
        let mut found = [values("s3"), values("folder")].concat();
        let mut expected: Vec<String> = expected.split(", ").map(str::to_owned).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!(snapshots["signing_key_file"].as_str(), Some("/etc/rag/signing/key"));
    }
}

#[test]
fn a_volume_is_mounted_for_writing_and_a_policy_lets_a_job_out_to_what_it_needs_alone() {
    let cluster = with_snapshots(", cache: {redis: {url: 'redis://redis.caches.svc:6379'}}");
    let Built { job, network_policy, .. } = built(&cluster, Some("near"));
    let pod = job.spec.unwrap().template.spec.unwrap();
    let volume = pod.volumes.unwrap().into_iter().find(|volume| volume.name == "archive").unwrap();
    assert_eq!(volume.persistent_volume_claim.unwrap().claim_name, "archive");
    let mounts = pod.containers[0].volume_mounts.as_ref().unwrap();
    assert_eq!(mounts.iter().find(|mount| mount.name == "archive").unwrap().read_only, None);
    let egress = json!(network_policy.unwrap().spec.unwrap().egress).to_string();
    assert!(!egress.contains("caches") && egress.contains("6334"), "{egress}");
    let without = with_snapshots(", networkPolicy: {enabled: false}");
    assert_eq!(built(&without, None).network_policy, None);
}

#[test]
fn a_store_inside_the_server_is_read_through_the_servers_management_port_and_its_volume_by_nobody_else() {
    let sized = EMBEDDED.replace("embedded: {}}}", "embedded: {storage: {size: 3Gi}}}");
    let embedded = cluster(&format!("{sized}, {SNAPSHOTS}}}"));
    let children = pass(&embedded, &nothing()).2;
    let servers = servers_after_a_pass(&embedded).unwrap();
    assert_eq!(servers.lender().as_deref(), Some("http://handbook-management:9090"));
    let management = children.management.unwrap();
    assert_eq!(management.metadata.name.as_deref(), Some("handbook-management"));
    let ports = json!(management.spec.unwrap().ports);
    assert_eq!((&ports[0]["port"], &ports[0]["targetPort"]), (&json!(9090), &json!("management")));
    assert_eq!(children.service.spec.unwrap().ports.unwrap().len(), 1, "clients do not reach it");

    let Built { job, network_policy, .. } = built(&embedded, Some("cloud"));
    let pod = job.spec.unwrap().template;
    let volumes = pod.spec.unwrap().volumes.unwrap();
    let data = volumes.iter().find(|volume| volume.name == "data").unwrap();
    assert_eq!(json!(data), json!({"name": "data", "emptyDir": {"sizeLimit": "3Gi"}}));
    let egress = json!(network_policy.unwrap().spec.unwrap().egress);
    assert_eq!(egress[1]["ports"], json!([{"port": 9090, "protocol": "TCP"}]));
    let of_servers = children.deployment.spec.template.metadata.unwrap().labels.unwrap();
    let (goes_to, labels) = (&egress[1]["to"][0]["podSelector"]["matchLabels"], json!(of_servers));
    assert!(goes_to.as_object().unwrap().iter().all(|(key, value)| labels[key] == *value), "{goes_to}");
    // And the server lets it in, there alone.
    let ingress = json!(children.network_policy.unwrap().spec.unwrap().ingress);
    let labels = json!(pod.metadata.unwrap().labels.unwrap());
    let lets_in = |rule: &Value| {
        let peers = rule["from"].as_array().cloned().unwrap_or_default();
        peers
            .iter()
            .filter_map(|peer| peer["podSelector"]["matchLabels"].as_object().cloned())
            .any(|wanted| !wanted.is_empty() && wanted.iter().all(|(key, value)| labels[key] == *value))
    };
    assert_eq!([&ingress[0], &ingress[1]].map(lets_in), [false, true], "{ingress}");
}

#[test]
fn a_management_port_has_no_address_and_lets_no_job_in_where_none_has_to_ask() {
    for spec in [EMBEDDED.to_owned(), format!("{{{SNAPSHOTS}}}")] {
        let children = pass(&cluster(&spec), &nothing()).2;
        assert!(children.management.is_none(), "{spec}");
        let ingress = children.network_policy.unwrap().spec.unwrap().ingress.unwrap();
        assert_eq!(ingress[1].from.as_ref().unwrap().len(), 1, "{spec}");
    }
    assert_eq!(servers_after_a_pass(&with_snapshots("")).unwrap().lender(), None);
}

#[test]
fn a_store_and_a_database_of_others_are_let_out_to() {
    let spec = format!("{EXTERNAL}\nrecords: {{postgres: {{secretRef: {{name: db}}, port: 6543}}}}\n{SNAPSHOTS}");
    let Built { network_policy, .. } = built(&cluster(&spec), Some("cloud"));
    let egress = json!(network_policy.unwrap().spec.unwrap().egress);
    assert_eq!(
        egress[1],
        json!({"ports": [{"port": 443, "protocol": "TCP"}, {"port": 6334, "protocol": "TCP"}, {"port": 6543, "protocol": "TCP"}]})
    );
}

#[test]
fn what_was_made_for_a_job_names_its_owner_and_goes_with_it() {
    let Built { service_account, network_policy, config, job } = built(&with_snapshots(""), None);
    for metadata in [&service_account.metadata, &network_policy.unwrap().metadata, &config.metadata, &job.metadata] {
        assert_eq!(metadata.name.as_deref(), Some("nightly-take"));
        assert_eq!(metadata.owner_references.as_deref(), Some([nightly()].as_slice()));
        let labels = metadata.labels.as_ref().unwrap();
        assert_eq!((labels[labels::OWNER_KIND].as_str(), labels[labels::OWNER].as_str()), ("RagSnapshot", "nightly"));
    }
}
