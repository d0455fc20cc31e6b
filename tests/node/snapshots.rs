//! Snapshots by Jobs of the real image: taken onto a volume and into a bucket, drilled in both ways, restored in place while a client asks,
//! and restored by the bucket alone after everything else is gone.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use http::Request;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt};
use ragops_operator::api::{RagCluster, RagRestore, RagSnapshot};
use ragops_tests::{availability, until};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::asking::Asking;
use crate::documents::{id, room};
use crate::packed;
use crate::service::{Server, Service};
use crate::shared::{DRILLS, NAMESPACE, WITHIN, node};
use crate::stores::{self, Store};

const NAME: &str = "minutes";
const CLAIM: &str = "minutes-archive";
/// The store of the bucket, and its key.
const STORE: &str = "minutes-store";
const KEY_ID: &str = "minutes";
const SECRET_KEY: &str = "of-the-test-alone";
const ROOMS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_taken_proven_and_restored_by_jobs_and_outlive_the_cluster() -> Result<()> {
    let Some(node) = node("snapshots_are_taken_proven_and_restored_by_jobs_and_outlive_the_cluster").await? else {
        return Ok(());
    };
    let minutes = Minutes { service: Service::of(&node, NAME).await?, offsite: offsite()? };
    let outcome = node.after_snapshots(minutes.promises().await).await;
    stores::remove(node.cluster).await?;
    outcome
}

/// The destination that outlives everything else: a bucket, or the volume where none can be had, which is said.
fn offsite() -> Result<&'static str> {
    match packed::seaweedfs()? {
        Ok(_) => Ok("bucket"),
        Err(reason) => {
            availability::skipped("a_bucket_on_the_node", &reason)?;
            Ok("volume")
        }
    }
}

/// A RagCluster with a volume of snapshots, and a bucket of them.
struct Minutes<'n> {
    service: Service<'n>,
    offsite: &'static str,
}

impl Minutes<'_> {
    async fn promises(&self) -> Result<()> {
        self.furnish().await?;
        let server = self.serve().await?;
        let rooms: Vec<_> = (0..ROOMS).map(|n| (id(n), room(n))).collect();
        let job = server.ingest(&rooms).await?;
        server.done(&job).await?;

        for (name, destination) in [("minutes-first", "volume"), ("minutes-offsite", self.offsite)] {
            let taken = self.service.snapshot(name, destination).await?;
            assert_eq!((taken.documents, taken.left_out), (ROOMS as i64, 0));
        }
        self.change(&server).await?;
        self.drills_what_it_took().await?;
        self.drills_in_full().await?;
        self.goes_back_while_a_client_asks(server).await?;
        self.outlives_everything_else().await
    }

    /// The volume of the snapshots and the bucket, which are the user's.
    async fn furnish(&self) -> Result<()> {
        self.service.claim(CLAIM).await?;
        if self.offsite == "bucket" { self.furnish_bucket().await } else { Ok(()) }
    }

    async fn furnish_bucket(&self) -> Result<()> {
        let identity = json!({
            "name": "tests", "credentials": [{"accessKey": KEY_ID, "secretKey": SECRET_KEY}],
            "actions": ["Read", "Write", "List"],
        });
        let s3 = json!({"identities": [identity]}).to_string();
        let args = json!([
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=0.0.0.0",
            "-dir=/data",
            "-master.volumeSizeLimitMB=64",
            "-s3",
            "-s3.port=8333",
            "-s3.config=/etc/bucket/s3.json",
        ]);
        let mut secret = keys();
        secret["s3.json"] = s3.into();
        let (image, port, folder) = (packed::SEAWEEDFS, 8333, "bucket");
        let store = Store { name: STORE, image, args, port, folder, secret, is_kept: false };
        store.furnish(&self.service.client).await?;
        // A bucket is a folder of its file server, which listens before it knows where to keep something.
        let folder = format!("/api/v1/namespaces/{NAMESPACE}/pods/{STORE}-0:8888/proxy/buckets/archive/");
        until("the bucket is there", WITHIN, || async {
            self.service.client.request_text(Request::post(&folder).body(Vec::new())?).await?;
            Ok(Some(()))
        })
        .await
    }

    async fn serve(&self) -> Result<Server> {
        let address = format!("http://{STORE}.{NAMESPACE}:8333");
        let s3 = json!({"bucket": "archive", "endpoint": address, "secretRef": {"name": STORE}});
        let mut destinations = vec![json!({"name": "volume", "volume": {"claimName": CLAIM}})];
        if self.offsite == "bucket" {
            destinations.push(json!({"name": "bucket", "s3": s3}));
        }
        let spec = json!({
            "profile": "Development", "replicas": 1, "autoscaling": {"enabled": false},
            "snapshots": {"destinations": destinations, "suspend": true},
        });
        self.service.serving(&spec).await?;
        let servers = self.service.servers().await?;
        self.service.connect(servers.first().context("no server is ready")?).await
    }

    /// What somebody regrets later: a document is deleted, one is changed, one is added.
    async fn change(&self, server: &Server) -> Result<()> {
        let deleted = server.request(Method::DELETE, &format!("/documents/{}", id(7))).send().await?;
        ensure!(deleted.status().is_success(), "{}", deleted.status());
        let changed = [(id(8), "Room 8 was given up.".to_owned()), (id(ROOMS), room(ROOMS))];
        let job = server.ingest(&changed).await?;
        server.done(&job).await
    }

    async fn drills_what_it_took(&self) -> Result<()> {
        let drill = self.service.restore("minutes-drill", json!({"cluster": NAME, "mode": "Drill"})).await?;
        assert_eq!((drill.snapshot.as_str(), drill.documents), ("minutes-first", Some(ROOMS as i64)));
        assert_eq!(drill.recall_percent, Some(100.0));
        ensure!(drill.rto_seconds.is_some() && drill.rpo_seconds.is_some_and(|rpo| rpo > 0.0), "{drill:?}");
        Ok(())
    }

    /// From the bucket alone, by a cluster of its own in another namespace, of which nothing is left.
    async fn drills_in_full(&self) -> Result<()> {
        if self.offsite != "bucket" {
            return Ok(());
        }
        let keys: Secret = serde_json::from_value(json!({"metadata": {"name": STORE}, "stringData": keys()}))?;
        let secrets: Api<Secret> = self.there();
        secrets.create(&PostParams::default(), &keys).await?;
        let source = json!({"snapshotRef": {"name": "minutes-offsite"}});
        let spec = json!({"cluster": NAME, "mode": "Drill", "inNamespace": DRILLS, "source": source});
        let drill = self.service.restore("minutes-full", spec).await?;
        assert_eq!((drill.snapshot.as_str(), drill.documents), ("minutes-offsite", Some(ROOMS as i64)));
        println!("drilled in full within {:.0} s", drill.rto_seconds.context("no RTO")?);
        assert_eq!(names(&self.there::<RagCluster>()).await?, [] as [String; 0]);
        assert_eq!(names(&self.there::<RagRestore>()).await?, [] as [String; 0]);
        assert_eq!(names(&self.there::<Pod>()).await?, [] as [String; 0]);
        assert_eq!(names(&self.there::<PersistentVolumeClaim>()).await?, [] as [String; 0]);
        assert_eq!(names(&secrets).await?, [STORE]);
        Ok(())
    }

    async fn goes_back_while_a_client_asks(&self, server: Server) -> Result<()> {
        let server = Arc::new(server);
        let asking = Asking::begin(&server);
        asking.has_answers().await?;
        let source = json!({"snapshotRef": {"name": "minutes-first"}});
        let spec = json!({"cluster": NAME, "mode": "InPlace", "source": source, "withDeleted": true});
        let restored = self.service.restore("minutes-undo", spec).await?;
        asking.has_answers().await?;
        asking.end().await?;
        let changes = serde_json::to_value(restored.changes.context("no changes")?)?;
        assert_eq!(changes, json!({"added": 1, "changed": 1, "removed": 1, "unchanged": ROOMS - 2}));
        self.is_what_was_taken(&server).await?;
        let before: RagSnapshot = self.api().get("minutes-undo-before").await?;
        let kept = before.status.and_then(|status| status.archive).context("what was served was not kept")?;
        assert_eq!(kept.documents, ROOMS as i64);
        Ok(())
    }

    /// Everything goes but the bucket; a new cluster of the old name is given the corpus back.
    async fn outlives_everything_else(&self) -> Result<()> {
        let snapshots: Api<RagSnapshot> = self.api();
        snapshots.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        self.service.clusters.delete(NAME, &DeleteParams::default()).await?;
        let lost = Instant::now();
        self.remove::<ConfigMap>(&format!("{NAME}-corpus")).await?;
        self.remove::<PersistentVolumeClaim>(&format!("data-{NAME}-qdrant-0")).await?;
        let server = self.serve().await?;
        let missing = server.request(Method::GET, &format!("/documents/{}", id(1))).send().await?;
        assert_eq!(missing.status(), StatusCode::NOT_FOUND);
        assert_eq!(snapshots.list(&ListParams::default()).await?.items.len(), 0);
        let source = json!({"archive": {"name": "minutes-offsite", "destination": self.offsite}});
        self.service.restore("minutes-again", json!({"cluster": NAME, "mode": "InPlace", "source": source})).await?;
        let answer = server.ask("Where is the key of room 7?").await?;
        assert_eq!(answer["citations"][0]["document"], id(7), "{answer}");
        println!("answered {:.0} s after cluster and data were deleted", lost.elapsed().as_secs_f64());
        self.is_what_was_taken(&server).await
    }

    async fn is_what_was_taken(&self, server: &Server) -> Result<()> {
        for n in [7, 8] {
            let answer = server.ask(&format!("Where is the key of room {n}?")).await?;
            assert_eq!(answer["status"], "grounded", "{answer}");
            assert_eq!(answer["citations"][0]["document"], id(n), "{answer}");
        }
        let added = server.request(Method::GET, &format!("/documents/{}", id(ROOMS))).send().await?;
        assert_eq!(added.status(), StatusCode::NOT_FOUND);
        Ok(())
    }

    async fn remove<K>(&self, name: &str) -> Result<()>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let api: Api<K> = self.api();
        if api.get_opt(name).await?.is_some() {
            api.delete(name, &DeleteParams::default()).await?;
        }
        until(&format!("{name} is gone"), WITHIN, || async { Ok(api.get_opt(name).await?.is_none().then_some(())) })
            .await
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.service.client.clone(), NAMESPACE)
    }

    /// In the namespace of full drills.
    fn there<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.service.client.clone(), DRILLS)
    }
}

/// What the bucket lets in.
fn keys() -> Value {
    json!({"access-key-id": KEY_ID, "secret-access-key": SECRET_KEY})
}

async fn names<K>(api: &Api<K>) -> Result<Vec<String>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    Ok(api.list(&ListParams::default()).await?.items.iter().map(ResourceExt::name_any).collect())
}
