//! What a Job consists of: a request becomes complete objects. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, KeyToPath, PodSpec, PodTemplateSpec,
    ServiceAccount, Volume, VolumeMount,
};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyPeer, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use kube::ResourceExt;

use super::archive::Archive;
use super::attached::{ATTACHED_DIR, MANIFEST_FILE};
use super::servers::{Servers, Vectors};
use crate::api::labels;
use crate::cluster::build::config::{CONFIG_DIR, CONFIG_FILE, MANAGEMENT_PORT, QDRANT_GRPC_PORT};
use crate::cluster::build::metadata::{self, Part};
use crate::cluster::build::network_policy::{port, to_dns, to_places};
use crate::cluster::build::pod;
use crate::objects::OwnKind;

/// Where the kubelet finds what a container has to say when it ends.
const REPORT_FILE: &str = "/dev/termination-log";

/// The one container of a Job's pods.
pub(super) const CONTAINER: &str = "job";

/// A command ends cleanly within seconds when it is asked to; after this it is killed.
const GRACE_SECONDS: i64 = 30;

/// What a command may lay down beside it: a drill restores records into a file there, and a server needs next to nothing.
const SCRATCH: &str = "4Gi";

/// The volumes of the servers' pods that are the Job's own.
const CONFIG_VOLUME: &str = "config";
const SCRATCH_VOLUME: &str = "tmp";

/// That of a server which has its store inside it: a Job gets an empty one, in which a drill may try a restore.
const DATA_VOLUME: &str = "data";

/// The volume of what goes with a snapshot.
const ATTACHED_VOLUME: &str = "attached";

/// What a Job is asked for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Its name, and that of everything that is made for it: a DNS label of at most 63 characters, the same in every pass.
    pub name: String,
    /// For whom it is made, and with whom it goes; see [`owner`].
    pub owner: OwnerReference,
    /// What the servers run.
    pub servers: &'a Servers,
    /// Where the snapshots are.
    pub archive: &'a Archive,
    /// The command and its arguments, such as `snapshot create NAME`. Where to find the configuration, and where to report and to
    /// say how far it is, stands before and after them.
    pub args: Vec<String>,
    /// The Job is ended when it is not done after so many seconds, those before its pod starts among them.
    pub deadline_seconds: i64,
    /// How often a pod that failed is followed by another one without anybody looking at why.
    pub retries: i32,
}

/// What is made for a Job, in the order in which it is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Built {
    /// The identity of its pods, which may do nothing at the API server.
    pub service_account: ServiceAccount,
    /// Where its pods may go; nothing where the cluster keeps no policies.
    pub network_policy: Option<NetworkPolicy>,
    /// Its configuration, immutable.
    pub config: ConfigMap,
    /// The Job.
    pub job: Job,
}

/// An object of ours as the owner of what is made for it.
pub fn owner<K: OwnKind>(object: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::KIND.to_owned(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

/// Builds a Job and what it needs.
pub fn build(request: &Request<'_>) -> Built {
    let Request { servers, archive, .. } = request;
    // A table at the end of a file belongs to none before it.
    let bytes = format!("{}\n{}", servers.config, archive.table(servers));
    let attached = archive.attached.manifest().map(|manifest| (MANIFEST_FILE.to_owned(), manifest.to_owned()));
    Built {
        service_account: ServiceAccount {
            metadata: metadata(request),
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        },
        network_policy: servers.has_network_policy.then(|| network_policy(request)),
        config: ConfigMap {
            metadata: metadata(request),
            data: Some(std::iter::once((CONFIG_FILE.to_owned(), bytes)).chain(attached).collect()),
            immutable: Some(true),
            ..ConfigMap::default()
        },
        job: Job {
            metadata: metadata(request),
            spec: Some(JobSpec {
                active_deadline_seconds: Some(request.deadline_seconds),
                backoff_limit: Some(request.retries),
                // Two at once would wait for each other's hold of the archive.
                pod_replacement_policy: Some("Failed".to_owned()),
                template: pods(request),
                ..JobSpec::default()
            }),
            ..Job::default()
        },
    }
}

fn metadata(request: &Request<'_>) -> ObjectMeta {
    ObjectMeta {
        name: Some(request.name.clone()),
        namespace: Some(request.servers.namespace.clone()),
        labels: Some(own_labels(request)),
        owner_references: Some(vec![request.owner.clone()]),
        ..ObjectMeta::default()
    }
}

fn own_labels(request: &Request<'_>) -> BTreeMap<String, String> {
    let Request { servers, owner, .. } = request;
    let mut all = metadata::jobs_of(servers.cluster.as_str(), &servers.uid);
    all.extend(metadata::owned([
        (labels::MANAGED_BY, labels::MANAGED_BY_VALUE),
        (labels::OWNER_KIND, owner.kind.as_str()),
        (labels::OWNER, owner.name.as_str()),
    ]));
    all
}

/// The servers' pods with another command: what the user added to them stays, and nothing by which anybody finds a server.
fn pods(request: &Request<'_>) -> PodTemplateSpec {
    let PodTemplateSpec { metadata, spec } = request.servers.pods.clone();
    let mut metadata = metadata.unwrap_or_default();
    let of_users = metadata.labels.take().unwrap_or_default();
    let mut all: BTreeMap<String, String> = of_users.into_iter().filter(|(key, _)| !is_of_servers(key)).collect();
    all.extend(own_labels(request));
    let mut spec = spec.unwrap_or_default();
    let added = request.archive.volumes().into_iter().chain(attached(request));
    let (volumes, mounts): (Vec<_>, Vec<_>) = added.unzip();
    let container = spec.containers.drain(..).next().unwrap_or_default();
    let mut all_volumes: Vec<Volume> =
        spec.volumes.take().unwrap_or_default().into_iter().map(|volume| own_volume(request, volume)).collect();
    all_volumes.extend(volumes);
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(all), ..metadata }),
        spec: Some(PodSpec {
            service_account_name: Some(request.name.clone()),
            service_account: None,
            automount_service_account_token: Some(false),
            restart_policy: Some("Never".to_owned()),
            containers: vec![command(request, container, mounts)],
            volumes: Some(all_volumes),
            // They would be counted with the servers.
            topology_spread_constraints: None,
            termination_grace_period_seconds: Some(GRACE_SECONDS),
            ..spec
        }),
    }
}

fn is_of_servers(key: &str) -> bool {
    [
        labels::NAME,
        labels::INSTANCE,
        labels::COMPONENT,
        labels::MANAGED_BY,
        labels::CLUSTER_UID,
        labels::REVISION,
        labels::COLOUR,
    ]
    .contains(&key)
}

fn own_volume(request: &Request<'_>, volume: Volume) -> Volume {
    match (volume.name.as_str(), &request.servers.stores.vectors) {
        (CONFIG_VOLUME, _) => Volume {
            config_map: Some(ConfigMapVolumeSource { name: request.name.clone(), ..ConfigMapVolumeSource::default() }),
            ..volume
        },
        (SCRATCH_VOLUME, _) => Volume { empty_dir: Some(room(SCRATCH)), ..volume },
        (DATA_VOLUME, Vectors::Embedded { size }) => {
            Volume { empty_dir: Some(room(size)), persistent_volume_claim: None, ..volume }
        }
        _ => volume,
    }
}

/// Nothing, and room for so much.
fn room(size: &str) -> EmptyDirVolumeSource {
    EmptyDirVolumeSource { size_limit: Some(Quantity(size.to_owned())), ..EmptyDirVolumeSource::default() }
}

/// What goes with a snapshot, in a folder in which nothing else is: each of its files goes into the archive.
fn attached(request: &Request<'_>) -> Option<(Volume, VolumeMount)> {
    request.archive.attached.manifest()?;
    let only = KeyToPath { key: MANIFEST_FILE.to_owned(), path: MANIFEST_FILE.to_owned(), ..KeyToPath::default() };
    let source = ConfigMapVolumeSource {
        name: request.name.clone(),
        items: Some(vec![only]),
        ..ConfigMapVolumeSource::default()
    };
    let volume = Volume { name: ATTACHED_VOLUME.to_owned(), config_map: Some(source), ..Volume::default() };
    Some((volume, pod::mount(ATTACHED_VOLUME, ATTACHED_DIR, true)))
}

fn command(request: &Request<'_>, server: Container, mounts: Vec<VolumeMount>) -> Container {
    let mut args = vec!["--config".to_owned(), format!("{CONFIG_DIR}/{CONFIG_FILE}")];
    args.extend(request.args.iter().cloned());
    args.extend(["--report".to_owned(), REPORT_FILE.to_owned()]);
    let OwnerReference { kind, name, uid, .. } = &request.owner;
    let asked_by = format!("{kind} {}/{name} (uid {uid})", request.servers.namespace);
    args.extend(["--asked-by".to_owned(), asked_by]);
    args.extend(["--progress".to_owned(), format!("[::]:{MANAGEMENT_PORT}")]);
    let mut all_mounts = server.volume_mounts.unwrap_or_default();
    all_mounts.extend(mounts);
    Container {
        name: CONTAINER.to_owned(),
        args: Some(args),
        volume_mounts: Some(all_mounts),
        ports: None,
        startup_probe: None,
        liveness_probe: None,
        readiness_probe: None,
        lifecycle: None,
        termination_message_path: Some(REPORT_FILE.to_owned()),
        // Lines of a log are no report.
        termination_message_policy: Some("File".to_owned()),
        ..server
    }
}

/// To DNS, to the stores or the server that reads them, and to the archive; from nobody, until the operator is let in that makes it.
fn network_policy(request: &Request<'_>) -> NetworkPolicy {
    let Request { servers, archive, .. } = request;
    let (cluster, uid) = (servers.cluster.as_str(), servers.uid.as_str());
    let to_part = |part, number| {
        let labels = metadata::selector_of(cluster, uid, part);
        let selector = LabelSelector { match_labels: Some(labels), match_expressions: None };
        let pods = NetworkPolicyPeer { pod_selector: Some(selector), ..NetworkPolicyPeer::default() };
        NetworkPolicyEgressRule { to: Some(vec![pods]), ports: Some(vec![port("TCP", number)]) }
    };
    let (to_ours, external) = match &servers.stores.vectors {
        Vectors::Managed => (Some(to_part(Part::VectorStore, QDRANT_GRPC_PORT)), None),
        Vectors::Embedded { .. } => (Some(to_part(Part::Server, MANAGEMENT_PORT)), None),
        Vectors::External(place) => (None, Some(place)),
    };
    let way_out = archive.way_out(&servers.namespace);
    let places = external.into_iter().chain(way_out.iter());
    let to_others = to_places(places, servers.stores.database).into_iter().flatten();
    let pods = BTreeMap::from([(labels::JOB_NAME.to_owned(), request.name.clone())]);
    NetworkPolicy {
        metadata: metadata(request),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector { match_labels: Some(pods), match_expressions: None }),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: None,
            egress: Some(std::iter::once(to_dns()).chain(to_ours).chain(to_others).collect()),
        }),
    }
}
