//! When the certificates expire that connections of this process stand on, as they were last looked at. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// A certificate, or a file of them, that is watched. Its name is a metric label, so there is one for each place where one may be, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watched {
    /// `vector_store.qdrant.ca_file`.
    QdrantCa,
    /// `ca.crt` of the folder `records.postgres.dir`.
    PostgresCa,
    /// `cache.redis.ca_file`.
    RedisCa,
    /// `snapshots.s3.ca_file`.
    SnapshotsCa,
    /// `tracing.ca_file`.
    TracingCa,
}

impl Watched {
    /// All that there may be. A test finds each in the documentation.
    pub const ALL: [Self; 5] = [Self::QdrantCa, Self::PostgresCa, Self::RedisCa, Self::SnapshotsCa, Self::TracingCa];

    /// The name, as a metric label and in `/ops/status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QdrantCa => "qdrant_ca",
            Self::PostgresCa => "postgres_ca",
            Self::RedisCa => "redis_ca",
            Self::SnapshotsCa => "snapshots_ca",
            Self::TracingCa => "tracing_ca",
        }
    }
}

/// When each expires, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expiries(BTreeMap<Watched, Timestamp>);

impl Expiries {
    /// This one expires then; nothing is known of it without a time.
    pub(super) fn note(&mut self, certificate: Watched, expires: Option<Timestamp>) {
        match expires {
            Some(at) => self.0.insert(certificate, at),
            None => self.0.remove(&certificate),
        };
    }

    /// All that are known, the one that expires first at the front.
    pub fn earliest_first(&self) -> Vec<(Watched, Timestamp)> {
        let mut all: Vec<_> = self.0.iter().map(|(certificate, at)| (*certificate, *at)).collect();
        all.sort_by_key(|(_, at)| *at);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_expires_first_stands_first_and_what_is_no_longer_there_stands_nowhere() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let mut expiries = Expiries::default();
        expiries.note(Watched::QdrantCa, Some(at(9)));
        expiries.note(Watched::RedisCa, Some(at(5)));
        assert_eq!(expiries.earliest_first(), [(Watched::RedisCa, at(5)), (Watched::QdrantCa, at(9))]);
        expiries.note(Watched::RedisCa, Some(at(20)));
        assert_eq!(expiries.earliest_first(), [(Watched::QdrantCa, at(9)), (Watched::RedisCa, at(20))]);
        expiries.note(Watched::QdrantCa, None);
        assert_eq!(expiries.earliest_first(), [(Watched::RedisCa, at(20))]);
    }
}
