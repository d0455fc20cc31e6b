//! Two servers over one double of the records, which fails, forgets and is damaged.

use serde_json::{Value, json};

use super::*;
use crate::{
    config::LiveSettings,
    doubles::RecordsDouble,
    ports::CacheKind,
    resilience::{BreakerPolicy, BreakerState, Guard, Verdict},
};

fn server() -> Operations {
    Operations::new(LiveSettings::new(None))
}

fn deny(fingerprint: &str) -> Change {
    Change::Deny(fingerprint.to_owned())
}

fn block(subject: &str) -> Change {
    Change::Block { subject: subject.to_owned(), reason: "floods".to_owned(), until: None }
}

async fn change(server: &Operations, records: &RecordsDouble, change: Change) -> Changed {
    server.change_fleet(records, &change, "admin").await.unwrap()
}

async fn overwrite(records: &RecordsDouble, body: Value) {
    let standing = records.get(Kind::Fleet, RECORD).await.unwrap().unwrap();
    records.compare_and_set(Kind::Fleet, RECORD, standing.version, body).await.unwrap();
}

fn is_blocked(server: &Operations, subject: &str) -> bool {
    server.fleet().state.block(subject, Timestamp::now()).is_some()
}

#[tokio::test]
async fn a_change_holds_at_once_where_it_is_made_and_with_the_next_look_elsewhere() {
    let (records, here, there) = (RecordsDouble::default(), server(), server());
    for server in [&here, &there] {
        server.look_at_fleet(&records).await.unwrap();
    }
    let keys = || [&here, &there].map(|server| server.cache_epochs().part(CacheKind::Response, None));
    let before = keys();
    assert!(before[0].is_some() && before[0] == before[1], "{before:?}");
    for one in [Change::ReadOnly(true), deny("0123456789ab"), block("api-key.a")] {
        assert!(change(&here, &records, one).await.did);
    }
    change(&here, &records, Change::Clear { kinds: vec![CacheKind::Response], tenant: None }).await;
    let holds = |server: &Operations| {
        let denied = server.denied().borrow().contains("0123456789ab");
        (server.live().state().live.read_only, denied, is_blocked(server, "api-key.a"))
    };
    assert_eq!((holds(&here), holds(&there)), ((true, true, true), (false, false, false)));
    there.look_at_fleet(&records).await.unwrap();
    assert_eq!((holds(&there), there.fleet().state), ((true, true, true), here.fleet().state));
    let after = keys();
    assert!(after[0] == after[1] && after[0] != before[0], "{after:?}");
    assert!(!change(&there, &records, Change::ReadOnly(true)).await.did, "it is already");
}

#[tokio::test]
async fn while_the_records_are_down_what_is_known_holds_and_a_change_is_refused() {
    let (records, server) = (RecordsDouble::default(), server());
    server.look_at_fleet(&records).await.unwrap();
    change(&server, &records, block("api-key.a")).await;
    let known = server.fleet();
    records.fail();
    assert!(matches!(server.look_at_fleet(&records).await, Err(FleetError::Store(_))));
    let refused = server.change_fleet(&records, &Change::Lift("api-key.a".to_owned()), "admin").await;
    assert!(matches!(refused, Err(FleetError::Store(_))), "{refused:?}");
    assert_eq!(server.fleet(), known, "it is as old as it was, too");
    assert!(is_blocked(&server, "api-key.a"));
    let parts = server.parts();
    let (_, seen) = parts.iter().find(|(name, _)| name == PART).unwrap();
    assert_eq!(seen.as_ref().unwrap().cause.as_deref(), Some("unreachable"));
}

#[tokio::test]
async fn a_damaged_record_empties_nothing_and_the_next_change_heals_it() {
    let (records, here, there) = (RecordsDouble::default(), server(), server());
    change(&here, &records, deny("0123456789ab")).await;
    overwrite(&records, json!({"format": 1, "state": "gone"})).await;
    let looked = here.look_at_fleet(&records).await;
    assert_eq!(looked.unwrap_err().cause(), "damaged");
    assert!(here.denied().borrow().contains("0123456789ab"));
    assert_eq!(there.look_at_fleet(&records).await.unwrap_err().cause(), "damaged");
    assert_eq!(there.cache_epochs().part(CacheKind::Response, None), None, "what was cleared is unknown");
    change(&here, &records, block("api-key.a")).await;
    there.look_at_fleet(&records).await.unwrap();
    assert!(there.denied().borrow().contains("0123456789ab") && is_blocked(&there, "api-key.a"));
}

#[tokio::test]
async fn what_a_newer_server_wrote_is_neither_read_nor_written_over() {
    let (records, server) = (RecordsDouble::default(), server());
    change(&server, &records, deny("0123456789ab")).await;
    let newer = json!({"format": 2, "state": {"novelty": true}});
    overwrite(&records, newer.clone()).await;
    assert_eq!(server.look_at_fleet(&records).await.unwrap_err().cause(), "newer_format");
    let refused = server.change_fleet(&records, &block("api-key.a"), "admin").await;
    assert_eq!(refused, Err(FleetError::Unread(Unread::Newer(2))));
    assert!(server.denied().borrow().contains("0123456789ab"));
    assert_eq!(records.get(Kind::Fleet, RECORD).await.unwrap().unwrap().body, newer);
}

#[tokio::test]
async fn a_record_that_went_away_is_put_back_by_whoever_knows_it() {
    let (records, here, there) = (RecordsDouble::default(), server(), server());
    change(&here, &records, deny("0123456789ab")).await;
    let standing = records.get(Kind::Fleet, RECORD).await.unwrap().unwrap();
    records.remove(Kind::Fleet, RECORD, standing.version).await.unwrap();
    here.look_at_fleet(&records).await.unwrap();
    there.look_at_fleet(&records).await.unwrap();
    assert!(there.denied().borrow().contains("0123456789ab"));
}

#[tokio::test]
async fn changes_at_the_same_time_are_all_made() {
    let records = RecordsDouble::default();
    let servers: Vec<_> = (0..4).map(|_| server()).collect();
    let changes = (0..20).map(|n| {
        let (server, records) = (&servers[n % 4], &records);
        async move { change(server, records, deny(&format!("{n:012x}"))).await }
    });
    futures::future::join_all(changes).await;
    for server in &servers {
        server.look_at_fleet(&records).await.unwrap();
        assert_eq!(server.fleet().state.denied.len(), 20);
        assert_eq!(server.fleet().state, servers[0].fleet().state);
    }
}

#[tokio::test]
async fn a_breaker_is_reset_once_by_each_reset_and_by_none_from_before_it() {
    let (records, here, there) = (RecordsDouble::default(), server(), server());
    let reset = || Change::Reset("far".to_owned());
    change(&here, &records, reset()).await;
    let policy = BreakerPolicy { failures: 1, open: Duration::from_secs(3600), successes: 1 };
    let guard = Arc::new(Guard::new("far", policy, Box::new(|_, _, _| {})));
    there.keep_guard(Arc::clone(&guard));
    guard.admit().unwrap().judge(Verdict::Failure);
    there.look_at_fleet(&records).await.unwrap();
    assert_eq!(guard.state(), BreakerState::Open, "it failed after that");
    for (one, state) in [(deny("0123456789ab"), BreakerState::Open), (reset(), BreakerState::Closed)] {
        change(&here, &records, one.clone()).await;
        there.look_at_fleet(&records).await.unwrap();
        assert_eq!(guard.state(), state, "{one:?}");
    }
}
