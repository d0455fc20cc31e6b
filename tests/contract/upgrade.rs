//! A newer operator changes no pod, selector or claim by itself. What a version made of every example is kept, and today's operator
//! finds it as what is there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use k8s_openapi::{
    Metadata, Resource,
    api::{
        apps::v1::{Deployment, DeploymentStatus},
        core::v1::{ConfigMap, Pod, Secret},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::ResourceExt as _;
use ragops_operator::{
    api::{ClusterName, Credential, Generation, RagCluster},
    apply::{Owner, Ownership, child_ownership},
    cluster::{
        build::{Children, Prepared, QdrantChildren, build},
        decide::{Plan, decide},
        observed::{Entropy, LiveChildren, Observed, OwnSecrets, Presence, credentials_to_read},
        validate::validate,
    },
};
use serde::{Deserialize as _, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    built::{named, nothing},
    rendered::examples,
};

/// A folder for each version, and in it a file for each example.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/contract/fixtures");

/// The version that is built here.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The images that the operator of a fixture has by default, and those of a newer one.
const IMAGES: [&str; 2] = ["example.com/rag-server:0.1.0", "example.com/qdrant:1.20.0"];
const NEWER: [&str; 2] = ["example.com/rag-server:99.0.0", "example.com/qdrant:1.21.0"];

/// A cluster as the API server keeps it, and the objects that an operator made of it.
struct Fixture {
    cluster: RagCluster,
    objects: Vec<Value>,
}

impl Fixture {
    /// What the operator of today makes of a cluster.
    fn of(cluster: RagCluster) -> Self {
        let mut fixture = Self { cluster: named(cluster), objects: Vec::new() };
        // The second pass finds the pod of the vector store, and notes the image that it runs.
        for _ in 0..2 {
            let (_, children) = pass(&fixture.cluster, &fixture.found(true, IMAGES));
            for object in objects(children) {
                fixture.objects.retain(|before| title(before) != title(&object));
                fixture.objects.push(object);
            }
        }
        fixture.objects.sort_by_key(title);
        fixture
    }

    fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap();
        let documents =
            serde_yaml_ng::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap());
        let (mut clusters, objects): (Vec<Value>, Vec<Value>) =
            documents.partition(|document| document["kind"] == "RagCluster");
        assert_eq!(clusters.len(), 1, "{}", file.display());
        Self { cluster: serde_json::from_value(clusters.remove(0)).unwrap(), objects }
    }

    fn write(&self, file: &Path) {
        let about = format!(
            "# What version {VERSION} of the operator makes of the example of this name. Written by `make fixtures`, and never \
             changed. Its keys open nothing.\n"
        );
        let mut cluster = json!(self.cluster);
        cluster.sort_all_objects();
        let documents = std::iter::once(&cluster).chain(&self.objects);
        let documents: Vec<String> = documents.map(|document| serde_yaml_ng::to_string(document).unwrap()).collect();
        fs::write(file, about + &documents.join("---\n")).unwrap();
    }

    /// What an operator with these default images finds. With the pods of the workloads, ready and settled, or before there are
    /// any.
    fn found(&self, with_pods: bool, [server_image, qdrant_image]: [&str; 2]) -> Observed {
        let mut children = self.children();
        let referenced = self.cluster.spec.referenced_secrets();
        let store = children.qdrant_stateful_set.as_ref().filter(|_| with_pods);
        let qdrant_pods: Vec<Pod> = store.map(|set| started(set.spec.template.metadata.as_ref())).into_iter().collect();
        if let Some(deployment) = children.deployment.as_mut().filter(|_| with_pods) {
            let count = deployment.spec.replicas;
            deployment.metadata.generation = Some(1);
            deployment.status = Some(DeploymentStatus {
                observed_generation: Some(1),
                replicas: count,
                updated_replicas: count,
                available_replicas: count,
                ..DeploymentStatus::default()
            });
        }
        Observed {
            children,
            qdrant_pods,
            referenced_secrets: referenced.into_iter().map(|(_, name)| (name.to_owned(), Presence::Exists)).collect(),
            ..nothing(server_image, qdrant_image)
        }
    }

    /// The objects under the names by which today's operator looks for them.
    fn children(&self) -> LiveChildren {
        let name = self.name();
        let (server, qdrant) = (name.server(), name.qdrant());
        let mut deployment = self.one::<Deployment>(&server);
        if let Some(deployment) = &mut deployment {
            deployment.spec.replicas = Some(self.cluster.spec.replicas);
        }
        let mut configs: Vec<ConfigMap> = self.all();
        configs.retain(|config| config.name_any().starts_with(&name.config_prefix()));
        LiveChildren {
            service_account: self.one(&server),
            corpus: self.one(&name.corpus()),
            revisions: self.all(),
            configs,
            live: self.one(&name.live()),
            secrets: self.secrets(&name),
            network_policy: self.one(&server),
            data_claim: self.one(&name.data()),
            qdrant_claim: self.one(&name.qdrant_data()),
            deployment,
            disruption_budget: self.one(&server),
            autoscaler: self.one(&name.autoscaler()),
            service: self.one(&name.service()),
            management: self.one(&name.management()),
            qdrant_bootstrap: self.one(&qdrant),
            qdrant_disruption_budget: self.one(&qdrant),
            qdrant_peers: self.one(&name.qdrant_peers()),
            qdrant_service: self.one(&qdrant),
            qdrant_stateful_set: self.one(&qdrant),
            qdrant_network_policy: self.one(&qdrant),
            strays: Vec::new(),
        }
    }

    fn secrets(&self, name: &ClusterName) -> OwnSecrets {
        let mut secrets =
            OwnSecrets { server: self.one(&name.server()), qdrant: self.one(&name.qdrant()), ..OwnSecrets::default() };
        for credential in credentials_to_read(&self.cluster.spec, secrets.server.as_ref()) {
            if let Credential::ApiKey(client) = &credential {
                let key = self.one::<Secret>(&name.client_key(client));
                secrets.client_keys.extend(key.map(|key| (client.clone(), key)));
            }
            let generation = self.one::<Secret>(&name.generation(&credential, Generation::FIRST));
            secrets.generations.extend(generation.map(|secret| ((credential, Generation::FIRST), secret)));
        }
        secrets
    }

    /// Each with a uid, as the API server gives one: what has none is never pruned.
    fn all<K: Resource + DeserializeOwned>(&self) -> Vec<K> {
        let of_kind = self.objects.iter().filter(|object| object["kind"] == K::KIND);
        let with_uid = of_kind.map(|object| {
            let mut object = object.clone();
            object["metadata"]["uid"] = json!(format!("uid of {}", title(&object)));
            serde_json::from_value(object).unwrap()
        });
        with_uid.collect()
    }

    fn one<K: Metadata<Ty = ObjectMeta> + DeserializeOwned>(&self, name: &str) -> Option<K> {
        self.all::<K>().into_iter().find(|object| object.metadata().name.as_deref() == Some(name))
    }

    fn name(&self) -> ClusterName {
        ClusterName::parse(&self.cluster.name_any()).unwrap()
    }

    /// The objects that today's operator would take for somebody else's.
    fn foreign(&self) -> Vec<String> {
        let (name, uid) = (self.cluster.name_any(), self.cluster.uid().unwrap());
        let is_foreign = |object: &&Value| {
            let metadata: ObjectMeta = serde_json::from_value(object["metadata"].clone()).unwrap();
            let kind = object["kind"].as_str().unwrap();
            child_ownership(kind, &metadata, Owner { name: &name, uid: &uid }) != Ownership::Ours
        };
        self.objects.iter().filter(is_foreign).map(title).collect()
    }
}

/// The pod of the vector store, whose container runs.
fn started(template: Option<&ObjectMeta>) -> Pod {
    let labels = template.and_then(|metadata| metadata.labels.as_ref());
    let state = json!({"running": {}});
    let container =
        json!({"name": "qdrant", "ready": true, "restartCount": 0, "image": "", "imageID": "", "state": state});
    let metadata = json!({"name": "qdrant-0", "uid": "uid of the pod", "labels": labels});
    serde_json::from_value(json!({"metadata": metadata, "status": {"containerStatuses": [container]}})).unwrap()
}

fn pass(cluster: &RagCluster, observed: &Observed) -> (Plan, Children<Prepared>) {
    let valid = validate(cluster, observed).unwrap();
    let plan = decide(&valid, observed);
    let children = build(&valid, &plan, observed);
    (plan, children)
}

/// Every object among the children. A child that is not taken into account does not compile.
fn objects(children: Children<Prepared>) -> Vec<Value> {
    let Children {
        service_account,
        corpus,
        minted,
        server_secret,
        client_keys,
        revision,
        config,
        live,
        network_policy,
        data_claim,
        qdrant,
        deployment,
        replicas: _,
        disruption_budget,
        autoscaler,
        service,
        management,
        growth: _,
        prune: _,
        stage: _,
    } = children;
    let mut objects =
        vec![json!(service_account), json!(corpus), json!(server_secret), json!(revision), json!(config), json!(live)];
    objects.extend(minted.iter().chain(&client_keys).map(|secret| json!(secret)));
    objects.extend([json!(network_policy), json!(data_claim), json!(deployment), json!(disruption_budget)]);
    objects.extend([json!(autoscaler), json!(service), json!(management)]);
    objects.extend(qdrant.into_iter().flat_map(of_store));
    objects.retain(|object| !object.is_null());
    objects.iter_mut().for_each(Value::sort_all_objects);
    objects
}

fn of_store(children: QdrantChildren) -> [Value; 8] {
    let QdrantChildren {
        secret,
        bootstrap,
        revision,
        network_policy,
        disruption_budget,
        peers,
        service,
        stateful_set,
        outdated: _,
        remade: _,
    } = children;
    [
        json!(secret),
        json!(bootstrap),
        json!(revision),
        json!(network_policy),
        json!(disruption_budget),
        json!(peers),
        json!(service),
        json!(stateful_set),
    ]
}

/// The kind and the name of an object.
fn title(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"]))
}

/// A generation of a credential, which is minted once and then read back.
fn is_generation(object: &Value) -> bool {
    object["kind"] == "Secret" && is_immutable(object)
}

fn is_immutable(object: &Value) -> bool {
    object["immutable"].as_bool() == Some(true)
}

/// What stays as it is in an object. Claims, revisions and what is immutable stay whole: Kubernetes would refuse another one.
fn places(object: &Value) -> &'static [&'static str] {
    match object["kind"].as_str() {
        Some("PersistentVolumeClaim") => &["/spec", "/metadata/labels", "/metadata/ownerReferences"],
        Some("ControllerRevision") => &["/data", "/revision", "/metadata/ownerReferences"],
        Some("ConfigMap" | "Secret") if is_immutable(object) => &["/data", "/immutable", "/metadata/ownerReferences"],
        _ => &[
            "/spec/template",
            "/spec/selector",
            "/spec/podSelector",
            "/spec/scaleTargetRef",
            "/spec/serviceName",
            "/spec/podManagementPolicy",
            "/spec/volumeClaimTemplates",
            "/spec/clusterIP",
            "/metadata/ownerReferences",
        ],
    }
}

/// What an operator made otherwise than it was before, or made no longer.
fn changes(before: &[Value], after: &[Value]) -> Vec<String> {
    let text = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), ToString::to_string);
    let mut changes = Vec::new();
    for object in before {
        let title_before = title(object);
        match after.iter().find(|now| title(now) == title_before) {
            Some(now) => {
                let has_changed = |place: &&&str| object.pointer(place) != now.pointer(place);
                changes.extend(places(object).iter().filter(has_changed).map(|place| {
                    let (was, is) = (text(object.pointer(place)), text(now.pointer(place)));
                    format!("{title_before}{place} was {was} and is {is}")
                }));
            }
            None if is_generation(object) => {}
            None => changes.push(format!("{title_before} is no longer made")),
        }
    }
    changes
}

/// The names of what is in a folder, in order.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}; make fixtures", folder.display()));
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

#[test]
fn a_newer_operator_changes_no_pod_selector_or_claim_that_an_earlier_version_made() {
    let files: Vec<PathBuf> = entries(Path::new(FIXTURES)).iter().flat_map(|version| entries(version)).collect();
    assert!(files.len() >= 10, "only {files:?}");
    for file in files {
        let fixture = Fixture::read(&file);
        let file = file.display();
        assert_eq!(fixture.foreign(), [] as [String; 0], "{file}");
        for with_pods in [true, false] {
            // Another default of every image, and other randomness: whatever is made anew differs.
            let found = Observed { entropy: Entropy([9; 32]), ..fixture.found(with_pods, NEWER) };
            let (plan, children) = pass(&fixture.cluster, &found);
            assert!(plan.held.is_empty(), "{file}: {:?}", plan.held);
            assert!(plan.prune.is_empty(), "{file}: {:?}", plan.prune);
            let changes = changes(&fixture.objects, &objects(children));
            assert!(changes.is_empty(), "{file}, with pods: {with_pods}:\n{}", changes.join("\n"));
        }
    }
}

#[test]
fn a_change_of_a_pod_a_selector_a_claim_or_a_name_would_be_noticed() {
    let examples = examples();
    let made = |file: &str| {
        let (_, cluster) = examples.iter().find(|(path, _)| path.ends_with(file)).unwrap();
        Fixture::of(cluster.clone()).objects
    };
    let made = [made("01-minimal.yaml"), made("02-development-embedded.yaml")].concat();
    assert_eq!(changes(&made, &made), [] as [String; 0]);
    let mut tried = BTreeSet::new();
    for (index, object) in made.iter().enumerate() {
        for place in places(object) {
            let mut now = made.clone();
            let Some(value) = now[index].pointer_mut(place) else { continue };
            *value = json!("another");
            assert_eq!(changes(&made, &now).len(), 1, "{}{place}", title(object));
            tried.insert(*place);
        }
        let mut now = made.clone();
        now.remove(index);
        assert_eq!(changes(&made, &now).len(), usize::from(!is_generation(object)), "{}", title(object));
    }
    let all: BTreeSet<&str> = made.iter().flat_map(places).copied().collect();
    assert_eq!(tried, all);
}

/// Writes down what this version makes of every example. What is there stays: clusters run that were made so.
fn write_down(folder: &Path) {
    fs::create_dir(folder).unwrap();
    for (example, cluster) in examples() {
        let file = folder.join(example.file_name().unwrap());
        assert!(!file.exists(), "{} holds two RagClusters", example.display());
        Fixture::of(cluster).write(&file);
    }
}

#[test]
fn this_version_and_every_one_that_was_released_has_its_fixtures() {
    let today = Path::new(FIXTURES).join(VERSION);
    if std::env::var_os("RAGOPS_WRITE_FIXTURES").is_some() && !today.exists() {
        write_down(&today);
    }
    let changelog = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../CHANGELOG.md")).unwrap();
    let headings = changelog.lines().filter_map(|line| line.strip_prefix("## "));
    let versions = headings.filter_map(|heading| heading.trim_start_matches('[').split([']', ' ']).next());
    let released = versions.filter(|version| version.starts_with(|first: char| first.is_ascii_digit()));
    for version in released.chain([VERSION]) {
        let folder = Path::new(FIXTURES).join(version);
        assert!(folder.is_dir(), "{} is not there: run make fixtures at that version", folder.display());
    }
}
