//! What harms as long as it is there goes, whatever else cannot be written.

use super::*;
use crate::apply::apply;
use crate::cluster::fixtures::{applied, cluster, nothing, pass};
use crate::cluster::observed::LiveChildren;

const AUTOSCALER: &str = "DELETE /apis/autoscaling/v2/namespaces/team-a/horizontalpodautoscalers/handbook?";
const KEY: &str = "DELETE /api/v1/namespaces/team-a/secrets/handbook-key-nightly?";
const GENERATION: &str = "DELETE /api/v1/namespaces/team-a/secrets/handbook-api-key-nightly-g1?";

/// The first child of all, which is not there yet.
const SERVICE_ACCOUNT: &str = "GET /api/v1/namespaces/team-a/serviceaccounts/handbook-server";

fn gone() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})
}

fn forbidden() -> Value {
    json!({"kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "no"})
}

/// What is there before the autoscaler is switched off and a client is removed.
fn before() -> LiveChildren {
    let world = applied(&cluster("auth: {apiKeys: [{name: nightly}, {name: web}]}"), &nothing());
    LiveChildren { service_account: None, ..world.children }
}

/// Carries the new spec out, which fails.
async fn fails(play: &Play) -> Error {
    let now = cluster("{autoscaling: {enabled: false}, auth: {apiKeys: [{name: web}]}}");
    let mut world = nothing();
    world.children = before();
    let (_, _, children) = pass(&now, &world);
    apply(&play.context, &now, children, &world.children).await.unwrap_err()
}

#[tokio::test]
async fn an_autoscaler_that_is_switched_off_and_a_removed_clients_key_go_though_no_child_can_be_written() {
    let play = Play::of([
        scene(AUTOSCALER, 200, gone()),
        scene(KEY, 200, gone()),
        scene(GENERATION, 200, gone()),
        scene(SERVICE_ACCOUNT, 403, forbidden()),
    ]);
    let refused = fails(&play).await;
    assert!(refused.to_string().contains("serviceaccounts"), "{refused}");
    play.end();
}

#[tokio::test]
async fn children_are_written_though_what_harms_cannot_be_removed() {
    let play = Play::of([scene(AUTOSCALER, 403, forbidden()), scene(SERVICE_ACCOUNT, 403, forbidden())]);
    fails(&play).await;
    play.end();
}

#[tokio::test]
async fn what_could_not_be_removed_is_said_when_everything_else_is_as_wanted() {
    let before = applied(&cluster("{}"), &nothing());
    let now = cluster("{autoscaling: {enabled: false}}");
    let mut world = applied(&now, &before);
    world.children.autoscaler = before.children.autoscaler;
    let (_, _, children) = pass(&now, &world);
    let play = Play::of([scene(AUTOSCALER, 403, forbidden())]);
    let refused = apply(&play.context, &now, children, &world.children).await.unwrap_err();
    assert!(refused.remedy().starts_with("grant delete on horizontalpodautoscalers"), "{}", refused.remedy());
    play.end();
}
