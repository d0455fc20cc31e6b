//! Full drills, case by case.

use jiff::SignedDuration;
use serde_json::json;

use super::{Told, after, seen_by};
use crate::api::restore::RestoreResult;
use crate::api::steps::StepState;
use crate::api::{ConditionReason, ConditionType};
use crate::restore::build::elsewhere::{cluster, recovery};
use crate::restore::decide::{Errand, created_at, is_abandoned, source, swept};
use crate::restore::evidence::evidence;
use crate::restore::fixtures::{ASKED_AT, at, found, full_drill, restore, seen_elsewhere, switched, taken};
use crate::restore::names::elsewhere_name;
use crate::restore::observed::{Elsewhere, Found, Recovery, Seen, Serving};
use crate::restore::reported::whole;
use crate::steps::{Answer, Effect};

const MADE: &str = "drill-quarterly-";

fn there(change: impl FnOnce(&mut Elsewhere)) -> Seen {
    let mut seen = seen_elsewhere();
    change(seen.elsewhere.get_or_insert_default());
    seen
}

fn done(recall_percent: f64) -> Recovery {
    let lasted = Some(SignedDuration::from_secs(250));
    let restored = RestoreResult { destination: "bucket".into(), ..switched(recall_percent) };
    Recovery::Done(Box::new(whole(&restored, lasted, Some(SignedDuration::from_hours(30)))))
}

fn serving_with(recovery: Option<Found<Recovery>>) -> Seen {
    there(|there| (there.cluster, there.recovery) = (found(Serving::Yes), recovery))
}

/// What is left is removed, one after the other, and then it ends.
fn removed(told: &mut Told, seen: Seen, time: &str) -> (String, String) {
    removed_by(told, seen, time).0
}

/// The same, with what was done for it.
fn removed_by(told: &mut Told, mut seen: Seen, time: &str) -> ((String, String), Vec<String>) {
    let mut removed = Vec::new();
    while let Answer::Do { effect, .. } = told.answer(&seen, time) {
        let words = effect.name();
        let there = seen.elsewhere.get_or_insert_default();
        match words.split(' ').take(2).collect::<Vec<_>>()[..] {
            ["delete", "RagRestore"] => there.recovery = None,
            ["delete", "RagCluster"] => there.cluster = None,
            ["delete", "the"] => there.before = None,
            _ => panic!("{words}"),
        }
        removed.push(words);
    }
    (told.ended(&seen, time), removed)
}

#[test]
fn a_full_drill_makes_a_cluster_restores_into_it_says_what_it_measured_and_leaves_nothing() {
    let mut told = Told::of(full_drill());
    let make = told.deed(&there(|_| ()), ASKED_AT);
    assert!(make.starts_with(&format!("create RagCluster {MADE}")), "{make}");
    assert_eq!(told.condition(ConditionType::Ready), ("False".into(), "Drilling".into()));
    let starting = there(|there| there.cluster = found(Serving::NotYet("no server answers".into())));
    assert!(told.waits(&starting, ASKED_AT).ends_with("no server answers"));
    let recover = told.deed(&serving_with(None), &after(60));
    assert!(recover.starts_with(&format!("create RagRestore {MADE}")), "{recover}");
    let running = serving_with(found(Recovery::UnderWay("step 3 of 6 (restore): Job x runs".into())));
    assert!(told.waits(&running, &after(90)).ends_with("Job x runs"));
    let mut proven = serving_with(found(done(100.0)));
    proven.elsewhere.get_or_insert_default().before = found(());
    let ready = removed(&mut told, proven, &after(300));
    assert_eq!(ready, ("True".into(), "Passed".into()));
    let result = told.status().result.clone().unwrap();
    assert_eq!((result.snapshot.as_str(), result.destination.as_str()), ("daily-7", "bucket"));
    assert_eq!((result.rto.as_deref(), result.rpo_seconds), (Some("4m10s"), Some(108_000.0)));
    assert_eq!((result.epoch, result.changes), (None, None), "they are of a cluster that has gone");
    assert_eq!(told.events, ["Drilling", "Drilling", "Passed"]);
    assert!(evidence(&told.restore, "bucket", "daily-7").unwrap().is_whole);
}

#[test]
fn what_is_missing_skips_it_at_once_and_says_nothing_about_the_snapshot() {
    let barred = |reason: ConditionReason| {
        let mut seen = seen_elsewhere();
        seen.elsewhere.get_or_insert_default().barred = Some((reason, "create it".into()));
        seen
    };
    for reason in [ConditionReason::Skipped, ConditionReason::InvalidSpec] {
        let mut told = Told::of(full_drill());
        assert_eq!(told.ended(&barred(reason), ASKED_AT), ("False".into(), reason.to_string()));
        assert_eq!(evidence(&told.restore, "bucket", "daily-7"), None);
    }
    let volume = json!({
        "cluster": "handbook", "mode": "Drill", "inNamespace": "rag-drill", "source": {"archive": {"destination": "shelf"}},
    });
    let mut told = Told::of(restore("quarterly", volume));
    assert_eq!(told.ended(&seen_elsewhere(), ASKED_AT), ("False".into(), "Skipped".into()));
    assert!(
        told.status().steps[0].message.contains("a full drill needs a bucket; name a destination in one"),
        "{:?}",
        told.status().steps
    );
}

#[test]
fn a_cluster_that_may_not_be_made_skips_it_after_the_check_too() {
    let mut told = Told::of(full_drill());
    told.deed(&there(|_| ()), ASKED_AT);
    let refused = there(|there| there.barred = Some((ConditionReason::Skipped, "grant it".into())));
    let ready = removed(&mut told, refused, &after(9));
    assert_eq!(ready, ("False".into(), "Skipped".into()));
}

#[test]
fn what_the_restore_there_found_wrong_is_said_by_its_class_and_everything_goes_all_the_same() {
    let failed = |reason| Recovery::Failed { reason, why: "part 3 is damaged; take another one".into() };
    for (state, expected) in [
        (failed(ConditionReason::Damaged), "Damaged"),
        (failed(ConditionReason::KeyMissing), "KeyMissing"),
        (failed(ConditionReason::RecallTooLow), "RecallTooLow"),
        (done(94.9), "RecallTooLow"),
    ] {
        let mut told = Told::of(full_drill());
        let ready = removed(&mut told, serving_with(found(state)), &after(60));
        assert_eq!(ready, ("False".to_owned(), expected.to_owned()));
        assert_eq!(told.state("remove"), StepState::Done);
        let against = evidence(&told.restore, "bucket", "daily-7").is_some_and(|evidence| !evidence.is_whole);
        assert_eq!(against, expected != "KeyMissing");
    }
}

#[test]
fn a_namesake_is_neither_used_nor_removed() {
    let foreign = Found { is_ours: false, ..found(Serving::Yes).unwrap() };
    let mut told = Told::of(full_drill());
    let seen = there(|there| there.cluster = Some(foreign.clone()));
    let (ready, words) = removed_by(&mut told, seen, ASKED_AT);
    assert_eq!(ready, ("False".into(), "NameTaken".into()));
    assert!(!words.iter().any(|said| said.starts_with("delete")), "{words:?}");
    let foreign = Found { is_ours: false, ..found(done(100.0)).unwrap() };
    let mut told = Told::of(full_drill());
    let (ready, words) = removed_by(&mut told, serving_with(Some(foreign)), ASKED_AT);
    assert_eq!(ready, ("False".into(), "NameTaken".into()));
    assert!(!words.iter().any(|said| said.starts_with("delete RagRestore")), "{words:?}");
}

#[test]
fn it_has_not_passed_while_anything_of_it_is_left() {
    let mut told = Told::of(full_drill());
    told.deed(&serving_with(found(done(100.0))), &after(60));
    let left = there(|there| there.remains = Some("PersistentVolumeClaim data-x-qdrant-0".into()));
    assert_eq!(told.waits(&left, &after(70)), "PersistentVolumeClaim data-x-qdrant-0 is being removed");
    assert_eq!(told.condition(ConditionType::Ready).0, "False");
    let blind = there(|there| there.unseen = Some("the API server is away".into()));
    assert_eq!(told.waits(&blind, &after(80)), "the API server is away");
    let ready = told.ended(&left, &after(30 * 3600));
    assert_eq!(ready, ("False".into(), "RemovalFailed".into()));
    assert_eq!(evidence(&told.restore, "bucket", "daily-7"), None);
}

#[test]
fn what_a_drill_made_that_is_at_work_no_more_goes_from_the_restore_to_the_cluster() {
    let running = serving_with(found(Recovery::UnderWay("it runs".into()))).elsewhere.unwrap();
    assert_eq!(swept(&running), Some(Errand::RemoveRecovery));
    let cluster = Elsewhere { recovery: None, ..running };
    assert_eq!(swept(&cluster), Some(Errand::RemoveCluster));
    let going = Elsewhere { cluster: Some(Found { is_going: true, ..cluster.cluster.clone().unwrap() }), ..cluster };
    assert_eq!(swept(&going), None);
}

#[test]
fn a_drill_of_which_nothing_is_known_is_at_work_for_as_long_as_its_steps_may_take_and_no_longer() {
    let (made, long, longer) = (at(ASKED_AT), at(&after(15 * 3600)), at(&after(16 * 3600 + 1)));
    assert!(!is_abandoned(None, made, long) && is_abandoned(None, made, longer));
    assert!(is_abandoned(Some(false), made, made) && !is_abandoned(Some(true), made, longer));
}

#[test]
fn the_cluster_of_a_full_drill_is_like_the_drilled_one_and_shares_nothing_but_the_archive() {
    let mut seen = seen_elsewhere();
    let drilled = json!({
        "image": "rag:7", "replicas": 5,
        "vectorStore": {"externalQdrant": {"url": "http://qdrant:6334", "apiKeySecretRef": {"name": "qdrant"}}},
        "records": {"postgres": {"secretRef": {"name": "database"}}},
        "cache": {"redis": {"url": "redis://redis:6379", "secretRef": {"name": "redis"}}},
        "embedding": {"openAI": {"model": "m", "dimensions": 8, "baseUrl": "http://e/v1", "secretRef": {"name": "embed"}}},
        "retrieval": {"topK": 7},
        "auth": {"apiKeys": [{"name": "reader"}]},
        "podTemplate": {"imagePullSecrets": [{"name": "pull"}]},
        "snapshots": {
            "destinations": [
                {"name": "near", "s3": {"bucket": "near", "secretRef": {"name": "near"}}},
                {"name": "bucket", "s3": {"bucket": "archive", "secretRef": {"name": "archive-key"}}},
            ],
            "schedules": [{"name": "daily", "schedule": "0 2 * * *", "keep": 7}],
            "encryption": {"secretRef": {"name": "age"}}, "signing": {"secretRef": {"name": "sign"}},
        },
    });
    let known = seen.cluster.as_mut().unwrap();
    known.spec = serde_json::from_value(drilled).unwrap();
    known.snapshots = known.spec.snapshots.clone();
    let (drill, known) = (full_drill(), known.spec.clone());
    let source = source(&drill.spec, created_at(&drill), &seen).unwrap();
    let made = cluster(&drill, &seen, &source).unwrap();
    let (spec, metadata) = (&made.spec, &made.metadata);
    assert_eq!(
        (metadata.namespace.as_deref(), metadata.name.clone()),
        (Some("rag-drill"), Some(elsewhere_name("quarterly", "u-quarterly")))
    );
    assert_eq!(
        (&spec.image, &spec.embedding, &spec.retrieval),
        (&known.image, &known.embedding, &known.retrieval),
        "what embeds, searches and runs is the same"
    );
    let store = spec.vector_store.as_ref().unwrap();
    assert!(store.qdrant.is_some() && store.external_qdrant.is_none());
    assert_eq!(json!(store.deletion_policy), "Delete", "its volume goes with it");
    assert_eq!((spec.replicas, spec.autoscaling.enabled), (1, false));
    let secrets: Vec<&str> = spec.referenced_secrets().into_iter().map(|(_, name)| name).collect();
    assert_eq!(secrets, ["embed", "pull", "archive-key", "age", "sign"], "no key of a store, a cache or a client");
    let snapshots = spec.snapshots.as_ref().unwrap();
    let [destination] = &snapshots.destinations[..] else { panic!("{snapshots:?}") };
    let prefix = destination.s3.as_ref().and_then(|s3| s3.prefix.as_deref());
    assert_eq!((destination.name.as_str(), prefix), ("bucket", Some("team-a/handbook")), "where the archive is");
    assert_eq!((snapshots.suspend, &snapshots.schedules), (true, &Some(Vec::new())), "nothing is taken there");
    let asked = recovery(&drill, &seen, &source);
    assert_eq!(
        json!(asked.spec),
        json!({
            "cluster": metadata.name, "mode": "InPlace", "withDeleted": false, "dryRun": false, "minRecallPercent": 95,
            "source": {"archive": {"destination": "bucket", "name": "daily-7"}},
        })
    );
}

#[test]
fn a_snapshot_that_is_taken_meanwhile_is_not_the_one_that_is_tried() {
    let mut told = Told::of(full_drill());
    told.deed(&serving_with(None), ASKED_AT);
    let mut seen = serving_with(None);
    seen.snapshots.push(taken("daily-8", "2026-11-28T08:00:30Z"));
    let newest = source(&full_drill().spec, at(ASKED_AT), &seen).unwrap();
    assert_eq!(newest.name.as_deref(), Some("daily-8"));
    let tried = source(&told.restore.spec, at(ASKED_AT), &seen_by(&told.restore, &seen)).unwrap();
    assert_eq!(tried.name.as_deref(), Some("daily-7"));
}

#[test]
fn a_figure_that_cannot_be_measured_is_absent() {
    let backwards = Some(SignedDuration::from_secs(-1));
    let result = whole(&switched(100.0), None, backwards);
    assert_eq!((result.rto, result.rto_seconds, result.rpo_seconds), (None, None, None));
    assert_eq!(result.recall_percent, Some(100.0));
}
