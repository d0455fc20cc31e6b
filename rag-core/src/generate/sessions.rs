//! Conversations that the server remembers, one record each, until they are ended or nobody went on with them for a while.
//!
//! Guarantees: a session belongs to who began it, and nobody else finds it; two questions at once in one session are both remembered; what is kept is bounded. An answer goes with the documents that it
//! cites: once one of them is deleted, or its time is over, the turn is neither shown nor given to a provider. What is forgotten is removed by `retention`.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::selection;
use crate::{
    model::{Answer, AnswerStatus, Speaker, Turn},
    ports::{Change, Clock, Kind, Record, Records, StoreError, has_expired, stands, update},
};

/// Questions that are remembered of a session; a prompt has room for fewer.
const MAX_TURNS: usize = 20;
/// Bytes of an answer that are remembered.
const MAX_ANSWER_BYTES: usize = 8 * 1024;
/// Longest id.
const MAX_ID_BYTES: usize = 128;
/// Sessions that are looked at in one go.
const PAGE: usize = 100;

/// Who a session belongs to, and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionKey {
    owner: String,
    id: String,
}

impl SessionKey {
    /// The session of this name that belongs to `owner`; none when it is no name: 1 to 128 letters, digits and `-_.:`.
    pub fn new(owner: &str, id: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let is_name = (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(allowed);
        is_name.then(|| Self { owner: owner.to_owned(), id: id.to_owned() })
    }

    fn record(&self) -> String {
        format!("{}/{}", self.owner, self.id)
    }
}

/// A question of a session and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SessionTurn {
    /// The question.
    pub question: String,
    /// The answer's text.
    pub answer: String,
    /// Names the answer.
    #[schema(value_type = String, format = "uuid")]
    pub id: Uuid,
    /// How far the documents carried it.
    pub status: AnswerStatus,
    /// When it was given.
    #[schema(value_type = String, format = "date-time")]
    pub at: Timestamp,
    /// Keys of the documents that the answer cites; told to nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(ignore)]
    cited: Vec<String>,
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Oldest first.
    pub turns: Vec<SessionTurn>,
    /// When it is forgotten, unless it goes on.
    pub expires: Timestamp,
}

impl Session {
    /// What was said, for a prompt.
    pub fn history(&self) -> Vec<Turn> {
        let said = |turn: &SessionTurn| {
            [
                Turn { speaker: Speaker::User, text: turn.question.clone() },
                Turn { speaker: Speaker::Assistant, text: turn.answer.clone() },
            ]
        };
        self.turns.iter().flat_map(said).collect()
    }
}

/// Remembers sessions.
pub struct Sessions {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    ttl: SignedDuration,
}

impl Sessions {
    /// Sessions in these records that are forgotten so long after their last question.
    pub fn new(records: Arc<dyn Records>, clock: Arc<dyn Clock>, ttl: Duration) -> Self {
        Self { records, clock, ttl: SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX) }
    }

    /// A session; none when it is not there, or forgotten.
    pub async fn get(&self, key: &SessionKey) -> Result<Option<Session>, StoreError> {
        let Some(record) = self.records.get(Kind::Session, &key.record()).await? else { return Ok(None) };
        let mut session = read(&record)?;
        if session.expires <= self.clock.now() {
            return Ok(None);
        }
        let gone = self.gone(&session.turns).await?;
        if !gone.is_empty() {
            session.turns.retain(|turn| !turn.cited.iter().any(|document| gone.contains(document)));
            // One that goes on meanwhile is cleaned at the next look.
            let body = serde_json::json!(session);
            if let Err(error) = self.records.compare_and_set(Kind::Session, &record.id, record.version, body).await {
                tracing::warn!(%error, "what a session does not show any more stays stored until its next look");
            }
        }
        session.turns.iter_mut().for_each(|turn| turn.cited.clear());
        Ok(Some(session))
    }

    /// Documents that turns cite and that do not stand any more, or are found no more.
    async fn gone(&self, turns: &[SessionTurn]) -> Result<BTreeSet<String>, StoreError> {
        let mut cited: BTreeSet<String> = turns.iter().flat_map(|turn| turn.cited.iter().cloned()).collect();
        if cited.is_empty() {
            return Ok(cited);
        }
        let keys: Vec<&str> = cited.iter().map(String::as_str).collect();
        let found = self.records.get_many(Kind::Document, &keys).await?;
        let now = self.clock.now();
        let standing = found.iter().filter(|record| stands(record) && !has_expired(record, now));
        let standing: BTreeSet<&str> = standing.map(|record| record.id.as_str()).collect();
        cited.retain(|document| !standing.contains(document.as_str()));
        Ok(cited)
    }

    /// Adds a question and its answer; begins the session if there is none.
    pub async fn remember(&self, key: &SessionKey, question: &str, answer: &Answer) -> Result<(), StoreError> {
        let now = self.clock.now();
        let end = answer.text.floor_char_boundary(MAX_ANSWER_BYTES);
        let turn = SessionTurn {
            question: question.to_owned(),
            answer: answer.text[..end].to_owned(),
            id: answer.id,
            status: answer.status,
            at: now,
            cited: cited(answer),
        };
        let expires = now.checked_add(self.ttl).unwrap_or(Timestamp::MAX);
        update(&*self.records, Kind::Session, &key.record(), |standing| {
            let mut turns = match standing.map(read).transpose()? {
                Some(session) if session.expires > now => session.turns,
                Some(_) | None => Vec::new(),
            };
            if turns.contains(&turn) {
                return Ok(Change::Leave(()));
            }
            turns.push(turn.clone());
            let surplus = turns.len().saturating_sub(MAX_TURNS);
            turns.drain(..surplus);
            Ok(Change::Write(serde_json::json!(Session { turns, expires }), ()))
        })
        .await
    }

    /// Forgets a session; whether there was one.
    pub async fn end(&self, key: &SessionKey) -> Result<bool, StoreError> {
        self.forget(&key.record()).await
    }

    /// Forgets every session of an owner; how many there were.
    pub async fn end_all(&self, owner: &str) -> Result<u64, StoreError> {
        let (prefix, mut after, mut ended) = (format!("{owner}/"), None, 0);
        loop {
            let page = self.records.list(Kind::Session, &prefix, after.as_deref(), PAGE).await?;
            for record in page.records {
                ended += u64::from(self.forget(&record.id).await?);
            }
            after = page.next;
            if after.is_none() {
                return Ok(ended);
            }
        }
    }

    /// Removes a record, if it is there.
    async fn forget(&self, id: &str) -> Result<bool, StoreError> {
        let mut there = false;
        update(&*self.records, Kind::Session, id, |standing| {
            there |= standing.is_some();
            Ok(Change::Remove(there))
        })
        .await
    }
}

/// Each document that an answer cites, once; a text that came with the question is none.
fn cited(answer: &Answer) -> Vec<String> {
    let documents = answer.citations.iter().map(|citation| citation.document.key());
    let documents: BTreeSet<_> = documents.filter(|key| *key != selection::DOCUMENT).map(str::to_owned).collect();
    documents.into_iter().collect()
}

fn read(record: &Record) -> Result<Session, StoreError> {
    let what = format!("the session {}", record.id);
    serde_json::from_value(record.body.clone()).map_err(|e| StoreError::Corrupt { what, cause: e.to_string() })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{
        doubles::{RecordsDouble, answer},
        model::{ChunkId, Citation},
    };

    struct Set(Mutex<Timestamp>);

    impl Clock for Set {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    fn world() -> (Arc<Sessions>, Arc<Set>, Arc<RecordsDouble>) {
        let (records, clock) = (Arc::<RecordsDouble>::default(), Arc::new(Set(Mutex::new(Timestamp::UNIX_EPOCH))));
        let sessions = Sessions::new(Arc::clone(&records) as _, Arc::clone(&clock) as _, Duration::from_secs(60));
        (Arc::new(sessions), clock, records)
    }

    fn key(owner: &str, id: &str) -> SessionKey {
        SessionKey::new(owner, id).unwrap()
    }

    #[tokio::test]
    async fn a_session_is_found_by_its_owner_alone_until_it_is_ended() {
        let (sessions, ..) = world();
        for owner in ["a", "b"] {
            sessions.remember(&key(owner, "s"), &format!("question of {owner}"), &answer("yes")).await.unwrap();
        }
        sessions.remember(&key("a", "t"), "another", &answer("yes")).await.unwrap();
        let history = sessions.get(&key("a", "s")).await.unwrap().unwrap().history();
        let texts: Vec<_> = history.iter().map(|turn| turn.text.as_str()).collect();
        assert_eq!(texts, ["question of a", "yes"]);
        assert_eq!(sessions.end(&key("b", "t")).await, Ok(false));
        assert_eq!(sessions.end_all("a").await, Ok(2));
        assert_eq!(sessions.get(&key("a", "s")).await, Ok(None));
        assert_eq!(sessions.end(&key("b", "s")).await, Ok(true));
        assert_eq!(sessions.get(&key("b", "s")).await, Ok(None));
    }

    #[tokio::test]
    async fn a_session_is_forgotten_when_nobody_goes_on_with_it_and_begins_anew() {
        let (sessions, clock, _) = world();
        sessions.remember(&key("a", "s"), "first", &answer("1")).await.unwrap();
        sessions.remember(&key("a", "t"), "other", &answer("1")).await.unwrap();
        *clock.0.lock().unwrap() += SignedDuration::from_secs(59);
        sessions.remember(&key("a", "s"), "second", &answer("2")).await.unwrap();
        *clock.0.lock().unwrap() += SignedDuration::from_secs(59);
        assert_eq!(sessions.get(&key("a", "s")).await.unwrap().unwrap().turns.len(), 2);
        assert_eq!(sessions.get(&key("a", "t")).await, Ok(None));
        *clock.0.lock().unwrap() += SignedDuration::from_secs(1);
        sessions.remember(&key("a", "s"), "third", &answer("3")).await.unwrap();
        assert_eq!(sessions.get(&key("a", "s")).await.unwrap().unwrap().turns.len(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn questions_at_once_are_all_remembered_and_only_the_last_ones_are_kept() {
        let (sessions, ..) = world();
        let tasks = (0..15).map(|number| {
            let sessions = Arc::clone(&sessions);
            tokio::spawn(async move {
                sessions.remember(&key("a", "s"), &number.to_string(), &answer(&"é".repeat(9_000))).await.unwrap();
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert_eq!(sessions.get(&key("a", "s")).await.unwrap().unwrap().turns.len(), 15);
        for number in 0..15 {
            sessions.remember(&key("a", "s"), &format!("more {number}"), &answer("x")).await.unwrap();
        }
        let turns = sessions.get(&key("a", "s")).await.unwrap().unwrap().turns;
        assert_eq!((turns.len(), turns[19].question.as_str()), (MAX_TURNS, "more 14"));
        assert!(turns.iter().all(|turn| turn.answer.len() <= MAX_ANSWER_BYTES));
    }

    #[tokio::test]
    async fn an_answer_goes_with_a_document_that_it_cites() {
        let (sessions, _, records) = world();
        let citing = |documents: &[&str]| {
            let citation = |document: &&str| Citation {
                reference: 1,
                document: document.parse().unwrap(),
                title: String::new(),
                headings: Vec::new(),
                text: "t".to_owned(),
                score: 1.0,
                chunk: ChunkId(Uuid::nil()),
            };
            let text = format!("of {}", documents.join(" and "));
            Answer { citations: documents.iter().map(citation).collect(), ..answer(&text) }
        };
        let said = async || {
            let session = sessions.get(&key("a", "s")).await.unwrap().unwrap();
            let records = records.get(Kind::Session, "a/s").await.unwrap().unwrap();
            assert_eq!(
                records.body["turns"].as_array().unwrap().len(),
                session.turns.len(),
                "what is gone is not kept"
            );
            session.turns.into_iter().map(|turn| turn.answer).collect::<Vec<_>>()
        };
        for document in ["fee.md", "other.md"] {
            records.put_if_absent(Kind::Document, document, serde_json::json!({})).await.unwrap();
        }
        for documents in [&["fee.md"][..], &["fee.md", "other.md"], &["other.md"], &["selection"], &[]] {
            sessions.remember(&key("a", "s"), "what?", &citing(documents)).await.unwrap();
        }
        assert_eq!(said().await.len(), 5);
        let fee = records.get(Kind::Document, "fee.md").await.unwrap().unwrap();
        records.remove(Kind::Document, "fee.md", fee.version).await.unwrap();
        assert_eq!(said().await, ["of other.md", "of selection", "of "]);
        // A place for one that is being written is no document.
        records.put_if_absent(Kind::Document, "new.md", crate::ports::place()).await.unwrap();
        sessions.remember(&key("a", "s"), "and?", &citing(&["new.md"])).await.unwrap();
        assert_eq!(said().await, ["of other.md", "of selection", "of "]);
        let other = records.get(Kind::Document, "other.md").await.unwrap().unwrap();
        let over = serde_json::json!({ "expires_at": Timestamp::UNIX_EPOCH });
        records.compare_and_set(Kind::Document, "other.md", other.version, over).await.unwrap();
        assert_eq!(said().await, ["of selection", "of "], "its time is over");
    }

    #[test]
    fn a_name_holds_nothing_that_could_be_another_owner() {
        for wrong in ["", "a/b", "ä", "a b", &"x".repeat(129)] {
            assert_eq!(SessionKey::new("o", wrong), None, "{wrong}");
        }
        assert!(SessionKey::new("o", "Chat_1.2:3-4").is_some());
    }
}
