//! Asks every query server about itself in the background, so that a reconcile never waits for a pod: it sees the last answer
//! and its time. A changed answer asks for a look at the cluster; a server counts as silent only when it was so twice in a row,
//! and so does a vector store that it does not reach.
//! An answer counts for a while: what could not be asked since is silent, too. The operator's key is read by name and never shown.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::api::Credential;
use crate::metrics::Metrics;
use crate::server_client::{OperatorKey, ServerClient, ServerStatus, Silence};

/// Questions under way at once: enough for hundreds of servers in a few seconds, few enough for a small process.
const AT_ONCE: usize = 32;

/// Pods change in bursts; one round answers for all of them.
const BURST: Duration = Duration::from_millis(200);

/// How long a key is used before it is read again; a refused key is read again at once.
const KEY_LIFETIME: Duration = Duration::from_secs(60);

/// So many silences in a row are one: a busy server that is late once is not news.
const SILENCES: u32 = 2;

/// So many answers in a row that tell of a lost vector store are one: a call that failed once is no outage.
const LOSSES: u32 = 2;

/// After so many rounds without an answer of any kind, the last one says nothing about now.
const ROUNDS: u32 = 3;

/// And after at least this long: a round over many servers takes a while.
const COUNTS_FOR: Duration = Duration::from_secs(45);

/// A server that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Namespace of pod and cluster.
    pub namespace: String,
    /// Name of the RagCluster.
    pub cluster: String,
    /// Uid of the RagCluster: a namesake has other keys.
    pub cluster_uid: String,
    /// Name of the Secret that holds the operator's key.
    pub secret: String,
    /// Uid of the pod: a name may be used again.
    pub pod_uid: String,
    /// Address of the pod.
    pub address: IpAddr,
}

/// The last answer of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it was given.
    pub at: Timestamp,
    /// What was said, or why nothing was.
    pub answer: Result<ServerStatus, Silence>,
}

/// The last answers of all servers, by the uid of their pod.
pub struct Samples {
    kept: RwLock<HashMap<String, Kept>>,
    counts_for: SignedDuration,
}

impl Default for Samples {
    fn default() -> Self {
        Self::new(Duration::ZERO)
    }
}

/// What is known of one server.
#[derive(Default)]
struct Kept {
    /// What counts as its last answer; nothing before there was one.
    shown: Option<Sample>,
    /// Silences since it last said something.
    silences: u32,
    /// Answers since it last reached its vector store.
    losses: u32,
}

impl Kept {
    /// Takes an answer in, and says whether it tells anything new.
    fn take(&mut self, mut sample: Sample) -> bool {
        self.silences = if sample.answer.is_ok() { 0 } else { self.silences.saturating_add(1) };
        if (1..SILENCES).contains(&self.silences) {
            return false;
        }
        if let Ok(status) = &mut sample.answer {
            self.losses = if status.has_lost_store() { self.losses.saturating_add(1) } else { 0 };
            if (1..LOSSES).contains(&self.losses) {
                let before = self.shown.as_ref().and_then(|shown| shown.answer.as_ref().ok());
                status.parts = before.map(|before| before.parts.clone()).unwrap_or_default();
            }
        }
        let is_news = self.shown.as_ref().is_none_or(|before| differ(&before.answer, &sample.answer));
        self.shown = Some(sample);
        is_news
    }
}

impl Samples {
    /// None yet, of servers that are asked this often.
    pub fn new(every: Duration) -> Self {
        let counts_for = every.saturating_mul(ROUNDS).max(COUNTS_FOR);
        Self {
            kept: RwLock::default(),
            counts_for: SignedDuration::try_from(counts_for).unwrap_or(SignedDuration::MAX),
        }
    }

    /// What counts at `now` as the last answer of the pod with this uid.
    pub fn of(&self, pod_uid: &str, now: Timestamp) -> Option<Sample> {
        let shown = self.kept.read().unwrap_or_else(PoisonError::into_inner).get(pod_uid)?.shown.clone()?;
        let is_old = shown.answer.is_ok() && now.duration_since(shown.at) > self.counts_for;
        Some(if is_old { Sample { at: shown.at, answer: Err(Silence::NotAsked) } } else { shown })
    }

    /// Keeps an answer and says whether it tells anything new.
    fn keep(&self, pod_uid: &str, sample: Sample) -> bool {
        let mut samples = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        samples.entry(pod_uid.to_owned()).or_default().take(sample)
    }

    /// Forgets pods that are gone.
    fn retain(&self, targets: &[Target]) {
        let pods: BTreeSet<&str> = targets.iter().map(|target| target.pod_uid.as_str()).collect();
        let mut samples = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        samples.retain(|uid, _| pods.contains(uid.as_str()));
    }
}

fn differ(before: &Result<ServerStatus, Silence>, after: &Result<ServerStatus, Silence>) -> bool {
    match (before, after) {
        (Ok(before), Ok(after)) => before.differs_from(after),
        (Err(before), Err(after)) => before != after,
        _ => true,
    }
}

/// What the sampler needs of the rest of the process.
pub trait Surroundings: Send + Sync {
    /// The servers that can be asked now.
    fn targets(&self) -> Vec<Target>;
    /// A server's answer has changed.
    fn changed(&self, target: &Target);
}

/// How many rounds of questions there have been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rounds {
    begun: u64,
    ended: u64,
}

/// Resolves when every server that is known now has been asked.
pub async fn asked(rounds: &mut watch::Receiver<Rounds>) {
    // A round that is under way may have begun before a server was known.
    let next = rounds.borrow().begun + 1;
    if rounds.wait_for(|rounds| rounds.ended >= next).await.is_err() {
        tracing::warn!("nobody asks the servers any more");
    }
}

/// The background task.
pub struct Sampler {
    /// Reads the operator's keys.
    pub client: Client,
    /// Asks the servers.
    pub servers: ServerClient,
    /// Where the answers are kept.
    pub samples: Arc<Samples>,
    /// Counts the questions.
    pub metrics: Arc<Metrics>,
    /// Signalled when pods have changed.
    pub pods_changed: Arc<Notify>,
    /// The time between two rounds.
    pub every: Duration,
}

impl Sampler {
    /// Asks all servers at every interval, and those without a good answer as soon as pods change. Ends never. `rounds` tells how
    /// far it is.
    pub async fn run(self, surroundings: impl Surroundings, rounds: watch::Sender<Rounds>) {
        let mut keys = Keys::default();
        let mut tick = interval(self.every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let all = tokio::select! {
                _ = tick.tick() => true,
                () = self.pods_changed.notified() => {
                    sleep(BURST).await;
                    false
                }
            };
            rounds.send_modify(|rounds| rounds.begun += 1);
            self.round(&surroundings, &mut keys, all).await;
            rounds.send_modify(|rounds| rounds.ended += 1);
        }
    }

    async fn round(&self, surroundings: &impl Surroundings, keys: &mut Keys, all: bool) {
        let started = Instant::now();
        let targets = surroundings.targets();
        self.samples.retain(&targets);
        keys.retain(&targets);
        let asked: Vec<Target> = targets.into_iter().filter(|target| all || !self.is_ready(target)).collect();
        let again = self.questions(surroundings, keys, (asked, started)).await;
        self.questions(surroundings, keys, (again, started)).await;
    }

    /// Asks everybody once. Returns those who did not accept a key that was read before this round began: it may have changed
    /// since, so that their answer says nothing yet.
    async fn questions(
        &self,
        surroundings: &impl Surroundings,
        keys: &mut Keys,
        (asked, round): (Vec<Target>, Instant),
    ) -> Vec<Target> {
        keys.refresh(&self.client, &asked).await;
        let mut questions = Vec::new();
        for target in asked {
            match keys.of(&target) {
                Some(key) => questions.push(self.ask(target, key)),
                None => self.take(surroundings, &target, Err(Silence::NoKey)),
            }
        }
        let mut answers = futures::stream::iter(questions).buffer_unordered(AT_ONCE);
        let mut again = Vec::new();
        while let Some((target, answer)) = answers.next().await {
            if answer == Err(Silence::AuthFailed) && keys.forget_older(&target, round) {
                self.metrics.sampled(Silence::AuthFailed.name());
                again.push(target);
            } else {
                self.take(surroundings, &target, answer);
            }
        }
        again
    }

    /// Counts and keeps what became of a question, and says so if it is news.
    fn take(&self, surroundings: &impl Surroundings, target: &Target, answer: Result<ServerStatus, Silence>) {
        self.metrics.sampled(answer.as_ref().map_or_else(|silence| silence.name(), |_| "answered"));
        if self.samples.keep(&target.pod_uid, Sample { at: Timestamp::now(), answer }) {
            surroundings.changed(target);
        }
    }

    fn is_ready(&self, target: &Target) -> bool {
        let last = self.samples.of(&target.pod_uid, Timestamp::now());
        last.is_some_and(|sample| sample.answer.is_ok_and(|status| status.ready))
    }

    async fn ask(&self, target: Target, key: OperatorKey) -> (Target, Result<ServerStatus, Silence>) {
        let answer = self.servers.status(target.address, &key).await;
        (target, answer)
    }
}

/// The operator's keys, by namespace, Secret and uid of the cluster.
#[derive(Default)]
struct Keys(BTreeMap<Place, (Instant, Option<OperatorKey>)>);

type Place = (String, String, String);

impl Keys {
    fn of(&self, target: &Target) -> Option<OperatorKey> {
        self.0.get(&place(target))?.1.clone()
    }

    /// Forgets a key that was read before `time`, and says whether it did.
    fn forget_older(&mut self, target: &Target, time: Instant) -> bool {
        let is_older = self.0.get(&place(target)).is_none_or(|(read, _)| *read < time);
        if is_older {
            self.0.remove(&place(target));
        }
        is_older
    }

    fn retain(&mut self, targets: &[Target]) {
        let places: BTreeSet<Place> = targets.iter().map(place).collect();
        self.0.retain(|place_of_key, _| places.contains(place_of_key));
    }

    /// Reads the keys that are unknown or old. One that cannot be read is asked for again in the next round.
    async fn refresh(&mut self, client: &Client, targets: &[Target]) {
        let is_known =
            |place: &Place| self.0.get(place).is_some_and(|(read, key)| key.is_some() && read.elapsed() < KEY_LIFETIME);
        let wanted: BTreeSet<Place> = targets.iter().map(place).filter(|place| !is_known(place)).collect();
        let reads: Vec<_> = wanted.into_iter().map(|place| read(client, place)).collect();
        let mut keys = futures::stream::iter(reads).buffer_unordered(AT_ONCE);
        while let Some((place, key)) = keys.next().await {
            self.0.insert(place, (Instant::now(), key));
        }
    }
}

async fn read(client: &Client, place: Place) -> (Place, Option<OperatorKey>) {
    let (namespace, secret, _) = &place;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let key = match secrets.get_opt(secret).await {
        Ok(found) => found.and_then(|found| key_in(&found)),
        Err(error) => {
            let error = crate::error::sentence(&error);
            tracing::warn!(namespace, secret, error, "the operator's key cannot be read");
            None
        }
    };
    (place, key)
}

fn place(target: &Target) -> Place {
    (target.namespace.clone(), target.secret.clone(), target.cluster_uid.clone())
}

fn key_in(secret: &Secret) -> Option<OperatorKey> {
    OperatorKey::from_bytes(&secret.data.as_ref()?.get(&Credential::Operator.current_file())?.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server_client::{STORE_PART, SeenPart};
    use axum::Router;
    use axum::http::header::AUTHORIZATION;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::get;
    use k8s_openapi::ByteString;
    use kube::client::Body;

    fn sample(answer: Result<ServerStatus, Silence>) -> Sample {
        Sample { at: Timestamp::UNIX_EPOCH, answer }
    }

    fn ready() -> ServerStatus {
        ServerStatus { ready: true, ..ServerStatus::default() }
    }

    fn target(pod_uid: &str) -> Target {
        Target {
            namespace: "ns".into(),
            cluster: "a".into(),
            cluster_uid: "c".into(),
            secret: "a-server".into(),
            pod_uid: pod_uid.into(),
            address: IpAddr::from([127, 0, 0, 1]),
        }
    }

    /// What a pod answers in turn, whether that is news, and what counts as its last answer then.
    #[test]
    fn only_news_asks_for_a_look_and_one_silence_is_none() {
        let (timeout, refused) = (Err(Silence::Timeout), Err(Silence::AuthFailed));
        let counted = Ok(ServerStatus { documents: 9, ..ready() });
        let table = [
            (timeout.clone(), false, None),
            (timeout.clone(), true, Some(timeout.clone())),
            (timeout.clone(), false, Some(timeout.clone())),
            (refused.clone(), true, Some(refused.clone())),
            (Ok(ready()), true, Some(Ok(ready()))),
            (Ok(ready()), false, Some(Ok(ready()))),
            (counted.clone(), false, Some(counted.clone())),
            (timeout.clone(), false, Some(counted.clone())),
            (counted.clone(), false, Some(counted.clone())),
            (timeout.clone(), false, Some(counted)),
            (refused.clone(), true, Some(refused)),
        ];
        let samples = Samples::default();
        for (step, (answer, is_news, shown)) in table.into_iter().enumerate() {
            assert_eq!(samples.keep("u", sample(answer)), is_news, "step {step}");
            assert_eq!(samples.of("u", Timestamp::UNIX_EPOCH).map(|sample| sample.answer), shown, "step {step}");
        }
    }

    #[test]
    fn a_store_that_one_answer_misses_is_as_it_was_and_one_that_two_miss_is_lost() {
        let seen = |reachable| {
            let (name, since) = (STORE_PART.to_owned(), None);
            let part = SeenPart { name, reachable: Some(reachable), since, cause: None };
            Ok(ServerStatus { parts: vec![part], ..ready() })
        };
        let samples = Samples::default();
        // Whether the server reaches its store, whether that is news, and whether the store counts as lost then.
        let told = [
            (true, true, false),
            (false, false, false),
            (true, false, false),
            (false, false, false),
            (false, true, true),
            (false, false, true),
            (true, true, false),
        ];
        for (step, (reachable, is_news, is_lost)) in told.into_iter().enumerate() {
            assert_eq!(samples.keep("u", sample(seen(reachable))), is_news, "step {step}");
            assert_eq!(
                samples.of("u", Timestamp::UNIX_EPOCH).unwrap().answer.unwrap().has_lost_store(),
                is_lost,
                "step {step}"
            );
        }
    }

    #[tokio::test]
    async fn a_round_that_was_under_way_already_has_not_asked_everybody() {
        let (rounds, mut seen) = watch::channel(Rounds { begun: 4, ended: 3 });
        let waiting = tokio::spawn(async move { asked(&mut seen).await });
        tokio::task::yield_now().await;
        rounds.send_modify(|rounds| rounds.ended = 4);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        rounds.send_modify(|rounds| *rounds = Rounds { begun: 5, ended: 5 });
        waiting.await.unwrap();
    }

    #[test]
    fn a_refused_key_is_read_again_only_if_it_is_not_fresh() {
        let mut keys = Keys::default();
        let read = Instant::now();
        keys.0.insert(place(&target("u")), (read, OperatorKey::from_bytes(b"old")));
        assert!(!keys.forget_older(&target("u"), read));
        assert!(keys.of(&target("u")).is_some());
        assert!(keys.forget_older(&target("u"), read + Duration::from_nanos(1)));
        assert!(keys.of(&target("u")).is_none());
    }

    /// Servers that nobody else knows of, and how often news of them was told.
    #[derive(Clone, Default)]
    struct Alone(Arc<std::sync::atomic::AtomicUsize>);

    impl Surroundings for Alone {
        fn targets(&self) -> Vec<Target> {
            vec![target("u")]
        }

        fn changed(&self, _: &Target) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Management ports that accept one key.
    async fn servers_with(key: &'static str) -> ServerClient {
        let status = move |headers: HeaderMap| async move {
            let expected = format!("Bearer {key}");
            let is_right = headers.get(AUTHORIZATION).is_some_and(|sent| sent.as_bytes() == expected.as_bytes());
            if is_right { (StatusCode::OK, r#"{"ready": true}"#) } else { (StatusCode::UNAUTHORIZED, "") }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().route(crate::server_client::STATUS_PATH, get(status));
        tokio::spawn(async move { axum::serve(listener, router).await });
        ServerClient::new(port, Duration::from_secs(10)).unwrap()
    }

    /// An API server with one Secret, which holds this key.
    fn api_server_with(key: &str) -> Client {
        let data = BTreeMap::from([(Credential::Operator.current_file(), ByteString(key.as_bytes().to_vec()))]);
        let secret = serde_json::to_vec(&Secret { data: Some(data), ..Secret::default() }).unwrap();
        let service = tower::service_fn(move |_: http::Request<Body>| {
            let secret = secret.clone();
            async move { Ok::<_, tower::BoxError>(http::Response::new(Body::from(secret))) }
        });
        Client::new(service, "ns")
    }

    #[tokio::test]
    async fn a_server_that_refuses_the_key_of_before_is_asked_in_the_same_round_with_the_one_of_now() {
        let mut keys = Keys::default();
        keys.0.insert(place(&target("u")), (Instant::now(), OperatorKey::from_bytes(b"old")));
        let sampler = Sampler {
            client: api_server_with("new"),
            servers: servers_with("new").await,
            samples: Arc::default(),
            metrics: Arc::new(Metrics::new().unwrap()),
            pods_changed: Arc::default(),
            every: Duration::from_secs(60),
        };
        sampler.samples.keep("gone", sample(Ok(ready())));
        sampler.round(&Alone::default(), &mut keys, true).await;
        assert_eq!(sampler.samples.of("u", Timestamp::now()).map(|sample| sample.answer), Some(Ok(ready())));
        assert_eq!(sampler.samples.of("gone", Timestamp::UNIX_EPOCH), None, "a round forgets pods that are gone");
    }

    #[test]
    fn an_answer_counts_for_three_rounds_and_at_least_three_quarters_of_a_minute() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (every, last) in [(1, 45), (10, 45), (15, 45), (60, 180)] {
            let samples = Samples::new(Duration::from_secs(every));
            samples.keep("u", sample(Ok(ready())));
            assert!(samples.of("u", at(last)).unwrap().answer.is_ok(), "{every}");
            let old = samples.of("u", at(last + 1)).unwrap();
            assert_eq!(old, sample(Err(Silence::NotAsked)), "{every}");
            samples.keep("u", Sample { at: at(last + 1), answer: Ok(ready()) });
            assert!(samples.of("u", at(last + 1)).unwrap().answer.is_ok(), "{every}");
        }
    }

    #[tokio::test]
    async fn servers_without_a_key_to_ask_them_with_fall_silent() {
        let refused = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            let status = serde_json::json!({"kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403});
            let answer = kube::client::Body::from(serde_json::to_vec(&status)?);
            Ok::<_, tower::BoxError>(http::Response::builder().status(403).body(answer)?)
        });
        let samples = Arc::new(Samples::default());
        samples.keep("u", Sample { at: Timestamp::now(), answer: Ok(ready()) });
        let sampler = Sampler {
            client: Client::new(refused, "ns"),
            servers: ServerClient::new(1, Duration::from_secs(1)).unwrap(),
            samples: Arc::clone(&samples),
            metrics: Arc::new(Metrics::new().unwrap()),
            pods_changed: Arc::new(Notify::new()),
            every: Duration::from_secs(10),
        };
        let (alone, mut keys) = (Alone::default(), Keys::default());
        let answer = || samples.of("u", Timestamp::now()).unwrap().answer;
        sampler.round(&alone, &mut keys, true).await;
        assert_eq!(answer(), Ok(ready()));
        sampler.round(&alone, &mut keys, true).await;
        assert_eq!(answer(), Err(Silence::NoKey));
        assert_eq!(alone.0.load(std::sync::atomic::Ordering::Relaxed), 1);
    }

    #[test]
    fn pods_that_are_gone_are_forgotten() {
        let samples = Samples::default();
        samples.keep("gone", sample(Ok(ready())));
        samples.keep("here", sample(Ok(ready())));
        samples.retain(&[target("here")]);
        assert!(
            samples.of("gone", Timestamp::UNIX_EPOCH).is_none() && samples.of("here", Timestamp::UNIX_EPOCH).is_some()
        );
    }
}
