//! When snapshots are taken, where, and how many are kept, with every absent choice resolved.
//!
//! What is wrong here keeps no server from being applied, and a schedule that is wrong keeps no other from being kept.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::timer::{InvalidTimer, Timer};
use super::{Problem, Problems, Scope};
use crate::api::cluster::{
    Destination, Drill, FullDrill, Objectives, RagCluster, ScheduleStatus, SnapshotSchedule, Snapshots as Spec,
    Verification,
};
use crate::api::{ConditionReason, labels};
use crate::cluster::observed::{Observed, Presence};

/// Snapshots as they are asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshots {
    /// Where snapshots are kept; the first is that of whoever names none.
    pub destinations: Vec<Destination>,
    /// The schedules that can be kept.
    pub schedules: Vec<Schedule>,
    /// When a restore is tried; nothing where that is wrong.
    pub drill: Option<DrillSchedule>,
    /// When one is tried in another namespace; nothing where that is wrong, or not asked for.
    pub full_drill: Option<DrillSchedule>,
    /// How often what is kept is read again.
    pub verification: Verification,
    /// Nothing is taken, tried or read again by a schedule.
    pub suspended: bool,
    /// What the service has to reach.
    pub objectives: Objectives,
    /// What is wrong, and keeps the rest from nothing.
    pub problems: Vec<Problem>,
}

/// A schedule that can be kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// When it comes.
    pub timer: Timer,
    /// What was due until then is not caught up: nobody had asked for it.
    pub since: Timestamp,
    /// The newest of its times that the status says was asked for, whatever has become of the snapshot.
    pub last_asked: Option<Timestamp>,
    /// How many of its snapshots are kept.
    pub keep: usize,
    /// The destination; one of those that there are.
    pub destination: String,
}

/// When a restore is tried.
#[derive(Clone, Debug, PartialEq)]
pub struct DrillSchedule {
    /// When it comes.
    pub timer: Timer,
    /// What was due until then is not caught up.
    pub since: Timestamp,
    /// The newest of its times that the status says was asked for.
    pub last_asked: Option<Timestamp>,
    /// The share, in percent, of the recorded passages that must be found again.
    pub min_recall_percent: i32,
    /// The other namespace in which it is tried. Absent: beside what is served.
    pub namespace: Option<String>,
    /// It tries none.
    pub suspended: bool,
}

impl Snapshots {
    /// Whether the spec names this destination.
    pub fn names(&self, destination: &str) -> bool {
        self.destinations.iter().any(|one| one.name == destination)
    }
}

impl DrillSchedule {
    /// Its name among the schedules.
    pub fn name(&self) -> &'static str {
        if self.namespace.is_some() { labels::FULL_DRILL } else { labels::DRILL }
    }
}

impl Snapshots {
    /// The destination of whoever names none.
    pub fn first_destination(&self) -> Option<&str> {
        self.destinations.first().map(|destination| destination.name.as_str())
    }
}

/// Snapshots as they are asked for; nothing where they are not.
pub(super) fn snapshots(cluster: &RagCluster, observed: &Observed) -> Option<Snapshots> {
    let spec = cluster.spec.snapshots.as_ref()?;
    let mut problems = Problems::default();
    check_destinations(spec, &mut problems);
    let missing = missing_secrets(spec, observed, &mut problems);
    let memory = Memory::of(cluster, observed.now);
    let schedules = spec.schedules.clone().unwrap_or_else(Spec::default_schedules);
    let mut kept: Vec<Schedule> = Vec::new();
    for (index, schedule) in schedules.iter().enumerate() {
        let field = format!("spec.snapshots.schedules[{index}]");
        if kept.iter().any(|other| other.name == schedule.name) {
            invalid(
                &mut problems,
                format!("{field}.name"),
                format!("\"{}\" again", schedule.name),
                "give it another name",
            );
            continue;
        }
        kept.extend(valid_schedule(&field, schedule, spec, &memory, &mut problems));
    }
    // Their Jobs could not start. Once the Secret is there, what was missed is caught up.
    let is_held = |destination: &String| missing.contains(&destination);
    kept.retain(|schedule| !is_held(&schedule.destination));
    let drill = drill(spec, &memory, &mut problems);
    let full_drill = full_drill(spec, &memory, &mut problems);
    let first = spec.destinations.first().map(|destination| &destination.name);
    Some(Snapshots {
        destinations: spec.destinations.clone(),
        schedules: kept,
        drill: drill.filter(|_| first.is_some_and(|first| !is_held(first))),
        full_drill: full_drill.filter(|_| first.is_some_and(|first| !is_held(first))),
        verification: spec.verification.clone().unwrap_or_default(),
        suspended: spec.suspend,
        objectives: cluster.spec.objectives.clone().unwrap_or_default(),
        problems: problems.found,
    })
}

fn invalid(problems: &mut Problems, field: String, found: String, remedy: &str) {
    problems.add((Scope::Snapshots, ConditionReason::InvalidSpec), field, found, remedy);
}

fn valid_schedule(
    field: &str,
    schedule: &SnapshotSchedule,
    spec: &Spec,
    memory: &Memory<'_>,
    problems: &mut Problems,
) -> Option<Schedule> {
    let timer = timer(field, (&schedule.schedule, schedule.time_zone.as_deref()), memory.now, problems);
    let is_there = |name: &&String| spec.destinations.iter().any(|destination| destination.name == **name);
    let destination = match &schedule.destination {
        Some(name) if !is_there(&name) => {
            let found = format!("there is no destination \"{name}\"");
            let remedy = "name one of spec.snapshots.destinations, or leave it out for the first of them";
            invalid(problems, format!("{field}.destination"), found, remedy);
            None
        }
        Some(name) => Some(name),
        None => spec.destinations.first().map(|destination| &destination.name),
    };
    let keep = usize::try_from(schedule.keep).ok().filter(|keep| *keep > 0);
    if keep.is_none() {
        invalid(problems, format!("{field}.keep"), schedule.keep.to_string(), "keep 1 or more");
    }
    let (timer, destination, keep) = (timer?, destination?, keep?);
    let (name, since) = (schedule.name.clone(), memory.since(&schedule.name, &timer));
    let last_asked = memory.last_asked(&schedule.name);
    Some(Schedule { name, timer, since, last_asked, keep, destination: destination.clone() })
}

fn drill(spec: &Spec, memory: &Memory<'_>, problems: &mut Problems) -> Option<DrillSchedule> {
    let drill = spec.drill.clone().unwrap_or_default();
    let Drill { schedule, time_zone, min_recall_percent, suspend } = drill;
    let timer = timer("spec.snapshots.drill", (&schedule, time_zone.as_deref()), memory.now, problems)?;
    let since = memory.since(labels::DRILL, &timer);
    let last_asked = memory.last_asked(labels::DRILL);
    Some(DrillSchedule { timer, since, last_asked, min_recall_percent, namespace: None, suspended: suspend })
}

fn full_drill(spec: &Spec, memory: &Memory<'_>, problems: &mut Problems) -> Option<DrillSchedule> {
    let FullDrill { namespace, schedule, time_zone, min_recall_percent, suspend } = spec.full_drill.clone()?;
    let timer = timer("spec.snapshots.fullDrill", (&schedule, time_zone.as_deref()), memory.now, problems)?;
    let since = memory.since(labels::FULL_DRILL, &timer);
    let last_asked = memory.last_asked(labels::FULL_DRILL);
    let namespace = Some(namespace);
    Some(DrillSchedule { timer, since, last_asked, min_recall_percent, namespace, suspended: suspend })
}

fn timer(
    field: &str,
    (line, time_zone): (&str, Option<&str>),
    now: Timestamp,
    problems: &mut Problems,
) -> Option<Timer> {
    let refused = match Timer::parse(line, time_zone, now) {
        Ok(timer) => return Some(timer),
        Err(refused) => refused,
    };
    let (part, remedy) = match &refused {
        InvalidTimer::Line { .. } => {
            ("schedule", "write minute, hour, day of month, month and day of week, for example \"0 2 * * *\"")
        }
        InvalidTimer::Never { .. } => ("schedule", "name a day that there is"),
        InvalidTimer::Zone { .. } => ("timeZone", "name one of the IANA database, for example Europe/Berlin"),
    };
    invalid(problems, format!("{field}.{part}"), refused.to_string(), remedy);
    None
}

/// The CRD says so too; this holds where an object was stored before the rule existed.
fn check_destinations(spec: &Spec, problems: &mut Problems) {
    for (index, destination) in spec.destinations.iter().enumerate() {
        if destination.s3.is_some() == destination.volume.is_some() {
            let field = format!("spec.snapshots.destinations[{index}]");
            invalid(problems, field, "not exactly one place".to_owned(), "name exactly one of s3 and volume");
        }
    }
}

/// The destinations of which a Secret is not there.
fn missing_secrets<'s>(spec: &'s Spec, observed: &Observed, problems: &mut Problems) -> Vec<&'s String> {
    let is_missing = |name: &str| observed.referenced_secrets.get(name) == Some(&Presence::Missing);
    for (field, name) in spec.referenced_secrets() {
        if is_missing(name) {
            problems.add(
                (Scope::Snapshots, ConditionReason::SecretMissing),
                field,
                format!("there is no Secret \"{name}\" in this namespace"),
                "create it, or name another one; snapshots that need it are taken then",
            );
        }
    }
    let key = |secret: Option<&str>| secret.is_some_and(is_missing);
    let encryption = spec.encryption.as_ref().map(|encryption| encryption.secret_ref.name.as_str());
    let signing = spec.signing.as_ref().map(|signing| signing.secret_ref.name.as_str());
    let of_all = key(encryption) || key(signing);
    let needs = |destination: &&Destination| {
        of_all || key(destination.s3.as_ref().map(|bucket| bucket.secret_ref.name.as_str()))
    };
    spec.destinations.iter().filter(needs).map(|destination| &destination.name).collect()
}

/// Since when each schedule is as it is.
struct Memory<'c> {
    now: Timestamp,
    /// When somebody last wrote what is asked for; at the latest when the cluster was made.
    written: Timestamp,
    known: BTreeMap<&'c str, &'c ScheduleStatus>,
}

impl<'c> Memory<'c> {
    fn of(cluster: &'c RagCluster, now: Timestamp) -> Self {
        let status = cluster.status.as_ref().and_then(|status| status.snapshots.as_ref());
        let known = status.iter().flat_map(|status| &status.schedules);
        Self { now, written: written(cluster).unwrap_or(now), known: known.map(|of| (of.name.as_str(), of)).collect() }
    }

    /// The status is asked first, and does not have to know: without it, what was due since the spec was last written may be
    /// caught up.
    fn since(&self, name: &str, timer: &Timer) -> Timestamp {
        let known = self.known.get(name).filter(|known| known.schedule == timer.to_string());
        known.map_or(self.written, |known| known.since.0)
    }

    fn last_asked(&self, name: &str) -> Option<Timestamp> {
        Some(self.known.get(name)?.last_due_at.as_ref()?.0)
    }
}

/// When what is asked of snapshots was last written, as the API server has noted it.
fn written(cluster: &RagCluster) -> Option<Timestamp> {
    let metadata = &cluster.metadata;
    let of_snapshots = metadata.managed_fields.iter().flatten().filter(|entry| {
        let fields = entry.fields_v1.as_ref().and_then(|fields| fields.0.get("f:spec"));
        fields.is_some_and(|fields| fields.get("f:snapshots").is_some())
    });
    let written = of_snapshots.filter_map(|entry| entry.time.as_ref()).map(|Time(at)| *at).max();
    written.max(metadata.creation_timestamp.as_ref().map(|Time(at)| *at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures::{NOW, applied, cluster, nothing};
    use crate::cluster::validate::validate;

    const S3: &str = "{name: off-site, s3: {bucket: rag-archive, secretRef: {name: archive}}}";

    fn valid(spec: &str) -> Snapshots {
        validate(&cluster(spec), &nothing()).unwrap().snapshots.unwrap()
    }

    #[test]
    fn nothing_but_a_destination_is_daily_weekly_and_monthly_with_a_weekly_drill() {
        let valid = valid(&format!("snapshots: {{destinations: [{S3}]}}"));
        let found: Vec<_> = valid
            .schedules
            .iter()
            .map(|one| (one.name.as_str(), one.timer.to_string(), one.keep, one.destination.as_str()))
            .collect();
        let expected = [
            ("daily", "0 2 * * * UTC".to_owned(), 7, "off-site"),
            ("weekly", "0 3 * * 0 UTC".to_owned(), 5, "off-site"),
            ("monthly", "0 4 1 * * UTC".to_owned(), 12, "off-site"),
        ];
        assert_eq!(found, expected);
        let drill = valid.drill.unwrap();
        assert_eq!((drill.timer.to_string().as_str(), drill.min_recall_percent), ("0 5 * * 0 UTC", 95));
        assert!(valid.problems.is_empty());
        assert_eq!(valid.full_drill, None, "it needs a namespace");
        assert_eq!(validate(&cluster("{}"), &nothing()).unwrap().snapshots, None);
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once_and_keeps_the_rest_from_nothing() {
        let valid = valid(&format!(
            "snapshots: {{destinations: [{S3}], drill: {{schedule: '0 5 31 2 *'}}, fullDrill: {{namespace: rag-drill, timeZone: Bonn}}, schedules: [
               {{name: bad-line, schedule: '0 25 * * *', keep: 1}},
               {{name: bad-zone, schedule: '0 2 * * *', timeZone: Europe/Bonn, keep: 1}},
               {{name: nowhere, schedule: '0 2 * * *', keep: 1, destination: elsewhere}},
               {{name: good, schedule: '0 2 * * *', keep: 2}},
               {{name: good, schedule: '0 3 * * *', keep: 2}},
             ]}}"
        ));
        let fields: Vec<&str> = valid.problems.iter().map(|problem| problem.field.as_str()).collect();
        let expected = [
            "spec.snapshots.schedules[0].schedule",
            "spec.snapshots.schedules[1].timeZone",
            "spec.snapshots.schedules[2].destination",
            "spec.snapshots.schedules[4].name",
            "spec.snapshots.drill.schedule",
            "spec.snapshots.fullDrill.timeZone",
        ];
        assert_eq!(fields, expected);
        assert!(valid.problems.iter().all(|problem| problem.scope == Scope::Snapshots && !problem.remedy.is_empty()));
        let names: Vec<&str> = valid.schedules.iter().map(|schedule| schedule.name.as_str()).collect();
        assert_eq!((names, valid.drill, valid.full_drill), (vec!["good"], None, None));
    }

    #[test]
    fn a_full_drill_comes_each_quarter_unless_it_says_when() {
        let asked = |rest: &str| {
            valid(&format!("snapshots: {{destinations: [{S3}], fullDrill: {{namespace: rag-drill{rest}}}}}"))
                .full_drill
                .unwrap()
        };
        let quarterly = asked("");
        let (line, namespace) = (quarterly.timer.to_string(), quarterly.namespace.as_deref());
        assert_eq!((line.as_str(), namespace), ("0 6 1 1,4,7,10 * UTC", Some("rag-drill")));
        assert_eq!((quarterly.min_recall_percent, quarterly.suspended), (95, false));
        assert_eq!(asked(", schedule: '0 6 1 * *'").timer.to_string(), "0 6 1 * * UTC");
    }

    #[test]
    fn without_a_destination_there_is_nothing_to_keep_and_nothing_wrong() {
        let valid = valid("snapshots: {}");
        assert!(valid.schedules.is_empty() && valid.problems.is_empty() && valid.drill.is_none());
    }

    #[test]
    fn a_secret_that_is_missing_holds_its_destination_and_no_server() {
        let two = format!(
            "snapshots: {{destinations: [{S3}, {{name: near, volume: {{claimName: shelf}}}}], schedules: [
               {{name: far, schedule: '0 2 * * *', keep: 1}},
               {{name: close, schedule: '0 2 * * *', keep: 1, destination: near}},
             ]}}"
        );
        let mut world = applied(&cluster(&two), &nothing());
        world.referenced_secrets.insert("archive".to_owned(), Presence::Missing);
        let found = validate(&cluster(&two), &world).unwrap();
        assert!(found.held.is_empty(), "{:?}", found.held);
        let snapshots = found.snapshots.unwrap();
        assert_eq!(snapshots.problems[0].field, "spec.snapshots.destinations[0].s3.secretRef.name");
        let names: Vec<&str> = snapshots.schedules.iter().map(|schedule| schedule.name.as_str()).collect();
        assert_eq!(names, ["close"]);
        // The same of a cluster that has no revision yet.
        let mut new = nothing();
        new.referenced_secrets.insert("archive".to_owned(), Presence::Missing);
        validate(&cluster(&two), &new).unwrap();
    }

    #[test]
    fn a_schedule_begins_when_it_was_written_and_the_status_remembers_that() {
        let at = |time: &str| time.parse::<Timestamp>().unwrap();
        let mut cluster = cluster(&format!("snapshots: {{destinations: [{S3}]}}"));
        let since = |cluster: &RagCluster| {
            validate(cluster, &nothing())
                .unwrap()
                .snapshots
                .unwrap()
                .schedules
                .iter()
                .map(|one| one.since)
                .collect::<Vec<_>>()
        };
        assert_eq!(since(&cluster), [at(NOW); 3]);
        cluster.metadata.creation_timestamp = Some(Time(at("2026-11-01T00:00:00Z")));
        assert_eq!(since(&cluster), [at("2026-11-01T00:00:00Z"); 3]);
        let managed = |field: &str, time: &str| {
            serde_json::from_value(serde_json::json!({
                "manager": field, "operation": "Apply", "time": time, "fieldsV1": {"f:spec": {field: {}}},
            }))
            .unwrap()
        };
        cluster.metadata.managed_fields =
            Some(vec![managed("f:snapshots", "2026-11-10T00:00:00Z"), managed("f:replicas", "2026-11-20T00:00:00Z")]);
        assert_eq!(since(&cluster), [at("2026-11-10T00:00:00Z"); 3]);
        // What is known to be older is; a line that was changed is not.
        let known = |name: &str, line: &str| ScheduleStatus {
            name: name.to_owned(),
            schedule: line.to_owned(),
            since: Time(at("2026-11-05T00:00:00Z")),
            last_due_at: None,
            next_at: None,
        };
        let schedules = vec![known("daily", "0 2 * * * UTC"), known("weekly", "0 3 * * 6 UTC")];
        let snapshots = crate::api::cluster::SnapshotsStatus { schedules, ..Default::default() };
        cluster.status = Some(crate::api::RagClusterStatus { snapshots: Some(snapshots), ..Default::default() });
        let expected = ["2026-11-05T00:00:00Z", "2026-11-10T00:00:00Z", "2026-11-10T00:00:00Z"];
        assert_eq!(since(&cluster), expected.map(at));
    }
}
