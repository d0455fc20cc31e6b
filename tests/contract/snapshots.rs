//! A Job's configuration, read by the server's real parser, and what its commands report, read by the operator.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use rag_server::{
    cli::snapshot::{
        SnapshotArgs,
        figures::{Figures, HowFar, Unit},
    },
    config::Config,
};
use ragops_operator::{
    api::{RagCluster, RagRestore, cluster::Snapshots},
    cluster::build::config::CONFIG_FILE,
    job::{
        Archive, Attached, Built, MANIFEST_FILE, Request, build,
        progress::{Told, Unit as Counted},
        servers,
    },
    restore::{build::arguments, decide::Source, observed::Task},
    server_client::{ServerClient, Silence},
    snapshot::command,
    snapshot::report::{Cause, Drilled, Listed, Outcome, Removed, Report, Restored, Taken},
};
use serde_json::{Value, json};

use crate::{
    built::named,
    rendered::{children, examples, text},
};

/// What an operator makes of a snapshot of this cluster, to each of its destinations.
fn jobs(cluster: &RagCluster) -> Vec<(String, Built)> {
    let cluster = named(cluster.clone());
    let children = children(cluster.clone());
    let (deployment, config) = (children.deployment, Arc::new(children.config));
    let servers = servers(&cluster, Some(&deployment), &[config]).unwrap();
    let snapshots = cluster.spec.snapshots.as_ref();
    let destinations = snapshots.map(|snapshots| snapshots.destinations.clone()).unwrap_or_default();
    let job = |name: String| {
        let attached = Attached::of(&cluster, servers.config.len());
        let archive = Archive::of("handbook", snapshots, Some(&name)).unwrap().attaching(attached);
        let owner = OwnerReference { kind: "RagSnapshot".into(), name: "nightly".into(), ..OwnerReference::default() };
        let request = Request {
            name: "nightly-take".into(),
            owner,
            servers: &servers,
            archive: &archive,
            args: ["snapshot", "create", "nightly"].map(str::to_owned).to_vec(),
            deadline_seconds: 3600,
            retries: 0,
        };
        (name, build(&request))
    };
    destinations.into_iter().map(|destination| job(destination.name)).collect()
}

fn parsed(built: &Built) -> Config {
    let bytes = text(&built.config, CONFIG_FILE);
    Config::from_toml(bytes.as_bytes(), "config.toml").unwrap_or_else(|problems| panic!("{problems}\n{bytes}"))
}

/// A cluster with the given `spec.snapshots` beside what an example asks for.
fn with_snapshots(snapshots: Value) -> RagCluster {
    let (_, mut cluster) = examples().remove(0);
    let snapshots: Snapshots = serde_json::from_value(snapshots).unwrap();
    cluster.spec.snapshots = Some(snapshots);
    cluster
}

fn bucket() -> Value {
    json!({"bucket": "archive", "endpoint": "http://seaweedfs:8333", "secretRef": {"name": "key"}, "caKey": "ca.crt"})
}

#[test]
fn the_server_parses_the_configuration_of_a_job_to_the_servers_own_and_the_archive() {
    let destinations =
        json!([{"name": "offsite", "s3": bucket()}, {"name": "near", "volume": {"claimName": "archive"}}]);
    let cluster = with_snapshots(json!({"destinations": destinations, "signing": {"secretRef": {"name": "signing"}}}));
    let of_servers = text(&children(cluster.clone()).config, CONFIG_FILE).to_owned();
    let of_servers = Config::from_toml(of_servers.as_bytes(), "config.toml").unwrap();
    let jobs = jobs(&cluster);
    let [offsite, near] = jobs.as_slice() else { panic!("{} jobs", jobs.len()) };
    for (_, built) in &jobs {
        let config = parsed(built);
        assert_eq!(config.snapshots.signing_key_file.as_deref(), Some(Path::new("/etc/rag/signing/key")));
        assert_eq!(Config { snapshots: of_servers.snapshots.clone(), ..config }, of_servers);
    }
    let s3 = parsed(&offsite.1).snapshots.s3.unwrap();
    let name = cluster.metadata.name.as_deref().unwrap();
    assert_eq!((s3.bucket.as_str(), s3.prefix), ("archive", Some(format!("team-a/{name}"))));
    assert_eq!((s3.region.as_str(), s3.endpoint.as_deref()), ("us-east-1", Some("http://seaweedfs:8333")));
    let folder = parsed(&near.1).snapshots.folder.unwrap().path;
    assert_eq!(folder, PathBuf::from(format!("/var/lib/rag/archive/team-a/{name}")));
    // Each file that is named is below a folder that is mounted.
    for (file, built) in [
        (s3.access_key_id_file, &offsite.1),
        (s3.secret_access_key_file, &offsite.1),
        (s3.ca_file.unwrap(), &offsite.1),
        (folder, &near.1),
    ] {
        let pod = built.job.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
        let mounts = pod.containers[0].volume_mounts.as_ref().unwrap();
        assert!(mounts.iter().any(|mount| file.starts_with(&mount.mount_path)), "{}", file.display());
    }
}

/// The folder that the server is told of has the manifest of the cluster in it and nothing else: each of its files goes along.
#[test]
fn the_cluster_of_every_job_is_in_the_folder_whose_files_go_with_a_snapshot() {
    let destinations = json!([{"name": "near", "volume": {"claimName": "archive"}}]);
    let cluster = with_snapshots(json!({"destinations": destinations}));
    let (_, built) = jobs(&cluster).remove(0);
    let folder = parsed(&built).snapshots.attached.unwrap();
    let pod = built.job.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    let mounts = pod.containers[0].volume_mounts.as_ref().unwrap();
    let mount = mounts.iter().find(|mount| Path::new(&mount.mount_path) == folder).unwrap();
    let volume = pod.volumes.iter().flatten().find(|volume| volume.name == mount.name).unwrap();
    let source = volume.config_map.as_ref().unwrap();
    assert_eq!(Some(&source.name), built.config.metadata.name.as_ref());
    let files: Vec<_> = source.items.iter().flatten().map(|item| (item.key.as_str(), item.path.as_str())).collect();
    assert_eq!(files, [(MANIFEST_FILE, MANIFEST_FILE)]);
    let applied: RagCluster = serde_yaml_ng::from_str(text(&built.config, MANIFEST_FILE)).unwrap();
    assert_eq!(applied.spec, cluster.spec);
}

#[test]
fn every_example_with_snapshots_gives_jobs_that_the_server_can_read() {
    let mut seen = 0;
    for (file, cluster) in examples() {
        for (destination, built) in cluster.spec.snapshots.is_some().then(|| jobs(&cluster)).into_iter().flatten() {
            let snapshots = parsed(&built).snapshots;
            assert!(snapshots.s3.is_some() != snapshots.folder.is_some(), "{}: {destination}", file.display());
            seen += 1;
        }
    }
    assert!(seen > 0, "no example has a destination");
}

#[test]
fn the_server_parses_the_configuration_of_a_job_with_encryption() {
    let destinations = json!([{"name": "offsite", "s3": bucket()}]);
    let cluster = with_snapshots(json!({"destinations": destinations, "encryption": {"secretRef": {"name": "age"}}}));
    parsed(&jobs(&cluster)[0].1);
}

fn snapshot() -> Value {
    json!({
        "name": "nightly", "place": "s3://archive/team-a/handbook", "sha256": "ab".repeat(32),
        "began": "2026-11-21T02:00:00Z", "ended": "2026-11-21T02:00:10Z", "last_write": "2026-11-21T01:59:00Z",
        "documents": 10, "chunks": 100, "left_out": 0, "bytes": 4096, "encrypted": false, "signed": true, "format": 1,
    })
}

fn report(body: Value) -> Report {
    Report::parse(&body.to_string()).unwrap()
}

#[test]
fn the_operator_reads_every_report_of_the_contract() {
    let taken = json!({"outcome": "done", "snapshot": snapshot(), "written_bytes": 123, "verified": true});
    let taken = report(taken).read::<Taken>().unwrap();
    assert!(taken.verified && taken.snapshot.signed);
    let removed = json!({"outcome": "done", "removed": ["nightly"], "freed_bytes": 123});
    assert_eq!(report(removed).read::<Removed>().unwrap().freed_bytes, 123);
    let listed = json!({"name": "nightly", "began": "2026-11-21T02:00:00Z", "documents": 10, "bytes": 4096});
    let listed = json!({"outcome": "done", "snapshots": [listed], "total": 1});
    assert_eq!(report(listed).read::<Listed>().unwrap().total, 1);
    let documents = json!({"added": 1, "changed": 2, "removed": 3, "unchanged": 4});
    let restored = json!({
        "outcome": "done", "snapshot": snapshot(), "epoch": 4, "previous_epoch": 3, "proven": 20, "asked": 20,
        "documents": documents, "seconds": 12.3,
    });
    assert_eq!(report(restored).read::<Restored>().unwrap().epoch, Some(4));
    let drilled = json!({
        "outcome": "done", "snapshot": snapshot(), "recall": 1.0, "asked": 20, "found": 20, "rto_seconds": 12.3,
        "rpo_seconds": 3600.0, "documents": 10, "chunks": 100,
    });
    assert_eq!(report(drilled).read::<Drilled>().unwrap().found, 20);
    let skipped = report(json!({"outcome": "skipped", "cause": "no_room", "message": "the disk is full"}));
    assert_eq!((skipped.outcome, skipped.cause), (Outcome::Skipped, Some(Cause::NoRoom)));
}

#[tokio::test]
async fn the_operator_reads_how_far_a_command_is_where_the_command_says_it() {
    let figures = Figures::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(axum::serve(listener, figures.clone().router()).into_future());
    let client = ServerClient::new(address.port(), Duration::from_secs(20)).unwrap();
    assert_eq!(client.progress(address.ip()).await, Err(Silence::Refused(204)));
    for (unit, counted, bytes) in [(Unit::Documents, Counted::Documents, Some(7)), (Unit::Parts, Counted::Parts, None)]
    {
        figures.tell(HowFar { unit, done: 12, of: 24, bytes });
        assert_eq!(client.progress(address.ip()).await, Ok(Told { unit: counted, done: 12, of: 24, bytes }));
    }
    served.abort();
}

/// The part of the server's command line that Jobs use.
#[derive(clap::Parser)]
struct CommandLine {
    #[arg(long = "config")]
    _config: PathBuf,
    #[command(subcommand)]
    _command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Snapshot(SnapshotArgs),
}

#[test]
fn the_server_knows_every_argument_of_a_job() {
    let cluster = with_snapshots(json!({"destinations": [{"name": "near", "volume": {"claimName": "archive"}}]}));
    let (_, built) = jobs(&cluster).remove(0);
    let pod = built.job.spec.unwrap().template.spec.unwrap();
    let whole = pod.containers[0].args.clone().unwrap();
    let restore = |more: Value| -> RagRestore {
        let mut spec = json!({"cluster": "handbook", "mode": "InPlace"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let metadata = json!({"name": "undo", "uid": "5b8e"});
        let object =
            json!({"apiVersion": "ragops.dev/v1alpha1", "kind": "RagRestore", "metadata": metadata, "spec": spec});
        serde_json::from_value(object).unwrap()
    };
    let source = Source { destination: "near".into(), name: Some("nightly".into()), before: None };
    let restoring = |task, more| arguments(&restore(more), task, &source, 95);
    for args in [
        command::take("nightly", "5b8e", None),
        command::take("nightly", "5b8e", Some("http://handbook-management:9090")),
        command::verify("nightly"),
        command::remove("nightly"),
        restoring(Task::Restore, json!({})),
        restoring(Task::Restore, json!({"withDeleted": true, "dryRun": true})),
        restoring(Task::Drill, json!({})),
        restoring(Task::Revert, json!({})),
    ]
    .into_iter()
    .map(|command| [vec!["--config".into(), "config.toml".into()], command].concat())
    .chain([whole])
    {
        let line = std::iter::once("rag-server".to_owned()).chain(args.clone());
        assert!(CommandLine::try_parse_from(line).is_ok(), "{args:?}");
    }
}
