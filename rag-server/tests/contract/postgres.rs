//! The Postgres adapter, on a real server of the tests' own; skipped where Postgres is not installed.

#[path = "../postgres_server/mod.rs"]
#[allow(dead_code, reason = "only a part of it is used here")]
mod postgres_server;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use rag_core::doubles::eventually;
use rag_server::{
    adapters::postgres::{PostgresRecords, PostgresSettings},
    ports::{Kind, Put, Records, StoreError, Swap},
};
use serde_json::json;

use self::postgres_server::{Database, MAX_CONNECTIONS, Postgres};
use crate::{certificates, records};

/// Far more than a call takes on a busy machine, and far less than a test may.
const DEADLINE: Duration = Duration::from_secs(30);

fn settings(dir: &Path) -> PostgresSettings {
    PostgresSettings {
        dir: dir.to_owned(),
        host: None,
        port: None,
        database: None,
        tls: false,
        servers: 1,
        reserved: 0,
        deadline: DEADLINE,
    }
}

async fn open(database: &Database<'_>) -> Arc<PostgresRecords> {
    Arc::new(PostgresRecords::open(settings(database.dir())).await.unwrap())
}

async fn refusal(settings: PostgresSettings) -> StoreError {
    match PostgresRecords::open(settings).await {
        Err(error) => error,
        Ok(_) => panic!("it was opened"),
    }
}

#[async_trait]
impl records::Storage for Database<'static> {
    fn skipped() -> Option<String> {
        postgres_server::skipped()
    }

    async fn fresh() -> Self {
        Postgres::shared().database().await
    }

    async fn open(&self) -> Arc<dyn Records> {
        open(self).await
    }
}

mod on_postgres {
    use super::{Database, records};

    records::records_suite!(Database<'static>);
}

/// Says that a test is skipped, and whether it is.
fn is_skipped() -> bool {
    let why = postgres_server::skipped();
    if let Some(why) = &why {
        eprintln!("skipped, because {why}");
    }
    why.is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_start_at_once_make_the_tables_once() {
    if is_skipped() {
        return;
    }
    let database = Postgres::shared().database().await;
    let starting = (0..6).map(|_| PostgresRecords::open(settings(database.dir())));
    let servers: Vec<PostgresRecords> =
        futures::future::join_all(starting).await.into_iter().map(|opened| opened.ok().unwrap()).collect();
    records::put(&servers[0], Kind::Document, "a", json!({})).await;
    for server in &servers {
        assert_eq!(server.count(Kind::Document).await, Ok(1));
    }
    let mut admin = database.server.admin(&database.name).await;
    let slots: i64 = sqlx::query_scalar("SELECT count(*) FROM ragops_slots").fetch_one(&mut admin).await.unwrap();
    assert_eq!(slots, 256);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_writers_on_one_record_lose_no_increment() {
    if is_skipped() {
        return;
    }
    let database = Postgres::shared().database().await;
    let servers = [open(&database).await, open(&database).await];
    let first = records::put(&*servers[0], Kind::Budget, "month", json!({ "n": 0 })).await.version;
    let writers = (0..50).map(|n| {
        let records = Arc::clone(&servers[n % 2]);
        tokio::spawn(async move {
            let mut stands = records.get(Kind::Budget, "month").await.unwrap().unwrap();
            loop {
                let next = json!({ "n": stands.body["n"].as_i64().unwrap() + 1 });
                match records.compare_and_set(Kind::Budget, "month", stands.version, next).await.unwrap() {
                    Swap::Done(_) => break,
                    Swap::Conflict(current) => stands = current.unwrap(),
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let stands = servers[1].get(Kind::Budget, "month").await.unwrap().unwrap();
    assert_eq!((stands.version, stands.body), (first + 50, json!({ "n": 50 })));
}

/// Puts, changes and removes the same few records from everywhere. A version that was seen of an id is never seen again after it was removed.
#[tokio::test(flavor = "multi_thread")]
async fn racing_puts_and_removals_never_bring_a_version_back() {
    if is_skipped() {
        return;
    }
    let database = Postgres::shared().database().await;
    let servers = [open(&database).await, open(&database).await];
    let racers = (0..8).map(|n| {
        let records = Arc::clone(&servers[n % 2]);
        tokio::spawn(async move {
            let (mut removed, mut created) = (0, Vec::new());
            for _ in 0..60 {
                let stands = match records.put_if_absent(Kind::Claim, "a", json!({})).await.unwrap() {
                    Put::Created(record) => {
                        assert!(record.version > removed, "{} was put after {removed} was removed", record.version);
                        created.push(record.version);
                        record
                    }
                    Put::Existing(record) => record,
                };
                let swap = records.compare_and_set(Kind::Claim, "a", stands.version, json!({})).await.unwrap();
                let last = if let Swap::Done(record) = swap { record.version } else { stands.version };
                if let Swap::Done(gone) = records.remove(Kind::Claim, "a", last).await.unwrap() {
                    removed = gone.version;
                }
            }
            created
        })
    });
    let mut created = Vec::new();
    for racer in racers.collect::<Vec<_>>() {
        created.extend(racer.await.unwrap());
    }
    let count = created.len();
    created.sort_unstable();
    created.dedup();
    assert_eq!(created.len(), count, "a version was given to two lives of a record");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_opens_its_part_of_what_the_database_allows_and_no_more() {
    if is_skipped() {
        return;
    }
    let database = Postgres::shared().database().await;
    let settings = PostgresSettings { servers: 40, reserved: 40, ..settings(database.dir()) };
    let records = Arc::new(PostgresRecords::open(settings).await.ok().unwrap());
    let found = records.connections();
    assert_eq!((found.limit, found.servers), (MAX_CONNECTIONS - 3 - 40, 40));
    assert_eq!(found.most, (MAX_CONNECTIONS - 3 - 40) / 40);
    let calls = (0..60).map(|n| {
        let records = Arc::clone(&records);
        tokio::spawn(async move { records.put_if_absent(Kind::Job, &format!("j{n}"), json!({})).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert!(matches!(call.await.unwrap(), Ok(Put::Created(_))));
        let open = records.connections().open;
        assert!(open <= found.most as usize, "{open}");
    }
    assert_eq!(database.sessions("true").await, records.connections().open as i64);
    records.close().await.unwrap();
    assert_eq!(records.connections().open, 0);
    assert!(records.get(Kind::Job, "j1").await.is_err());
    // A limit of the user's counts as well.
    database.server.does(format!("ALTER ROLE {} CONNECTION LIMIT 6", database.name)).await;
    let fewer = PostgresRecords::open(PostgresSettings { servers: 2, ..self::settings(database.dir()) }).await;
    assert_eq!(fewer.ok().unwrap().connections().most, 3);
}

/// Writes without a pause until told to stop; tells how many writes were acknowledged, and fails with the first that was not.
struct Load {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicUsize>,
    writers: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn on(records: &Arc<PostgresRecords>) -> Self {
        let (stop, written) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let writers = (0..8).map(|writer| {
            let (records, stop, written) = (Arc::clone(records), Arc::clone(&stop), Arc::clone(&written));
            tokio::spawn(async move {
                for n in 0.. {
                    if stop.load(SeqCst) {
                        return;
                    }
                    records.put_if_absent(Kind::Pending, &format!("{writer}/{n}"), json!({})).await.unwrap();
                    written.fetch_add(1, SeqCst);
                }
            })
        });
        let writers = writers.collect();
        Self { stop, written, writers }
    }

    /// Waits for so many more writes.
    async fn more(&self, count: usize) {
        let until = self.written.load(SeqCst) + count;
        eventually("more is written", async || self.written.load(SeqCst) >= until).await;
    }

    async fn end(self, records: &PostgresRecords) {
        self.stop.store(true, SeqCst);
        for writer in self.writers {
            writer.await.unwrap();
        }
        assert_eq!(records.count(Kind::Pending).await, Ok(self.written.load(SeqCst) as u64));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_changes_while_requests_go_on_and_none_fails() {
    if is_skipped() {
        return;
    }
    let database = Postgres::shared().database().await;
    let records = open(&database).await;
    let load = Load::on(&records);
    load.more(50).await;
    // First the database and then the file, as long after it as a Secret takes.
    database.server.does(format!("ALTER ROLE {} PASSWORD 'second-password'", database.name)).await;
    let changed = sqlx::query_scalar::<_, String>("SELECT now()::text")
        .fetch_one(&mut database.server.admin("postgres").await)
        .await
        .unwrap();
    let old = format!("backend_start < '{changed}'");
    load.more(200).await;
    assert!(database.sessions(&old).await > 0, "what works goes on being used");
    database.write("password", "second-password\n");
    eventually("old connections are let go", async || database.sessions(&old).await == 0).await;
    load.more(50).await;
    // First the file and then the database.
    database.write("password", "third-password");
    load.more(200).await;
    database.server.does(format!("ALTER ROLE {} PASSWORD 'third-password'", database.name)).await;
    load.more(50).await;
    // Another user altogether.
    let other = format!("{}_next", database.name);
    database
        .server
        .does(format!("CREATE ROLE {other} LOGIN PASSWORD 'fourth-password' IN ROLE {}", database.name))
        .await;
    database.write("username", &other);
    database.write("password", "fourth-password");
    let of_the_old_user = format!("usename = '{}'", database.name);
    eventually("the other user asks", async || {
        database.sessions(&of_the_old_user).await == 0 && database.sessions(&format!("usename = '{other}'")).await > 0
    })
    .await;
    database.server.does(format!("ALTER ROLE {} NOLOGIN", database.name)).await;
    load.more(50).await;
    load.end(&records).await;
    records.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_is_taken_up_at_once_where_no_connection_is_left() {
    if is_skipped() {
        return;
    }
    let database = Postgres::shared().database().await;
    let records = open(&database).await;
    database.server.does(format!("ALTER ROLE {} PASSWORD 'second-password'", database.name)).await;
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'", database.name);
    database.server.does(end).await;
    let error = records.count(Kind::Job).await.unwrap_err();
    assert_eq!(error.cause(), "auth_failed");
    let said = format!("{error} {error:?}");
    assert!(!said.contains("password") && said.contains("check its file"), "{said}");
    database.write("password", "second-password");
    eventually("it is taken up", async || records.count(Kind::Job).await == Ok(0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_server_from_starting_is_said_with_its_class_and_no_secret() {
    if is_skipped() {
        return;
    }
    let database = Postgres::shared().database().await;
    let told = async |change: &dyn Fn()| {
        change();
        let error = refusal(settings(database.dir())).await;
        let said = error.to_string();
        assert!(!said.contains("wrong-password") && !said.contains(postgres_server::PASSWORD), "{said}");
        (error.cause(), said)
    };
    let (cause, said) = told(&|| database.write("password", "wrong-password")).await;
    assert_eq!(cause, "auth_failed", "{said}");
    database.write("password", postgres_server::PASSWORD);
    let (cause, said) = told(&|| database.write("database", "nowhere")).await;
    assert!(cause == "refused" && said.contains("nowhere"), "{cause}: {said}");
    let (cause, said) = told(&|| database.write("database", "postgres")).await;
    assert!(cause == "refused" && said.contains("may create in its schema"), "{cause}: {said}");
    database.write("database", &database.name);
    let (cause, said) = told(&|| database.write("port", "1")).await;
    assert!(cause == "unreachable" && said.contains("127.0.0.1:1/"), "{cause}: {said}");
    std::fs::remove_file(database.dir().join("username")).unwrap();
    let (cause, said) = told(&|| ()).await;
    assert!(cause == "auth_failed" && said.contains("username"), "{cause}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_a_newer_version_are_refused() {
    if is_skipped() {
        return;
    }
    let database = Postgres::shared().database().await;
    open(&database).await.close().await.unwrap();
    let mut admin = database.server.admin(&database.name).await;
    let newer = "INSERT INTO _sqlx_migrations VALUES (9999, 'later', now(), true, '', 0)";
    sqlx::query(newer).execute(&mut admin).await.unwrap();
    let error = refusal(settings(database.dir())).await;
    assert!(error.cause() == "refused" && error.to_string().contains("newer version"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_set_to_acknowledge_early_writes_durably_all_the_same() {
    if is_skipped() {
        return;
    }
    let database = Postgres::shared().database().await;
    for set in ["synchronous_commit = off", "statement_timeout = 0"] {
        database.server.does(format!("ALTER ROLE {} SET {set}", database.name)).await;
    }
    // What a session has is seen by a function that a write calls.
    let records = open(&database).await;
    let mut admin = database.server.admin(&database.name).await;
    for sql in [
        "CREATE TABLE seen (durable text, timeout text)",
        "GRANT ALL ON seen TO PUBLIC",
        "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES \
         (current_setting('synchronous_commit'), current_setting('statement_timeout')); RETURN NEW; END $$",
        "CREATE TRIGGER see BEFORE INSERT ON ragops_records FOR EACH ROW EXECUTE FUNCTION see()",
    ] {
        sqlx::query(sql).execute(&mut admin).await.unwrap();
    }
    records::put(&*records, Kind::Job, "a", json!({})).await;
    let seen: (String, String) = sqlx::query_as("SELECT * FROM seen").fetch_one(&mut admin).await.unwrap();
    assert_eq!(seen, ("on".to_owned(), "30s".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_waits_too_long_is_given_up_and_its_connection_is_not_used_again() {
    if is_skipped() {
        return;
    }
    let database = Postgres::shared().database().await;
    let settings = PostgresSettings { deadline: Duration::from_secs(1), ..settings(database.dir()) };
    let records = Arc::new(PostgresRecords::open(settings).await.ok().unwrap());
    let stands = records::put(&*records, Kind::Job, "a", json!({ "n": 1 })).await;
    let mut admin = database.server.admin(&database.name).await;
    sqlx::raw_sql("BEGIN; SELECT * FROM ragops_records FOR UPDATE").execute(&mut admin).await.unwrap();
    let late = records.compare_and_set(Kind::Job, "a", stands.version, json!({ "n": 2 })).await;
    assert_eq!(late.unwrap_err().cause(), "timeout");
    // Reads do not wait for it, and get their own answer.
    assert_eq!(records.get(Kind::Job, "a").await, Ok(Some(stands.clone())));
    // A caller who goes away takes the connection along.
    let given_up = records.compare_and_set(Kind::Job, "a", stands.version, json!({ "n": 3 }));
    assert!(tokio::time::timeout(Duration::from_millis(200), given_up).await.is_err());
    assert_eq!(records.get(Kind::Job, "b").await, Ok(None));
    eventually("nothing waits on the server any more", async || {
        database.sessions("wait_event_type = 'Lock'").await == 0
    })
    .await;
    sqlx::raw_sql("ROLLBACK").execute(&mut admin).await.unwrap();
    assert_eq!(records.get(Kind::Job, "a").await, Ok(Some(stands)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_counts_only_by_the_named_authority_and_for_the_host() {
    if is_skipped() {
        return;
    }
    let database = Postgres::shared().database().await;
    let tls = || PostgresSettings { tls: true, ..settings(database.dir()) };
    let records = PostgresRecords::open(tls()).await.ok().unwrap();
    assert_eq!(records.count(Kind::Job).await, Ok(0));
    let encrypted = "pid IN (SELECT pid FROM pg_stat_ssl WHERE ssl)";
    assert_eq!((database.sessions(encrypted).await, database.sessions("true").await), (1, 1));
    // Without an authority of its own it trusts those of the web, which did not sign this one.
    std::fs::remove_file(database.dir().join("ca.crt")).unwrap();
    let error = refusal(tls()).await;
    assert!(error.cause() == "unreachable" && error.to_string().contains("certificate"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    certificates::authority(folder.path(), "foreign", certificates::DAYS);
    database.write("ca.crt", &std::fs::read_to_string(folder.path().join("foreign.crt")).unwrap());
    let error = refusal(tls()).await;
    assert!(error.cause() == "unreachable" && error.to_string().contains("certificate"), "{error}");
    // Another name of the same machine, for which the certificate is not.
    database.write("ca.crt", &database.server.ca());
    let error = refusal(PostgresSettings { host: Some("127.0.0.2".to_owned()), ..tls() }).await;
    assert_eq!(error.cause(), "unreachable", "{error}");
    let error = refusal(PostgresSettings { host: Some("ip6-localhost".to_owned()), ..tls() }).await;
    assert_eq!(error.cause(), "unreachable", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_or_stands_still_is_told_by_its_class_and_comes_back_by_itself() {
    if is_skipped() {
        return;
    }
    let server = Postgres::start();
    let database = server.database().await;
    let settings = PostgresSettings { deadline: Duration::from_secs(2), ..settings(database.dir()) };
    let records = Arc::new(PostgresRecords::open(settings).await.ok().unwrap());
    let stands = records::put(&*records, Kind::Job, "a", json!({ "n": 1 })).await;
    server.leave();
    let error = records.get(Kind::Job, "a").await.unwrap_err();
    assert_eq!(error.cause(), "unreachable", "{error}");
    server.come_back();
    assert_eq!(records.get(Kind::Job, "a").await, Ok(Some(stands.clone())), "the first question after it is answered");
    // Every connection that there may be waits for it, and none of them is lost to the server for good.
    server.stall();
    let calls = (0..40).map(|_| {
        let records = Arc::clone(&records);
        tokio::spawn(async move { records.get(Kind::Job, "a").await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap().unwrap_err().cause(), "timeout");
    }
    server.go_on();
    eventually("it answers", async || records.get(Kind::Job, "a").await == Ok(Some(stands.clone()))).await;
    let next = records.compare_and_set(Kind::Job, "a", stands.version, json!({ "n": 2 })).await;
    assert!(matches!(next, Ok(Swap::Done(_))), "{next:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_a_restart_in_the_middle_of_writing() {
    if is_skipped() {
        return;
    }
    let server = Postgres::start();
    let database = server.database().await;
    let records = open(&database).await;
    let (stop, acknowledged) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let writers = (0..6).map(|writer| {
        let (records, stop, acknowledged) = (Arc::clone(&records), Arc::clone(&stop), Arc::clone(&acknowledged));
        tokio::spawn(async move {
            let mut written = Vec::new();
            for n in 0.. {
                if stop.load(SeqCst) {
                    break;
                }
                let id = format!("{writer}/{n}");
                match records.put_if_absent(Kind::Pending, &id, json!({})).await {
                    Ok(_) => {
                        written.push(id);
                        acknowledged.fetch_add(1, SeqCst);
                    }
                    Err(error) => {
                        assert!(error.is_transient(), "{error}");
                        tokio::task::yield_now().await;
                    }
                }
            }
            written
        })
    });
    let writers: Vec<_> = writers.collect();
    for _ in 0..2 {
        let until = acknowledged.load(SeqCst) + 100;
        eventually("more is written", async || acknowledged.load(SeqCst) >= until).await;
        server.leave();
        server.come_back();
    }
    let until = acknowledged.load(SeqCst) + 100;
    eventually("it goes on", async || acknowledged.load(SeqCst) >= until).await;
    stop.store(true, SeqCst);
    for writer in writers {
        let written = writer.await.unwrap();
        let ids: Vec<&str> = written.iter().map(String::as_str).collect();
        assert_eq!(records.get_many(Kind::Pending, &ids).await.unwrap().len(), ids.len());
    }
    let log = server.log();
    assert!(!log.contains("PANIC") && !log.contains("deadlock"), "{log}");
}
