//! What a snapshot asks of the API server, told as stories.

use serde_json::json;

use super::{World, snapshot};
use crate::api::snapshot::{ArchivePolicy, RagSnapshot};
use crate::apply::stories::{Play, scene};
use crate::cluster::build::config::CONFIG_FILE;
use crate::error::Error;
use crate::job::MANIFEST_FILE;
use crate::snapshot::carry_out::carry_out;
use crate::snapshot::decide::{Act, Doing, FINALIZER};
use crate::snapshot::observed::Obstacle;

const PATCH: &str =
    "PATCH /apis/ragops.dev/v1alpha1/namespaces/team-a/ragsnapshots/nightly?&fieldManager=ragops.dev%2Fcore";

fn with_finalizers(finalizers: &[&str]) -> RagSnapshot {
    let mut snapshot = snapshot(ArchivePolicy::Delete);
    snapshot.metadata.resource_version = Some("7".into());
    snapshot.metadata.finalizers = Some(finalizers.iter().map(|name| (*name).to_owned()).collect());
    snapshot
}

async fn act(play: &Play, snapshot: &RagSnapshot, act: Act) -> Result<(), Error> {
    let seen = World::new(ArchivePolicy::Delete).seen();
    carry_out(&play.context, snapshot, &seen, &Doing { act, snapshot: "nightly".into() }).await
}

#[tokio::test]
async fn our_finalizer_comes_and_goes_beside_those_of_others() {
    for (before, doing, after) in [
        (["theirs"].as_slice(), Act::Hold, json!(["theirs", FINALIZER])),
        (&["theirs", FINALIZER], Act::Hold, json!(["theirs", FINALIZER])),
        (&[FINALIZER, "theirs"], Act::Release, json!(["theirs"])),
    ] {
        let snapshot = with_finalizers(before);
        let play = Play::of([scene(PATCH, 200, json!(snapshot))]);
        act(&play, &snapshot, doing).await.unwrap();
        let body = play.end().remove(0);
        // Whoever has changed it since is not written over.
        assert_eq!(body, json!({"metadata": {"finalizers": after, "resourceVersion": "7"}}));
    }
}

#[tokio::test]
async fn one_that_is_gone_is_let_go() {
    let gone = json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": "gone"});
    let play = Play::of([scene(PATCH, 404, gone)]);
    act(&play, &with_finalizers(&[FINALIZER]), Act::Release).await.unwrap();
    play.end();
}

#[tokio::test]
async fn a_job_is_not_made_where_its_way_has_been_barred() {
    let play = Play::of([]);
    let mut world = World::new(ArchivePolicy::Retain);
    world.way = Err(Obstacle::Paused("handbook".into()));
    let doing = Doing { act: Act::Take(1), snapshot: "nightly".into() };
    carry_out(&play.context, &world.snapshot, &world.seen(), &doing).await.unwrap();
    play.end();
}

/// What the Job of this act finds beside the configuration, and what its configuration says of it.
async fn attached_for(doing: Act, job: &str) -> (Option<String>, bool) {
    let of_team = "/namespaces/team-a";
    let kinds = [
        format!("/api/v1{of_team}/serviceaccounts"),
        format!("/apis/networking.k8s.io/v1{of_team}/networkpolicies"),
        format!("/api/v1{of_team}/configmaps"),
        format!("/apis/batch/v1{of_team}/jobs"),
    ];
    let gone = json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": "gone"});
    let made = json!({"metadata": {"name": job, "resourceVersion": "7"}});
    let of_kind = |kind: &String| {
        let get = scene(format!("GET {kind}/{job}").leak(), 404, gone.clone());
        [get, scene(format!("POST {kind}?&fieldManager=ragops.dev%2Fcore").leak(), 201, made.clone())]
    };
    let play = Play::of(kinds.iter().flat_map(of_kind));
    act(&play, &snapshot(ArchivePolicy::Delete), doing).await.unwrap();
    let bodies = play.end();
    let data = &bodies.iter().find(|body| body["data"].is_object()).unwrap()["data"];
    let config: toml::Table = data[CONFIG_FILE].as_str().unwrap().parse().unwrap();
    (data[MANIFEST_FILE].as_str().map(str::to_owned), config["snapshots"].get("attached").is_some())
}

#[tokio::test]
async fn the_cluster_goes_with_a_snapshot_that_is_taken_and_no_other_job_is_told_of_it() {
    let (manifest, is_told) = attached_for(Act::Take(1), "nightly-take").await;
    assert!(is_told && manifest.unwrap().contains("kind: RagCluster"));
    assert_eq!(attached_for(Act::Remove(1), "nightly-remove").await, (None, false));
}
