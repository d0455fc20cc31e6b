//! The one door through which a status is written: once in a pass, only if it differs, and then its events. What means something
//! else is written at once; figures that move have a pace.
//!
//! An event that cannot be published is logged and dropped: it must not keep a cluster from being reconciled.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event as EventObject;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::error_boundary::InvalidObject;
use kube::core::object::HasStatus;
use kube::{Api, ResourceExt};
use serde::Serialize;
use serde_json::json;

use crate::apply::CORE;
use crate::caches::{Kind, resource_name};
use crate::context::Context;
use crate::error::{Call, Error, Phase, Verb, sentence};
use crate::events::{Event, REPEATED_SECONDS, Severity};
use crate::objects::{ObjectId, OwnKind};

/// What a report has to know of a kind of ours.
pub trait Reported: OwnKind + Kind + HasStatus<Status: Serialize + PartialEq + Sync> {
    /// Whether `after` means something else than `before`: it is written at once, while figures wait for their pace.
    fn is_news(before: Option<&Self::Status>, after: &Self::Status) -> bool;
}

/// The name under which the operator appears in events.
const REPORTER: &str = "ragops-operator";

/// The API server takes notes of at most 1024 bytes.
const MAX_NOTE_BYTES: usize = 1024;

/// A name has 253 at most; a dot and 16 hexadecimal digits follow.
const MAX_NAME_BYTES: usize = 236;

/// A roll-out moves the figures of a status many times in a second; so long they stand before they move again.
const PACE: Duration = Duration::from_secs(1);

/// When the status of each object was last written.
#[derive(Default)]
pub struct Written(Mutex<HashMap<ObjectId, Instant>>);

impl Written {
    /// Notes that a status is written at `now`.
    fn note(&self, object: &ObjectId, now: Instant) {
        self.lock().insert(object.clone(), now);
    }

    /// For how long figures have to wait at `now`; nothing if they do not.
    fn pause(&self, object: &ObjectId, now: Instant) -> Option<Duration> {
        let last = self.lock().get(object).copied()?;
        PACE.checked_sub(now.saturating_duration_since(last)).filter(|pause| !pause.is_zero())
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, object: &ObjectId) {
        self.lock().remove(object);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectId, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes `status` if it differs from the one that the object has, and publishes what that means. Returns in how long the rest
/// is to be written, where only figures differ and were written a moment ago.
pub async fn report<K: Reported>(
    context: &Context,
    object: &K,
    status: &K::Status,
    events: &[Event],
) -> Result<Option<Duration>, Error> {
    let before = object.status();
    if before != Some(status) {
        let (id, now) = (ObjectId::of(object), Instant::now());
        if let Some(pause) = context.memory.written.pause(&id, now).filter(|_| !K::is_news(before, status)) {
            return Ok(Some(pause));
        }
        write(context, object, status).await?;
        context.memory.written.note(&id, now);
    }
    for event in events {
        publish(context, &object.object_ref(&()), event).await;
    }
    Ok(None)
}

/// Reports an object that is not what its kind says.
pub async fn unreadable<K: Reported>(context: &Context, invalid: &InvalidObject) {
    let metadata = &invalid.metadata;
    let regarding = ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        uid: metadata.uid.clone(),
        resource_version: metadata.resource_version.clone(),
        ..ObjectReference::default()
    };
    let event = Event {
        severity: Severity::Warning,
        reason: "Unreadable".to_owned(),
        action: "Observe".to_owned(),
        note: format!(
            "left alone, since it is not a {} as this operator knows it: {}; correct the field",
            K::KIND,
            invalid.error
        ),
        same_within_seconds: REPEATED_SECONDS,
    };
    publish(context, &regarding, &event).await;
}

async fn write<K: Reported>(context: &Context, object: &K, status: &K::Status) -> Result<(), Error> {
    let id = ObjectId::of(object);
    let (namespace, name) = (&id.namespace, &id.name);
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        // The uid keeps a namesake that was created meanwhile from getting its predecessor's status.
        "metadata": {"name": name, "namespace": namespace, "uid": object.uid()},
        "status": status,
    });
    let api: Api<K> = Api::namespaced(context.client.clone(), namespace);
    let written = api.patch_status(name, &PatchParams::apply(CORE).force(), &Patch::Apply(&body)).await;
    let written = written.map_err(|source| {
        let resource = format!("{}/status", resource_name::<K>());
        let call = Call { verb: Verb::Patch, resource, namespace: namespace.clone(), name: name.clone() };
        Error::Call { phase: Phase::Report, call, source: Box::new(source) }
    })?;
    context.metrics.wrote(Verb::Patch, K::KIND);
    if let Some(version) = written.resource_version() {
        context.memory.expectations.wrote(&id, (K::KIND.to_owned(), name.clone()), &version);
    }
    Ok(())
}

async fn publish(context: &Context, regarding: &ObjectReference, event: &Event) {
    let namespace = regarding.namespace.clone().unwrap_or_default();
    let object = object_of(event, regarding, &context.identity, (context.now)());
    let api: Api<EventObject> = Api::namespaced(context.client.clone(), &namespace);
    match api.create(&PostParams::default(), &object).await {
        Ok(_) => context.metrics.wrote(Verb::Create, "Event"),
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => {
            let is_forbidden = matches!(&error, kube::Error::Api(status) if status.code == 403);
            let remedy = if is_forbidden { "grant create on events.events.k8s.io" } else { "it is not told again" };
            tracing::warn!(reason = event.reason, error = sentence(&error), remedy, "an event could not be published");
        }
    }
}

fn object_of(event: &Event, regarding: &ObjectReference, identity: &str, now: Timestamp) -> EventObject {
    let mut hasher = DefaultHasher::new();
    (&regarding.uid, &event.reason, &event.note, now.as_second() / event.same_within_seconds).hash(&mut hasher);
    let of = cut(regarding.name.as_deref().unwrap_or("object"), MAX_NAME_BYTES);
    let name = format!("{}.{:016x}", of.trim_end_matches(['.', '-']), hasher.finish());
    EventObject {
        metadata: ObjectMeta { name: Some(name), namespace: regarding.namespace.clone(), ..ObjectMeta::default() },
        action: Some(event.action.clone()),
        reason: Some(event.reason.clone()),
        note: Some(cut(&event.note, MAX_NOTE_BYTES)),
        type_: Some(match event.severity {
            Severity::Normal => "Normal".to_owned(),
            Severity::Warning => "Warning".to_owned(),
        }),
        event_time: Some(MicroTime(now)),
        regarding: Some(regarding.clone()),
        reporting_controller: Some(REPORTER.to_owned()),
        reporting_instance: Some(cut(identity, 128)),
        ..EventObject::default()
    }
}

/// The beginning of `text` that fits, cut between two characters.
fn cut(text: &str, bytes: usize) -> String {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::RagClusterStatus;
    use crate::api::cluster::CorrectionStatus;
    use crate::apply::stories::{Play, scene};
    use crate::cluster::events::events;
    use crate::cluster::fixtures::cluster;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use std::collections::BTreeSet;

    const STATUS: &str = "PATCH /apis/ragops.dev/v1alpha1/namespaces/team-a/ragclusters/handbook/status?&force=true&fieldManager=ragops.dev%2Fcore";
    const EVENT: &str = "POST /apis/events.k8s.io/v1/namespaces/team-a/events?";

    fn named(name: &str) -> ObjectId {
        ObjectId { kind: "RagCluster", namespace: "ns".into(), name: name.into() }
    }

    fn event(note: &str) -> Event {
        Event {
            severity: Severity::Warning,
            reason: "Held".into(),
            action: "Report".into(),
            note: note.into(),
            same_within_seconds: REPEATED_SECONDS,
        }
    }

    fn regarding() -> ObjectReference {
        ObjectReference { name: Some("handbook".into()), uid: Some("u".into()), ..ObjectReference::default() }
    }

    fn name(note: &str, second: i64) -> String {
        let now = Timestamp::from_second(second).unwrap();
        object_of(&event(note), &regarding(), "me", now).metadata.name.unwrap()
    }

    #[test]
    fn a_repeated_report_is_the_same_event_and_a_later_one_is_not() {
        assert_eq!(name("x", 100), name("x", 105));
        assert_ne!(name("x", 100), name("y", 100));
        assert_ne!(name("x", 100), name("x", 200));
    }

    fn corrected(fields: &str, second: i64) -> RagClusterStatus {
        let correction = CorrectionStatus {
            object: "ConfigMap/handbook-live".into(),
            fields: fields.into(),
            by: "their-tool".into(),
            at: Time(Timestamp::from_second(second).unwrap()),
        };
        RagClusterStatus { last_correction: Some(correction), ..RagClusterStatus::default() }
    }

    #[test]
    fn a_tool_that_goes_on_changing_the_same_field_is_told_once_in_ten_minutes() {
        let told = |fields: &str, second: i64| {
            let events = events(Some(&corrected("before", 0)), &corrected(fields, second));
            let [event] = events.as_slice() else { panic!("{events:?}") };
            object_of(event, &regarding(), "me", Timestamp::from_second(second).unwrap()).metadata.name.unwrap()
        };
        let names: BTreeSet<String> = (1200..1800).step_by(3).map(|second| told("data", second)).collect();
        assert_eq!(names.len(), 1, "{names:?}");
        assert!(!names.contains(&told("metadata.labels", 1300)), "another field is other news");
        assert!(!names.contains(&told("data", 1800)), "it goes on");
    }

    #[test]
    fn figures_wait_for_a_second_after_the_last_write_of_their_cluster() {
        let (written, start) = (Written::default(), Instant::now());
        assert_eq!(written.pause(&named("a"), start), None);
        written.note(&named("a"), start);
        let after = |millis| written.pause(&named("a"), start + Duration::from_millis(millis));
        assert_eq!(after(0), Some(PACE));
        assert_eq!(after(400), Some(Duration::from_millis(600)));
        assert_eq!(after(1000), None);
        assert_eq!(after(5000), None);
        assert_eq!(written.pause(&named("b"), start), None);
        written.forget(&named("a"));
        assert_eq!(after(0), None);
    }

    fn figures(ready_replicas: i32) -> RagClusterStatus {
        RagClusterStatus { ready_replicas, ..RagClusterStatus::default() }
    }

    #[tokio::test]
    async fn figures_that_move_twice_in_a_second_are_written_once_and_news_at_once_with_its_event() {
        let mut cluster = cluster("{}");
        cluster.status = Some(figures(1));
        let (stored, told) = (json!(cluster), json!(object_of(&event("x"), &regarding(), "me", Timestamp::UNIX_EPOCH)));
        let play = Play::of([scene(STATUS, 200, stored.clone()), scene(STATUS, 200, stored), scene(EVENT, 201, told)]);
        assert_eq!(report(&play.context, &cluster, &figures(2), &[]).await.unwrap(), None);
        cluster.status = Some(figures(2));
        let pause = report(&play.context, &cluster, &figures(3), &[]).await.unwrap();
        assert!(pause.is_some_and(|pause| pause <= PACE), "{pause:?}");
        let news = RagClusterStatus { revision: Some("next".into()), ..figures(4) };
        assert_eq!(report(&play.context, &cluster, &news, &[event("x")]).await.unwrap(), None);
        let bodies = play.end();
        let written: Vec<_> = bodies[..2].iter().map(|body| &body["status"]["readyReplicas"]).collect();
        assert_eq!(written, [&json!(2), &json!(4)]);
        assert_eq!(bodies[2]["note"], "x");
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_not_told() {
        let refusal =
            json!({"kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "no"});
        let play = Play::of([scene(STATUS, 403, refusal)]);
        report(&play.context, &cluster("{}"), &figures(2), &[event("x")]).await.unwrap_err();
        play.end();
    }

    #[tokio::test]
    async fn a_status_that_is_as_it_was_is_not_written() {
        let mut cluster = cluster("{}");
        cluster.status = Some(figures(3));
        let play = Play::of([]);
        assert_eq!(report(&play.context, &cluster, &figures(3), &[]).await.unwrap(), None);
        play.end();
    }

    #[test]
    fn a_long_note_is_cut_between_characters() {
        let object = object_of(&event(&"é".repeat(1000)), &regarding(), "me", Timestamp::UNIX_EPOCH);
        assert_eq!(object.note.unwrap().len(), MAX_NOTE_BYTES);
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("", 5), "");
    }
}
