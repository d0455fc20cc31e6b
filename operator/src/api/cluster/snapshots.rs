//! Where snapshots of the corpus are kept, when they are taken, and how often a restore is tried.
//!
//! Schedules and destinations are lists by name. What stands here reaches the Jobs that take snapshots, never a running server:
//! another destination rolls nothing.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Verification;

/// Snapshots of the corpus. Without a destination none is taken, and the condition SnapshotsHealthy says so.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "!has(self.schedules) || self.schedules.all(s, !has(s.destination) \
         || (has(self.destinations) && self.destinations.exists(d, d.name == s.destination)))"
    )
    .message("a schedule names a destination that is none of destinations; correct it, or leave it out for the first of them")
    .field_path(".schedules"),
    validation = Rule::new("!has(self.schedules) || self.schedules.all(s, s.name != 'drill' && s.name != 'full-drill')")
        .message("the names drill and full-drill belong to the trials of a restore; give the schedule another one")
        .field_path(".schedules")
)]
pub struct Snapshots {
    /// Where snapshots are kept. The first is that of every schedule and RagSnapshot that names none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub destinations: Vec<Destination>,

    /// When snapshots are taken, and how many are kept. Absent: daily at 02:00 (7 are kept), weekly (5) and monthly (12), in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub schedules: Option<Vec<SnapshotSchedule>>,

    /// Takes no snapshot by a schedule, tries no restore, and reads no snapshot again, while this is true. A RagSnapshot by hand is
    /// taken all the same.
    #[serde(default)]
    pub suspend: bool,

    /// What archives are encrypted with. Absent: they are not, beyond what the bucket or the volume does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<SnapshotEncryption>,

    /// What manifests are signed with. Absent: they are not, and whoever may write to the archive is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<SnapshotSigning>,

    /// How often a restore of the newest snapshot is tried. Absent: weekly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<Drill>,

    /// How often a restore is tried in another namespace, by a cluster with a store, keys and servers of its own. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_drill: Option<FullDrill>,

    /// How often each snapshot that is kept is read again. Absent: every 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
}

/// A place of snapshots: exactly one of a bucket and a volume.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.s3) != has(self.volume)")
    .message(Message::Expression(
        "has(self.s3) \
         ? 'found both: name exactly one of s3 and volume; applying one beside a stored one adds it, so set the other to null' \
         : 'found none: name exactly one of s3 and volume'"
            .to_owned()
    )))]
pub struct Destination {
    /// Its name.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// A bucket of S3, or of a service that speaks its protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Destination>,

    /// A volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeDestination>,
}

/// A bucket.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct S3Destination {
    /// The bucket. It exists.
    #[schemars(length(min = 3, max = 63), regex(pattern = r"^[a-z0-9][-.a-z0-9]*[a-z0-9]$"))]
    pub bucket: String,

    /// What the names of objects begin with. Absent: NAMESPACE/CLUSTER, so that a cluster of the same names finds its snapshots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[A-Za-z0-9]([-._/A-Za-z0-9]*[A-Za-z0-9])?$"))]
    pub prefix: Option<String>,

    /// Address of the service, for example http://seaweedfs:8333. Absent: that of AWS in the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 512), regex(pattern = r"^https?://[^\s/?#@]+/?$"))]
    pub endpoint: Option<String>,

    /// The region.
    #[serde(default = "default_region")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[-a-z0-9]+$"))]
    pub region: String,

    /// The Secret that holds the access key, in the same namespace: keys access-key-id and secret-access-key. Only the Jobs mount
    /// it; the operator never reads it.
    pub secret_ref: SnapshotSecretRef,

    /// The key of the same Secret that holds the certificates (PEM) by which the service's is signed, for example ca.crt. Absent:
    /// those that the image knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub ca_key: Option<String>,
}

/// A volume that somebody else made.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeDestination {
    /// The PersistentVolumeClaim of this namespace. Snapshots of a cluster are in its folder NAMESPACE/CLUSTER.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub claim_name: String,
}

/// When snapshots are taken, and how many are kept.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotSchedule {
    /// Its name.
    #[schemars(length(min = 1, max = 20), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// When, as a line of crontab: minute, hour, day of month, month, day of week, for example "0 2 * * *".
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^\s*(@[A-Za-z]+|\S+(\s+\S+){4})\s*$"))]
    pub schedule: String,

    /// The time zone of the schedule, for example Europe/Berlin. Absent: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,

    /// How many of its snapshots are kept. The newest verified one of a destination is kept whatever this says.
    #[schemars(range(min = 1, max = 366))]
    pub keep: i32,

    /// The destination. Absent: the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40))]
    pub destination: Option<String>,
}

/// What archives are encrypted with.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotEncryption {
    /// The Secret, in the same namespace: keys recipients and identity, as age-keygen prints them. Without the identity nobody
    /// restores anything: keep it elsewhere, too.
    pub secret_ref: SnapshotSecretRef,
}

/// What manifests are signed with.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotSigning {
    /// The Secret, in the same namespace: key key, 32 random bytes or more, as text.
    pub secret_ref: SnapshotSecretRef,
}

/// A Secret with fixed keys.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotSecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
}

/// How often a restore is tried, and what it must find.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drill {
    /// When, as a line of crontab. Absent: weekly.
    #[serde(default = "default_drill")]
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^\s*(@[A-Za-z]+|\S+(\s+\S+){4})\s*$"))]
    pub schedule: String,

    /// The time zone of the schedule. Absent: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,

    /// The share, in percent, of the passages recorded with the snapshot that must be found again.
    #[serde(default = "default_recall")]
    #[schemars(range(min = 1, max = 100))]
    pub min_recall_percent: i32,

    /// Tries none while this is true.
    #[serde(default)]
    pub suspend: bool,
}

/// How often a restore is tried in another namespace.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FullDrill {
    /// The namespace, one of its own for full drills. The operator watches it, and the Secrets that this RagCluster names are in it,
    /// too.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: String,

    /// When, as a line of crontab. Absent: on the first of each quarter.
    #[serde(default = "default_full_drill")]
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^\s*(@[A-Za-z]+|\S+(\s+\S+){4})\s*$"))]
    pub schedule: String,

    /// The time zone of the schedule. Absent: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,

    /// The share, in percent, of the passages recorded with the snapshot that must be found again.
    #[serde(default = "default_recall")]
    #[schemars(range(min = 1, max = 100))]
    pub min_recall_percent: i32,

    /// Tries none while this is true.
    #[serde(default)]
    pub suspend: bool,
}

impl Snapshots {
    /// Every Secret that is named here, with the field that names it.
    pub fn referenced_secrets(&self) -> Vec<(String, &str)> {
        let buckets = self.destinations.iter().enumerate().filter_map(|(index, destination)| {
            let secret = &destination.s3.as_ref()?.secret_ref;
            Some((format!("spec.snapshots.destinations[{index}].s3.secretRef.name"), secret.name.as_str()))
        });
        let keys = [
            ("encryption", self.encryption.as_ref().map(|encryption| &encryption.secret_ref)),
            ("signing", self.signing.as_ref().map(|signing| &signing.secret_ref)),
        ];
        let keys = keys.into_iter().filter_map(|(field, secret)| {
            Some((format!("spec.snapshots.{field}.secretRef.name"), secret?.name.as_str()))
        });
        buckets.chain(keys).collect()
    }

    /// What is asked for where `schedules` is absent: each corpus is taken daily, and a longer past is kept in longer steps.
    pub fn default_schedules() -> Vec<SnapshotSchedule> {
        let schedule = |name: &str, line: &str, keep: i32| SnapshotSchedule {
            name: name.to_owned(),
            schedule: line.to_owned(),
            time_zone: None,
            keep,
            destination: None,
        };
        vec![
            schedule("daily", "0 2 * * *", 7),
            schedule("weekly", "0 3 * * 0", 5),
            schedule("monthly", "0 4 1 * *", 12),
        ]
    }
}

impl Default for Drill {
    fn default() -> Self {
        Self { schedule: default_drill(), time_zone: None, min_recall_percent: default_recall(), suspend: false }
    }
}

/// What services other than AWS take as well.
fn default_region() -> String {
    "us-east-1".to_owned()
}

/// On Sundays, after the weekly snapshot.
fn default_drill() -> String {
    "0 5 * * 0".to_owned()
}

/// In the morning of the first day of a quarter, after the monthly snapshot.
fn default_full_drill() -> String {
    "0 6 1 1,4,7,10 *".to_owned()
}

/// Searches of a restored index are exact for so few passages, and one in twenty may be a duplicate of another.
fn default_recall() -> i32 {
    95
}
