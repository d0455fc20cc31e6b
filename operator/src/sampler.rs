//! Asks every query server about itself in the background, so that a reconcile never waits for a pod: it sees the last answer
//! and its time. A changed answer asks for a look at the cluster; a server counts as silent only when it was so twice in a row,
//! and so does a vector store that it does not reach.
//! The operator's key is read by name and never shown.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::sync::{Notify, oneshot};
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
#[derive(Default)]
pub struct Samples(RwLock<HashMap<String, Kept>>);

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
    /// What counts as the last answer of the pod with this uid.
    pub fn of(&self, pod_uid: &str) -> Option<Sample> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(pod_uid)?.shown.clone()
    }

    /// Keeps an answer and says whether it tells anything new.
    fn keep(&self, pod_uid: &str, sample: Sample) -> bool {
        let mut samples = self.0.write().unwrap_or_else(PoisonError::into_inner);
        samples.entry(pod_uid.to_owned()).or_default().take(sample)
    }

    /// Forgets pods that are gone.
    fn retain(&self, targets: &[Target]) {
        let pods: BTreeSet<&str> = targets.iter().map(|target| target.pod_uid.as_str()).collect();
        let mut samples = self.0.write().unwrap_or_else(PoisonError::into_inner);
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
    /// Asks all servers at every interval, and those without a good answer as soon as pods change. Ends never. `first_round` is
    /// told when everybody has been asked once.
    pub async fn run(self, surroundings: impl Surroundings, first_round: oneshot::Sender<()>) {
        let mut keys = Keys::default();
        let mut tick = interval(self.every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut first_round = Some(first_round);
        loop {
            let all = tokio::select! {
                _ = tick.tick() => true,
                () = self.pods_changed.notified() => {
                    sleep(BURST).await;
                    false
                }
            };
            self.round(&surroundings, &mut keys, all).await;
            // Nobody may be waiting any more.
            let _ = first_round.take().map(|waiting| waiting.send(()));
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
        let with_keys = asked.into_iter().filter_map(|target| keys.of(&target).map(|key| (target, key)));
        let questions: Vec<_> = with_keys.map(|(target, key)| self.ask(target, key)).collect();
        let mut answers = futures::stream::iter(questions).buffer_unordered(AT_ONCE);
        let mut again = Vec::new();
        while let Some((target, answer)) = answers.next().await {
            self.metrics.sampled(answer.as_ref().map_or_else(|silence| silence.name(), |_| "answered"));
            if answer == Err(Silence::AuthFailed) && keys.forget_older(&target, round) {
                again.push(target);
            } else if self.samples.keep(&target.pod_uid, Sample { at: Timestamp::now(), answer }) {
                surroundings.changed(&target);
            }
        }
        again
    }

    fn is_ready(&self, target: &Target) -> bool {
        self.samples.of(&target.pod_uid).is_some_and(|sample| sample.answer.is_ok_and(|status| status.ready))
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
            assert_eq!(samples.of("u").map(|sample| sample.answer), shown, "step {step}");
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
            assert_eq!(samples.of("u").unwrap().answer.unwrap().has_lost_store(), is_lost, "step {step}");
        }
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

    #[test]
    fn pods_that_are_gone_are_forgotten() {
        let samples = Samples::default();
        samples.keep("gone", sample(Ok(ready())));
        samples.keep("here", sample(Ok(ready())));
        samples.retain(&[target("here")]);
        assert!(samples.of("gone").is_none() && samples.of("here").is_some());
    }
}
