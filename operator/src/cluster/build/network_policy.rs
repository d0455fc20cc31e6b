//! Which traffic reaches and leaves the servers.

use std::collections::BTreeSet;

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::config::{HTTP_PORT, MANAGEMENT_PORT, QDRANT_GRPC_PORT};
use super::metadata::{self, Part};
use crate::api::cluster::ScrapePeer;
use crate::cluster::decide::Plan;
use crate::cluster::observed::OperatorDefaults;
use crate::cluster::validate::{Place, Store, ValidatedCluster};

/// The label that every namespace carries with its own name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Where Services of DNS listen, and where the pods behind them do on OpenShift: policies are enforced on the way to the pods.
const DNS_PORTS: [i32; 2] = [53, 5353];

/// NAME-server: clients reach the public port, the operator and the scrapers the management port, and so do the Jobs that take snapshots
/// of a store inside the server; the servers reach DNS, the vector store, the database, the cache and the services outside that the spec
/// names. The kubelet's probes come from the pod's own node, which no policy keeps out.
pub(super) fn network_policy(
    cluster: &ValidatedCluster,
    scrape_from: &[ScrapePeer],
    operator: &OperatorDefaults,
) -> NetworkPolicy {
    let askers = jobs(cluster).filter(|_| cluster.lends());
    let management = std::iter::once(pods_of(operator)).chain(scrape_from.iter().map(peer)).chain(askers).collect();
    let ingress = vec![
        NetworkPolicyIngressRule { from: None, ports: Some(vec![port("TCP", HTTP_PORT)]) },
        NetworkPolicyIngressRule { from: Some(management), ports: Some(vec![port("TCP", MANAGEMENT_PORT)]) },
    ];
    let [near, far] = to_others(cluster);
    let to_others = near.into_iter().chain(far);
    NetworkPolicy {
        metadata: metadata::child(cluster, Part::Server, cluster.name.server()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(metadata::label_selector(cluster, Part::Server)),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(ingress),
            egress: Some(std::iter::once(to_dns()).chain(to_vector_store(cluster)).chain(to_others).collect()),
        }),
    }
}

/// With the ways out that the servers of an earlier revision have in `live`, which they need as long as one of them serves. Until
/// the next revision is made, there are no others.
pub(super) fn with_ways_out_of_servers(
    mut policy: NetworkPolicy,
    plan: &Plan,
    live: Option<&NetworkPolicy>,
) -> NetworkPolicy {
    let ways_out = live.and_then(|live| live.spec.as_ref()?.egress.clone());
    let (Some(spec), Some(ways_out)) = (&mut policy.spec, ways_out) else { return policy };
    if plan.awaited.is_some() {
        spec.egress = Some(ways_out);
    } else if plan.is_rolling_out {
        let egress = spec.egress.get_or_insert_default();
        let of_earlier: Vec<_> = ways_out.into_iter().filter(|way| !egress.contains(way)).collect();
        egress.extend(of_earlier);
    }
    policy
}

/// To whatever answers as DNS.
pub(crate) fn to_dns() -> NetworkPolicyEgressRule {
    let ports = DNS_PORTS.into_iter().flat_map(|number| [port("UDP", number), port("TCP", number)]).collect();
    NetworkPolicyEgressRule { to: None, ports: Some(ports) }
}

fn to_vector_store(cluster: &ValidatedCluster) -> Option<NetworkPolicyEgressRule> {
    matches!(cluster.store, Store::Managed(_)).then(|| NetworkPolicyEgressRule {
        to: Some(vec![pods(cluster, Part::VectorStore)]),
        ports: Some(vec![port("TCP", QDRANT_GRPC_PORT)]),
    })
}

/// To what others run: the pods of the namespaces whose Services are named, on every port, since policies are enforced where the
/// port is the pod's and no longer the Service's; and the ports of hosts elsewhere, which a policy cannot name.
fn to_others(cluster: &ValidatedCluster) -> [Option<NetworkPolicyEgressRule>; 2] {
    let store = match &cluster.store {
        Store::External(external) => Some(&external.place),
        Store::Managed(_) | Store::Embedded { .. } => None,
    };
    let services = cluster.outside.iter().map(|service| &service.place);
    let places = store.into_iter().chain(services).chain(cluster.redis.iter().map(|redis| &redis.place));
    // Its host stands in a Secret, which is not read.
    let database = cluster.postgres.as_ref().and_then(|database| u16::try_from(database.port).ok());
    to_places(places, database)
}

/// To these places, and to these ports wherever they are.
pub(crate) fn to_places<'a>(
    places: impl Iterator<Item = &'a Place>,
    ports: Option<u16>,
) -> [Option<NetworkPolicyEgressRule>; 2] {
    let (mut namespaces, mut ports) = (BTreeSet::new(), BTreeSet::from_iter(ports));
    for place in places {
        match place {
            Place::Namespace(name) => namespaces.insert(name.as_str()),
            Place::Port(number) => ports.insert(*number),
        };
    }
    let namespaces: Vec<_> = namespaces.into_iter().map(namespace).collect();
    let ports: Vec<_> = ports.into_iter().map(|number| port("TCP", i32::from(number))).collect();
    [
        (!namespaces.is_empty()).then_some(NetworkPolicyEgressRule { to: Some(namespaces), ports: None }),
        (!ports.is_empty()).then_some(NetworkPolicyEgressRule { to: None, ports: Some(ports) }),
    ]
}

pub(super) fn pods(cluster: &ValidatedCluster, part: Part) -> NetworkPolicyPeer {
    NetworkPolicyPeer { pod_selector: Some(metadata::label_selector(cluster, part)), ..NetworkPolicyPeer::default() }
}

/// The pods of its Jobs. A cluster without snapshots has none.
pub(super) fn jobs(cluster: &ValidatedCluster) -> Option<NetworkPolicyPeer> {
    cluster.spec.snapshots.as_ref()?;
    let labels = metadata::jobs_of(cluster.name.as_str(), &cluster.uid);
    let selector = LabelSelector { match_labels: Some(labels), match_expressions: None };
    Some(NetworkPolicyPeer { pod_selector: Some(selector), ..NetworkPolicyPeer::default() })
}

pub(crate) fn port(protocol: &str, port: i32) -> NetworkPolicyPort {
    NetworkPolicyPort { protocol: Some(protocol.to_owned()), port: Some(IntOrString::Int(port)), end_port: None }
}

fn namespace(name: &str) -> NetworkPolicyPeer {
    let labels = [(NAMESPACE_NAME.to_owned(), name.to_owned())];
    let selector = LabelSelector { match_labels: Some(labels.into()), match_expressions: None };
    NetworkPolicyPeer { namespace_selector: Some(selector), ..NetworkPolicyPeer::default() }
}

/// The operator's own pods, as far as it was told which they are.
pub(crate) fn pods_of(operator: &OperatorDefaults) -> NetworkPolicyPeer {
    let labels = &operator.operator_labels;
    let selector = LabelSelector { match_labels: Some(labels.clone()), match_expressions: None };
    let pod_selector = (!labels.is_empty()).then_some(selector);
    NetworkPolicyPeer { pod_selector, ..namespace(&operator.operator_namespace) }
}

fn peer(peer: &ScrapePeer) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: peer.namespace_selector.clone(),
        pod_selector: peer.pod_selector.clone(),
        ip_block: None,
    }
}

#[cfg(test)]
mod tests {
    use crate::cluster::fixtures::{applied, cluster, nothing, pass};
    use serde_json::{Value, json};

    #[test]
    fn servers_of_an_earlier_revision_keep_their_ways_out_until_the_last_of_them_is_gone() {
        let calling = |host: &str| {
            let providers = format!("[{{name: a, baseUrl: 'https://{host}:8443/v1', model: m}}]");
            cluster(&format!("generation: {{providers: {providers}}}"))
        };
        let other = cluster("generation: {providers: [{name: a, baseUrl: 'https://b.example.com:9443/v1', model: m}]}");
        let ports = |world: &crate::cluster::observed::Observed| {
            let policy = pass(&other, world).2.network_policy.unwrap();
            json!(policy.spec.unwrap().egress).to_string()
        };
        let mut rolling = applied(&calling("a.example.com"), &nothing());
        assert!(ports(&rolling).contains("8443") && ports(&rolling).contains("9443"));
        // The new one is applied, and one of the old servers is left.
        let old_pod = rolling.server_pods[0].clone();
        rolling = applied(&other, &rolling);
        rolling.server_pods.push(old_pod);
        assert!(ports(&rolling).contains("8443") && ports(&rolling).contains("9443"));
        rolling.server_pods.pop();
        let settled = applied(&other, &rolling);
        assert!(!ports(&settled).contains("8443") && ports(&settled).contains("9443"));
    }

    #[test]
    fn who_may_scrape_has_to_match_every_selector_that_the_spec_gives() {
        let spec = "networkPolicy: {scrapeFrom: [
            {namespaceSelector: {matchLabels: {team: metrics}}, podSelector: {matchLabels: {app: prometheus}}},
            {podSelector: {matchLabels: {app: agent}}}]}";
        let policy = pass(&cluster(spec), &nothing()).2.network_policy.unwrap();
        let ingress = policy.spec.unwrap().ingress.unwrap();
        let peers = ingress.iter().flat_map(|rule| rule.from.iter().flatten());
        let peers: Vec<Value> = peers.map(|peer| serde_json::to_value(peer).unwrap()).collect();
        let (team, prometheus) =
            (json!({"matchLabels": {"team": "metrics"}}), json!({"matchLabels": {"app": "prometheus"}}));
        // Without the pods it would be the whole namespace, without the namespace every team's.
        assert!(peers.contains(&json!({"namespaceSelector": team, "podSelector": prometheus})), "{peers:?}");
        assert!(peers.contains(&json!({"podSelector": {"matchLabels": {"app": "agent"}}})), "{peers:?}");
    }

    #[test]
    fn the_operators_own_pods_are_let_through_where_it_knows_their_labels() {
        let mut world = nothing();
        world.defaults.operator_labels = [("app".to_owned(), "op".to_owned())].into();
        let scrapers = "networkPolicy: {scrapeFrom: [{podSelector: {matchLabels: {team: metrics}}}]}";
        let policy = pass(&cluster(scrapers), &world).2.network_policy.unwrap();
        let ingress = policy.spec.unwrap().ingress.unwrap();
        let expected = json!([
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ragops-system"}},
                "podSelector": {"matchLabels": {"app": "op"}},
            },
            {"podSelector": {"matchLabels": {"team": "metrics"}}},
        ]);
        assert_eq!(json!(ingress[1].from), expected);
    }
}
