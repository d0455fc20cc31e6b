//! Validated names, and the names of everything that a cluster consists of.
//!
//! A value of these types is known to be well formed; names of children are spelled here and nowhere else.

use std::fmt;

use jiff::Timestamp;

use super::credential::{Credential, Generation};
use super::snapshot::SNAPSHOT_NAME_MAX;

/// The longest name of a cluster: leaves room for the suffixes of its children in a DNS label of 63.
pub const CLUSTER_NAME_MAX: usize = 40;

/// The longest name of a client.
pub const CLIENT_NAME_MAX: usize = 40;

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{found}\" is not a valid {what}: {allowed}")]
pub struct InvalidName {
    what: &'static str,
    found: String,
    allowed: &'static str,
}

/// The name of a RagCluster: a DNS-1035 label of at most 40 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterName(String);

impl ClusterName {
    /// Accepts what the CRD accepts.
    pub fn parse(name: &str) -> Result<Self, InvalidName> {
        let starts_with_letter = name.starts_with(|c: char| c.is_ascii_lowercase());
        if starts_with_letter && is_dns_label(name, CLUSTER_NAME_MAX) {
            return Ok(Self(name.to_owned()));
        }
        Err(InvalidName {
            what: "cluster name",
            found: name.to_owned(),
            allowed: "at most 40 lower-case letters, digits and dashes, beginning with a letter and not ending with a dash",
        })
    }

    /// The Service that clients use, and the HorizontalPodAutoscaler.
    pub fn service(&self) -> String {
        self.0.clone()
    }

    /// The autoscaler of the servers.
    pub fn autoscaler(&self) -> String {
        self.0.clone()
    }

    /// The servers' Deployment, ServiceAccount, mounted Secret, PodDisruptionBudget and NetworkPolicy.
    pub fn server(&self) -> String {
        format!("{}-server", self.0)
    }

    /// The immutable configuration of one revision.
    pub fn config(&self, revision: &Revision) -> String {
        format!("{}-config-{revision}", self.0)
    }

    /// What every revision's configuration begins with.
    pub fn config_prefix(&self) -> String {
        format!("{}-config-", self.0)
    }

    /// The settings that a running server takes up without a roll-out.
    pub fn live(&self) -> String {
        format!("{}-live", self.0)
    }

    /// The ControllerRevision of the servers.
    pub fn server_revision(&self, revision: &Revision) -> String {
        format!("{}-server-{revision}", self.0)
    }

    /// The ControllerRevision of the managed vector store.
    pub fn qdrant_revision(&self, revision: &Revision) -> String {
        format!("{}-qdrant-{revision}", self.0)
    }

    /// The Service by which Jobs ask the server that has its store inside it; those who use the service do not.
    pub fn management(&self) -> String {
        format!("{}-management", self.0)
    }

    /// The managed vector store's StatefulSet, Service, Secret, ConfigMap, PodDisruptionBudget and NetworkPolicy.
    pub fn qdrant(&self) -> String {
        format!("{}-qdrant", self.0)
    }

    /// The headless Service by which the managed vector store's pods have names.
    pub fn qdrant_peers(&self) -> String {
        format!("{}-qdrant-peers", self.0)
    }

    /// The volume claim that the managed vector store's StatefulSet makes for its pod.
    pub fn qdrant_data(&self) -> String {
        format!("data-{}-qdrant-0", self.0)
    }

    /// The volume claim of the embedded vector store.
    pub fn data(&self) -> String {
        format!("{}-data", self.0)
    }

    /// The ConfigMap that says whose the corpus is, and what the managed store last ran on it.
    pub fn corpus(&self) -> String {
        format!("{}-corpus", self.0)
    }

    /// The Secret from which a client takes its key.
    pub fn client_key(&self, client: &ClientName) -> String {
        format!("{}-key-{client}", self.0)
    }

    /// The immutable Secret of one generation of a credential.
    pub fn generation(&self, credential: &Credential, generation: Generation) -> String {
        format!("{}-{credential}-g{generation}", self.0)
    }

    /// The RagSnapshot, or the trial of a restore, that a schedule asks for at a time: the same name whoever asks, and never that
    /// of another cluster's or another schedule's. What does not fit of the two names stands for itself in the hash.
    pub fn by_schedule(&self, schedule: &str, due: Timestamp) -> String {
        use sha2::{Digest, Sha256};
        let digits = hex::encode(Sha256::digest(format!("{}/{schedule}/{}", self.0, due.as_second())));
        let (digits, time) = (&digits[..Self::SCHEDULED_DIGITS], due.strftime("%Y%m%d%H%M"));
        let end = format!("-{time}-{digits}");
        let whole = format!("{}-{schedule}", self.0);
        let begin: String = whole.chars().take(SNAPSHOT_NAME_MAX.saturating_sub(end.len())).collect();
        format!("{}{end}", begin.trim_end_matches('-'))
    }

    /// The Job that removes copies of snapshots from a destination.
    pub fn removal(&self, destination: &str) -> String {
        use sha2::{Digest, Sha256};
        let digits = hex::encode(Sha256::digest(destination));
        format!("{}-expire-{}", self.0, &digits[..Self::SCHEDULED_DIGITS])
    }

    /// Digits kept of the hash of cluster, schedule and time: 32 bits between those of the same minute and the same beginning.
    const SCHEDULED_DIGITS: usize = 8;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a client of the service: a DNS label of at most 40 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientName(String);

impl ClientName {
    /// The client that gets a key when the spec lists none.
    pub fn default_client() -> Self {
        Self("default".to_owned())
    }

    /// Accepts what the CRD accepts.
    pub fn parse(name: &str) -> Result<Self, InvalidName> {
        if is_dns_label(name, CLIENT_NAME_MAX) {
            return Ok(Self(name.to_owned()));
        }
        Err(InvalidName {
            what: "client name",
            found: name.to_owned(),
            allowed: "at most 40 lower-case letters, digits and dashes, beginning and ending with a letter or digit",
        })
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A rollout unit: the first digits of the hash of the spec fields that need a roll-out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(String);

impl Revision {
    /// Digits kept of the hash: 40 bits, so that two specs of one cluster never meet in practice.
    const DIGITS: usize = 10;

    /// The revision of a hash, given in hexadecimal.
    pub fn of_hash(hash: &str) -> Self {
        Self(hash.chars().take(Self::DIGITS).collect())
    }

    /// A revision read back from a label; `None` when it cannot be one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = text.len() == Self::DIGITS && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
        well_formed.then(|| Self(text.to_owned()))
    }

    /// The revision as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What tells the owner of a corpus from one of the same name in another Kubernetes cluster. Minted once; no secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CorpusId(String);

impl CorpusId {
    /// The longest that the servers take.
    const MAX: usize = 63;

    /// Digits kept of the hash: 128 bits, so that no two clusters anywhere meet.
    const DIGITS: usize = 32;

    /// The id of a hash, given in hexadecimal.
    pub fn of_hash(hash: &str) -> Self {
        Self(hash.chars().take(Self::DIGITS).collect())
    }

    /// Accepts what the servers accept, so that a person may name the id of a corpus to be taken over.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if is_dns_label(text, Self::MAX) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidName {
            what: "id of a corpus",
            found: text.to_owned(),
            allowed: "at most 63 lower-case letters, digits and dashes, beginning and ending with a letter or digit",
        })
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CorpusId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What may be shown of key material: the first 12 hexadecimal digits of its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Digits shown, as the servers report them.
    const DIGITS: usize = 12;

    /// The fingerprint of key material.
    pub fn of(material: &[u8]) -> Self {
        use sha2::{Digest, Sha256};
        let hash = hex::encode(Sha256::digest(material));
        Self(hash.chars().take(Self::DIGITS).collect())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_dns_label(name: &str, max: usize) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= max && name.chars().all(allowed) && !name.starts_with('-') && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_name_is_a_dns_1035_label_of_at_most_40_characters() {
        for good in ["a", "handbook", "team-a-2", &"a".repeat(40)] {
            assert!(ClusterName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "1st", "-a", "a-", "a.b", "A", "a_b", "é", &"a".repeat(41)] {
            assert!(ClusterName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_refused_name_says_what_was_found_and_what_is_allowed() {
        let refused = ClusterName::parse("a.b").unwrap_err().to_string();
        assert!(refused.contains("\"a.b\"") && refused.contains("at most 40"), "{refused}");
    }

    #[test]
    fn a_client_name_may_begin_with_a_digit() {
        assert!(ClientName::parse("2nd-line").is_ok());
        assert!(ClientName::parse("nightly.export").is_err());
    }

    #[test]
    fn the_longest_names_still_fit_a_dns_label() {
        let cluster = ClusterName::parse(&"a".repeat(CLUSTER_NAME_MAX)).unwrap();
        let revision = Revision::of_hash(&"0".repeat(64));
        // The pods of a StatefulSet carry `-0` and a hash of 10 digits behind its name.
        for name in [
            cluster.qdrant(),
            cluster.qdrant_peers(),
            cluster.management(),
            cluster.server(),
            cluster.config(&revision),
            cluster.server_revision(&revision),
            cluster.removal("off-site"),
        ] {
            assert!(name.len() <= 63, "{name}");
        }
        assert!(cluster.qdrant().len() + 11 <= 63);
    }

    #[test]
    fn what_a_schedule_asks_for_has_one_name_that_fits_and_belongs_to_it_alone() {
        let due: Timestamp = "2026-11-28T02:00:00Z".parse().unwrap();
        let name = |cluster: &str, schedule: &str, due| ClusterName::parse(cluster).unwrap().by_schedule(schedule, due);
        assert_eq!(name("handbook", "daily", due), name("handbook", "daily", due));
        assert!(name("handbook", "daily", due).starts_with("handbook-daily-202611280200-"));
        let longest = name(&"a".repeat(CLUSTER_NAME_MAX), &"b".repeat(20), due);
        assert_eq!(longest.len(), SNAPSHOT_NAME_MAX, "{longest}");
        // A dash at the cut, names that only their seam tells apart, and names that only their end does.
        assert!(!name(&format!("{}-x", "a".repeat(29)), "daily", due).contains("--"));
        assert_ne!(name("a-b", "c", due), name("a", "b-c", due));
        assert_ne!(name(&"a".repeat(40), "daily", due), name(&"a".repeat(40), "weekly", due));
        assert_ne!(name("handbook", "daily", due), name("handbook", "daily", "2026-11-29T02:00:00Z".parse().unwrap()));
    }

    #[test]
    fn a_revision_is_read_back_from_its_label_and_nothing_else_is() {
        let revision = Revision::of_hash("0123456789abcdef");
        assert_eq!(Revision::parse(revision.as_str()), Some(revision));
        for bad in ["", "0123", "0123456789a", "01234567zz"] {
            assert_eq!(Revision::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_id_of_a_corpus_is_read_back_as_it_was_minted() {
        let minted = CorpusId::of_hash(&"0f".repeat(32));
        assert_eq!(minted.as_str().len(), 32);
        assert_eq!(CorpusId::parse(minted.as_str()), Ok(minted));
        for bad in ["", "A", "a b", "-a", &"a".repeat(64)] {
            assert!(CorpusId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_fingerprint_is_the_beginning_of_the_sha_256() {
        assert_eq!(Fingerprint::of(b"abc").to_string(), "ba7816bf8f01");
    }
}
