//! Looks at the files of certificates that the configuration names, beside the requests: they are renewed while the server runs, and one that expires ends connections that are made then.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, RecordsChoice, Tls},
    operations::{Operations, Watched},
    outside::{self, NoCertificates},
};

/// Between two looks; they cost a millisecond for the bundle of a whole system.
const LOOK: Duration = Duration::from_secs(10);

/// What is to expire sooner is said: three weeks, in which a person finds the time to renew it.
const SOON: SignedDuration = SignedDuration::from_hours(21 * 24);

/// The files that connections of this configuration are checked against.
fn files(config: &Config) -> Vec<(Watched, PathBuf)> {
    let postgres = match config.records.choice(&config.vector_store) {
        RecordsChoice::Postgres(postgres) if postgres.tls == Tls::VerifyFull => Some(postgres.dir.join("ca.crt")),
        RecordsChoice::Postgres(_) | RecordsChoice::Sqlite(_) | RecordsChoice::VectorStore => None,
    };
    let all = [
        (Watched::QdrantCa, config.vector_store.qdrant.as_ref().and_then(|qdrant| qdrant.ca_file.clone())),
        (Watched::PostgresCa, postgres),
        (Watched::RedisCa, config.cache.redis.as_ref().and_then(|redis| redis.ca_file.clone())),
        (Watched::SnapshotsCa, config.snapshots.s3.as_ref().and_then(|s3| s3.ca_file.clone())),
        (Watched::TracingCa, config.tracing.ca_file.clone()),
    ];
    all.into_iter().filter_map(|(certificate, path)| Some((certificate, path?))).collect()
}

/// Looks until the server has stopped; it begins before any connection is made, since one that is refused may be what it finds.
pub(super) async fn watch(config: Config, operations: Operations, stopped: CancellationToken) {
    let files = files(&config);
    if files.is_empty() {
        return;
    }
    let mut known = BTreeMap::new();
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopped.cancelled() => return,
            _ = ticks.tick() => {}
        }
        for (certificate, path) in &files {
            let path = path.clone();
            let Ok(found) = tokio::task::spawn_blocking(move || outside::first_expiry(&path)).await else { continue };
            operations.expires(*certificate, found.clone().ok());
            let found = (stage(&found, Timestamp::now()), found);
            if known.get(certificate) != Some(&found) {
                say(*certificate, &found);
                known.insert(*certificate, found);
            }
        }
    }
}

/// How much time there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Enough,
    Soon,
    Over,
}

fn stage(found: &Result<Timestamp, NoCertificates>, now: Timestamp) -> Stage {
    match found {
        Ok(at) if *at <= now => Stage::Over,
        Ok(at) if at.duration_since(now) < SOON => Stage::Soon,
        Ok(_) | Err(_) => Stage::Enough,
    }
}

/// What is wrong is said once, and again when it is another thing.
fn say(certificate: Watched, (stage, found): &(Stage, Result<Timestamp, NoCertificates>)) {
    let certificate = certificate.as_str();
    match (stage, found) {
        (Stage::Over, Ok(at)) => {
            tracing::warn!(certificate, %at, "a certificate expired; what needs it is refused");
        }
        (Stage::Soon, Ok(at)) => tracing::warn!(certificate, %at, "a certificate expires soon"),
        // Where it must be there, whoever needs it says so.
        (_, Ok(_) | Err(NoCertificates::NoFile)) => {}
        (_, Err(error)) => {
            tracing::warn!(certificate, "when a certificate expires is not known: its file {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_said_three_weeks_before_its_end_and_at_its_end() {
        let at = |days: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(days * 24);
        for (expires, expected) in [(122, Stage::Enough), (121, Stage::Enough), (120, Stage::Soon), (100, Stage::Over)]
        {
            assert_eq!(stage(&Ok(at(expires)), at(100)), expected, "{expires}");
        }
        assert_eq!(stage(&Err(NoCertificates::Damaged), at(100)), Stage::Enough);
    }

    #[test]
    fn certificates_that_no_connection_is_checked_against_are_not_watched() {
        let config = Config::from_toml(b"[records.postgres]\ndir = \"/p\"\ntls = \"Off\"\n", "test").unwrap();
        assert_eq!(files(&config), []);
    }

    #[test]
    fn every_file_of_certificates_that_is_configured_is_watched() {
        let config = Config::from_toml(
            b"[vector_store.qdrant]\nurl = \"https://q\"\ncollection = \"c\"\nca_file = \"/q\"\n[records.postgres]\ndir = \"/p\"\n\
              [cache.redis]\nurl = \"rediss://r\"\nca_file = \"/r\"\n[snapshots.s3]\nbucket = \"kept\"\naccess_key_id_file = \"/i\"\nsecret_access_key_file = \"/k\"\nca_file = \"/s\"\n[tracing]\nca_file = \"/t\"\n",
            "test",
        );
        let found = files(&config.unwrap());
        let found: Vec<_> = found.iter().map(|(name, path)| (name.as_str(), path.to_str().unwrap())).collect();
        let all = [
            ("qdrant_ca", "/q"),
            ("postgres_ca", "/p/ca.crt"),
            ("redis_ca", "/r"),
            ("snapshots_ca", "/s"),
            ("tracing_ca", "/t"),
        ];
        assert_eq!(found, all);
        assert_eq!(files(&Config::default()), []);
    }
}
