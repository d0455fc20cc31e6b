//! What a snapshot asks of the API server, told as stories.

use serde_json::json;

use super::{World, snapshot};
use crate::api::snapshot::{ArchivePolicy, RagSnapshot};
use crate::apply::stories::{Play, scene};
use crate::error::Error;
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
