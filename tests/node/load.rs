//! Clients of several servers at once, and what became of each of their requests: only what is away may be felt, and only as
//! docs/failures.md says.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ragops_tests::until;
use reqwest::header;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::service::Server;
use crate::shared::WITHIN;

/// Documents that are asked for all the time, each about a room.
pub(crate) const ROOMS: usize = 40;
/// Questions that each server has to have answered before the next thing happens to it.
const ANSWERED: usize = 10;
/// Questions that each has to have refused. The first of them may take ten seconds each: a pod that is gone answers nothing, not
/// even that it is gone.
const REFUSED: usize = 2;
/// Between two documents that a client sends: enough of them that something is under way whenever a dependency dies.
const BETWEEN_DOCUMENTS: Duration = Duration::from_millis(400);

/// What is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Away {
    Nothing,
    Redis,
    Postgres,
    Qdrant,
}

impl Away {
    /// Whether requests may be refused meanwhile. Without the cache everything is answered.
    fn refuses(self) -> bool {
        match self {
            Self::Nothing | Self::Redis => false,
            Self::Postgres | Self::Qdrant => true,
        }
    }
}

/// Clients of all servers, and what became of their requests.
pub(crate) struct Load {
    servers: Vec<Server>,
    seen: Mutex<Seen>,
    over: AtomicBool,
}

struct Seen {
    away: Away,
    /// Questions that were answered, and those that were refused, by the server that was asked.
    answered: Vec<usize>,
    refused: Vec<usize>,
    /// Documents that were accepted, with their jobs.
    accepted: Vec<(String, String)>,
    wrong: Vec<String>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    Answered,
    Refused,
}

impl Load {
    pub(crate) fn new(servers: Vec<Server>) -> Self {
        let none = vec![0; servers.len()];
        let (answered, refused) = (none.clone(), none);
        let seen = Seen { away: Away::Nothing, answered, refused, accepted: Vec::new(), wrong: Vec::new() };
        Self { servers, seen: Mutex::new(seen), over: AtomicBool::new(false) }
    }

    /// One client that asks and one that sends at each server, until it is over.
    pub(crate) fn begin(self: &Arc<Self>) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        for at in 0..self.servers.len() {
            clients.spawn(Arc::clone(self).ask_on(at));
            clients.spawn(Arc::clone(self).send_on(at));
        }
        clients
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, away: Away) {
        self.seen().away = away;
    }

    /// Lets every client finish what it began.
    pub(crate) fn stop(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    async fn ask_on(self: Arc<Self>, at: usize) {
        for n in (0..ROOMS).cycle().skip(at * 7) {
            if self.is_over() {
                break;
            }
            let before = self.seen().away;
            match self.told(self.servers[at].asking(&format!("Where is the key of room {n}?")), before).await {
                Told::Done(answer) => {
                    let right = answer["citations"][0]["document"] == format!("rooms/{n}.txt");
                    let mut seen = self.seen();
                    if answer["status"] != "grounded" || !right {
                        let away = seen.away;
                        seen.wrong.push(format!("room {n}, away at first {before:?}, then {away:?}: {answer}"));
                    }
                    seen.answered[at] += 1;
                }
                Told::Refused => self.seen().refused[at] += 1,
                Told::Wrong(what) => self.seen().wrong.push(what),
            }
        }
    }

    async fn send_on(self: Arc<Self>, at: usize) {
        let mut ticks = tokio::time::interval(BETWEEN_DOCUMENTS);
        for n in 0.. {
            ticks.tick().await;
            if self.is_over() {
                break;
            }
            let id = format!("notes/{at}-{n}.txt");
            let text = format!("Note {n} of desk {at}. The lamp of desk {at} was mended {n} times.");
            let before = self.seen().away;
            match self.told(self.servers[at].sending(&[(id.clone(), text)]), before).await {
                Told::Done(accepted) => {
                    let job = accepted["job"].as_str().unwrap_or_default().to_owned();
                    self.seen().accepted.push((id, job));
                }
                Told::Refused => {}
                Told::Wrong(what) => self.seen().wrong.push(what),
            }
        }
    }

    /// What a request is told, beside what it may be told.
    async fn told(&self, request: reqwest::RequestBuilder, before: Away) -> Told {
        let answer = async {
            let response = request.send().await?;
            let (status, again) = (response.status(), response.headers().contains_key(header::RETRY_AFTER));
            let path = response.url().path().to_owned();
            anyhow::Ok((path, status, again, response.text().await?))
        };
        let answer = answer.await;
        let now = self.seen().away;
        let wrong = |what: String| Told::Wrong(format!("away at first {before:?}, then {now:?}: {what}"));
        match answer {
            Err(error) => wrong(format!("{error:#}")),
            Ok((path, status, _, body)) if status.is_success() => match serde_json::from_str(&body) {
                Ok(body) => Told::Done(body),
                Err(error) => wrong(format!("{path}: {error}: {body}")),
            },
            Ok((path, status, again, body)) => {
                let problem: Value = serde_json::from_str(&body).unwrap_or_default();
                let kind = problem["type"].as_str().and_then(|kind| kind.rsplit('/').next()).unwrap_or_default();
                let says_so = (status.as_u16(), kind) == (503, "store-unreachable");
                // A write whose fate is not known is looked at and tried again, until the time of its request is over.
                let is_late = path == "/ingest" && (status.as_u16(), kind) == (504, "deadline-exceeded");
                if (says_so || is_late) && again && (before.refuses() || now.refuses()) {
                    return Told::Refused;
                }
                wrong(format!("{path}: {status}, again {again}: {body}"))
            }
        }
    }

    /// Waits until every server has answered, or refused, some more.
    pub(crate) async fn goes_on(&self, count: Count) -> Result<()> {
        let counted = || match count {
            Count::Answered => self.seen().answered.clone(),
            Count::Refused => self.seen().refused.clone(),
        };
        let more = match count {
            Count::Answered => ANSWERED,
            Count::Refused => REFUSED,
        };
        let before = counted();
        until(&format!("{more} more at each server: {count:?}"), WITHIN, || async {
            if !self.seen().wrong.is_empty() {
                return Ok(Some(()));
            }
            let now = counted();
            ensure!(now.iter().zip(&before).all(|(now, before)| *now >= before + more), "{before:?}, then {now:?}");
            Ok(Some(()))
        })
        .await?;
        self.heard_nothing_wrong()
    }

    /// Waits until the detailed health of every server says this of the cache.
    pub(crate) async fn sees_the_cache(&self, is: impl Fn(&str) -> bool) -> Result<()> {
        for server in &self.servers {
            until("the cache is seen as it is", WITHIN, || async {
                let health = server.get("/health?detailed=true").await?;
                let part = health["parts"].as_array().into_iter().flatten().find(|part| part["name"] == "cache");
                let status = part.and_then(|part| part["status"].as_str()).with_context(|| health.to_string())?;
                ensure!(is(status), "{status}");
                Ok(Some(()))
            })
            .await?;
        }
        Ok(())
    }

    pub(crate) fn heard_nothing_wrong(&self) -> Result<()> {
        let seen = self.seen();
        ensure!(
            seen.wrong.is_empty(),
            "{} wrong: {:#?}",
            seen.wrong.len(),
            seen.wrong.iter().take(5).collect::<Vec<_>>()
        );
        Ok(())
    }

    /// Every document that was accepted is stored, and told so by servers that did not accept it.
    pub(crate) async fn kept_what_it_was_promised(&self) -> Result<()> {
        let accepted = self.seen().accepted.clone();
        ensure!(accepted.len() >= 3 * ANSWERED, "too little was sent to show anything: {}", accepted.len());
        let others = self.servers.iter().cycle().skip(1);
        for ((id, job), server) in accepted.iter().zip(others) {
            server.done(job).await.with_context(|| id.clone())?;
            let document = server.get(&format!("/documents/{id}")).await.with_context(|| format!("{id} is lost"))?;
            assert_eq!(document["id"], id.as_str());
        }
        Ok(())
    }
}

enum Told {
    Done(Value),
    Refused,
    Wrong(String),
}
