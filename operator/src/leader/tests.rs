//! Elections before an API server with one Lease, whose line to each process is slow, silent or forgetful on demand. The time is
//! the runtime's, which stands still while anybody has something to do.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use http::{Method, Request, Response};
use jiff::SignedDuration;
use kube::client::Body;
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, prop_assert_eq, prop_oneof, proptest};
use serde_json::{Value, json};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// The length of every lease below, in seconds.
const LENGTH: u64 = 15;

type Answer = Result<Response<Body>, tower::BoxError>;

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It takes this long until it arrives, and then until its answer does.
    Slow(Duration, Duration),
    /// It is refused.
    Refused,
    /// It never arrives.
    Silent,
    /// It arrives, and its answer does not.
    Lost,
    /// It arrives so much later, when nobody waits for an answer any more.
    Late(Duration),
}

/// The API server's one Lease.
#[derive(Default)]
struct Store {
    lease: Option<Value>,
    version: u64,
}

impl Store {
    fn answer(&mut self, method: &Method, body: &Value) -> (u16, Value) {
        let found = self.lease.as_ref().map(|lease| lease["metadata"]["resourceVersion"].clone());
        match (method.as_str(), found) {
            ("GET", Some(_)) => (200, self.lease.clone().unwrap()),
            ("GET" | "PUT", None) => (404, status(404, "NotFound")),
            ("POST", Some(_)) => (409, status(409, "AlreadyExists")),
            ("PUT", Some(version)) if version != body["metadata"]["resourceVersion"] => (409, status(409, "Conflict")),
            ("PUT", Some(_)) => (200, self.write(body.clone())),
            ("POST", None) => (201, self.write(body.clone())),
            (other, _) => panic!("no right to {other} leases"),
        }
    }

    fn write(&mut self, mut lease: Value) -> Value {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.lease = Some(lease.clone());
        lease
    }

    fn spec(&self, field: &str) -> Value {
        self.lease.as_ref().map_or(Value::Null, |lease| lease["spec"][field].clone())
    }

    /// Somebody changes the Lease by hand.
    fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        let mut lease = self.lease.clone().unwrap();
        change(&mut lease);
        self.write(lease);
    }
}

fn status(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "status": "Failure", "reason": reason, "code": code, "message": reason})
}

/// One process's line to the API server.
#[derive(Clone, Default)]
struct Line {
    store: Arc<Mutex<Store>>,
    /// What becomes of the next requests.
    faults: Arc<Mutex<VecDeque<Fault>>>,
    /// What becomes of all others.
    rest: Arc<Mutex<Option<Fault>>>,
}

impl Line {
    fn to(store: &Arc<Mutex<Store>>) -> Self {
        Self { store: Arc::clone(store), ..Self::default() }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    fn every_request(&self, fault: Option<Fault>) {
        self.faults.lock().unwrap().clear();
        *self.rest.lock().unwrap() = fault;
    }

    fn client(&self) -> Client {
        let line = self.clone();
        Client::new(tower::service_fn(move |request: Request<Body>| line.clone().pass(request)), "ns")
    }

    async fn pass(self, request: Request<Body>) -> Answer {
        let method = request.method().clone();
        let body = request.into_body().collect_bytes().await?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let next = self.faults.lock().unwrap().pop_front();
        let fault = next.or(*self.rest.lock().unwrap());
        match fault {
            Some(Fault::Silent) => silence().await,
            Some(Fault::Refused) => answered(500, &status(500, "InternalError")),
            Some(Fault::Lost) => {
                self.store().answer(&method, &body);
                silence().await
            }
            Some(Fault::Late(delay)) => {
                tokio::spawn(async move {
                    sleep(delay).await;
                    self.store().answer(&method, &body);
                });
                silence().await
            }
            Some(Fault::Slow(before, after)) => {
                sleep(before).await;
                let (code, answer) = self.store().answer(&method, &body);
                sleep(after).await;
                answered(code, &answer)
            }
            None => {
                let (code, answer) = self.store().answer(&method, &body);
                answered(code, &answer)
            }
        }
    }

    async fn enter(&self, identity: &str) -> Election {
        Election::enter(self.client(), terms(identity), Timestamp::now).await.unwrap()
    }
}

fn answered(code: u16, answer: &Value) -> Answer {
    Ok(Response::builder().status(code).body(Body::from(serde_json::to_vec(answer)?))?)
}

async fn silence() -> Answer {
    std::future::pending().await
}

fn terms(identity: &str) -> Terms {
    Terms { namespace: "ns".into(), name: "lease".into(), identity: identity.into(), seconds: LENGTH }
}

/// Two lines to one API server.
fn two_lines() -> (Line, Line) {
    let store = Arc::default();
    (Line::to(&store), Line::to(&store))
}

#[tokio::test(start_paused = true)]
async fn the_first_process_creates_the_lease_and_leads_as_long_as_it_can_renew_it() {
    let line = Line::default();
    let election = line.enter("a").await;
    election.won().await;
    assert_eq!(line.store().spec("holderIdentity"), json!("a"));
    assert_eq!(line.store().spec("leaseDurationSeconds"), json!(LENGTH));
    let lost = timeout(SECOND * 600, election.lost()).await;
    assert!(lost.is_err(), "{lost:?}");
    assert_eq!(line.store().spec("leaseTransitions"), json!(1));
}

#[tokio::test(start_paused = true)]
async fn a_holder_whose_requests_hang_stops_before_anybody_else_may_begin() {
    let (mine, theirs) = two_lines();
    let (election, other) = (mine.enter("a").await, theirs.enter("b").await);
    election.won().await;
    let renewed = Instant::now();
    mine.every_request(Some(Fault::Silent));
    let lost = async {
        let loss = election.lost().await;
        (loss, renewed.elapsed())
    };
    let won = async {
        other.won().await;
        renewed.elapsed()
    };
    let ((loss, stopped), began) = tokio::join!(lost, won);
    assert_eq!(loss, Loss::NotRenewed);
    assert!(stopped >= SECOND * 11 && stopped < SECOND * 12, "{stopped:?}");
    assert!(began >= SECOND * 15 && began <= SECOND * 19, "{began:?}");
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_is_refused_keeps_trying_until_its_time_is_over() {
    let line = Line::default();
    let election = line.enter("a").await;
    election.won().await;
    line.every_request(Some(Fault::Refused));
    sleep(SECOND * 10).await;
    line.every_request(None);
    assert!(timeout(SECOND * 60, election.lost()).await.is_err(), "it has renewed in time");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_else_takes_is_lost() {
    let line = Line::default();
    let election = line.enter("a").await;
    election.won().await;
    line.store().edit(|lease| lease["spec"]["holderIdentity"] = json!("b"));
    let lost = timeout(SECOND * 6, election.lost()).await;
    assert_eq!(lost, Ok(Loss::Taken));
    assert_eq!(line.store().spec("holderIdentity"), json!("b"), "and left to its new holder");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_deleted_is_lost() {
    let line = Line::default();
    let election = line.enter("a").await;
    election.won().await;
    line.store().lease = None;
    assert_eq!(timeout(SECOND * 6, election.lost()).await, Ok(Loss::Taken));
}

#[tokio::test(start_paused = true)]
async fn neither_a_label_nor_a_lost_answer_costs_the_lease() {
    let line = Line::default();
    let election = line.enter("a").await;
    election.won().await;
    line.faults.lock().unwrap().push_back(Fault::Lost);
    sleep(SECOND * 30).await;
    line.store().edit(|lease| lease["metadata"]["labels"] = json!({"team": "blue"}));
    assert!(timeout(SECOND * 60, election.lost()).await.is_err());
    assert_eq!(line.store().lease.as_ref().unwrap()["metadata"]["labels"], json!({"team": "blue"}));
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_taken_up_at_once() {
    let (mine, theirs) = two_lines();
    let (election, other) = (mine.enter("a").await, theirs.enter("b").await);
    election.won().await;
    let waiting = async { timeout(SECOND * 60, other.won()).await };
    let releasing = async {
        sleep(SECOND * 30).await;
        election.release().await
    };
    let since = Instant::now();
    let (won, released) = tokio::join!(waiting, releasing);
    assert!(won.is_ok() && released.is_ok());
    assert!(since.elapsed() <= SECOND * 33, "{:?}", since.elapsed());
    election.release().await.unwrap();
    assert_eq!(theirs.store().spec("holderIdentity"), json!("b"), "what is no longer ours is not released");
}

#[tokio::test(start_paused = true)]
async fn a_holder_whose_clock_is_an_hour_behind_keeps_its_lease() {
    let (mine, theirs) = two_lines();
    let behind = || Timestamp::now() - SignedDuration::from_hours(1);
    let election = Election::enter(mine.client(), terms("a"), behind).await.unwrap();
    election.won().await;
    let other = theirs.enter("b").await;
    let contest = async { tokio::join!(other.won(), election.lost()) };
    assert!(timeout(SECOND * 120, contest).await.is_err());
    assert_eq!(mine.store().spec("leaseTransitions"), json!(1));
}

#[tokio::test(start_paused = true)]
async fn a_forbidden_lease_does_not_mend_itself_and_a_busy_server_does() {
    let forbidden = LeaseError::Call(Box::new(kube::Error::Api(Box::new(
        serde_json::from_value(status(403, "Forbidden")).unwrap(),
    ))));
    assert!(!forbidden.may_pass());
    let line = Line::default();
    line.every_request(Some(Fault::Silent));
    let silent = Election::enter(line.client(), terms("a"), Timestamp::now).await.err().unwrap();
    assert!(silent.may_pass());
    assert_eq!(silent.to_string(), "no answer within 3.75 s");
}

/// How many lead at this moment, and whether it was ever more than one.
#[derive(Default)]
struct Witness {
    leading: AtomicUsize,
    at_once: AtomicUsize,
    terms: AtomicUsize,
}

/// A process that is started again whenever it has lost the lease.
async fn process(line: Line, name: &'static str, clock: fn() -> Timestamp, witness: Arc<Witness>) {
    for start in 0.. {
        let identity = format!("{name}-{start}");
        let Ok(election) = Election::enter(line.client(), terms(&identity), clock).await else {
            sleep(SECOND).await;
            continue;
        };
        election.won().await;
        witness.terms.fetch_add(1, Ordering::SeqCst);
        let leading = witness.leading.fetch_add(1, Ordering::SeqCst) + 1;
        witness.at_once.fetch_max(leading, Ordering::SeqCst);
        election.lost().await;
        witness.leading.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Clocks of two machines.
const CLOCKS: [fn() -> Timestamp; 3] = [
    Timestamp::now,
    || Timestamp::now() - SignedDuration::from_hours(1),
    || Timestamp::now() + SignedDuration::from_secs(8),
];

fn fault() -> impl Strategy<Value = Fault> {
    let millis = |most: u64| (0..most).prop_map(Duration::from_millis);
    prop_oneof![
        6 => Just(Fault::Slow(Duration::ZERO, Duration::ZERO)),
        3 => (millis(4_000), millis(4_000)).prop_map(|(before, after)| Fault::Slow(before, after)),
        1 => Just(Fault::Refused),
        3 => Just(Fault::Silent),
        2 => Just(Fault::Lost),
        2 => millis(40_000).prop_map(Fault::Late),
    ]
}

/// Two processes for as long as there are faults, and a while longer; how many led at once, and how many lead in the end.
async fn contest(faults: [Vec<Fault>; 2], clocks: [fn() -> Timestamp; 2]) -> (usize, usize) {
    let (first, second) = two_lines();
    let witness = Arc::new(Witness::default());
    let [first_faults, second_faults] = faults;
    first.faults.lock().unwrap().extend(first_faults);
    second.faults.lock().unwrap().extend(second_faults);
    let [first_clock, second_clock] = clocks;
    let first = tokio::spawn(process(first, "a", first_clock, Arc::clone(&witness)));
    let second = tokio::spawn(process(second, "b", second_clock, Arc::clone(&witness)));
    sleep(SECOND * 400).await;
    let terms = witness.terms.load(Ordering::SeqCst);
    sleep(SECOND * 100).await;
    assert_eq!(witness.terms.load(Ordering::SeqCst), terms, "without faults nobody takes the lease from anybody");
    first.abort();
    second.abort();
    (witness.at_once.load(Ordering::SeqCst), witness.leading.load(Ordering::SeqCst))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whatever_becomes_of_their_requests_two_processes_never_lead_at_once_and_one_does_in_the_end(
        first in vec(fault(), 0..40), second in vec(fault(), 0..40), clocks in (0..CLOCKS.len(), 0..CLOCKS.len()),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let clocks = [CLOCKS[clocks.0], CLOCKS[clocks.1]];
        let (at_once, leading) = runtime.block_on(contest([first, second], clocks));
        prop_assert_eq!((at_once, leading), (1, 1));
    }
}
