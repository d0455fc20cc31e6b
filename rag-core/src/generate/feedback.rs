//! What is thought of answers, one record for each answer and whoever says it.
//!
//! Guarantee: bounded. Something can be said only of an answer that was given to the same tenant not long ago; who says something again replaces what was said; what is old is removed by `retention`.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::AnswerIds;
use crate::{
    model::Tenant,
    ports::{Change, Clock, Kind, Records, StoreError, update},
};

/// How long after an answer something can be said of it.
const OPEN: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Whether an answer helped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Rating {
    /// It did.
    Up,
    /// It did not.
    Down,
}

impl Rating {
    /// The name, as a metric label and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// What somebody says of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opinion {
    /// The answer's name.
    pub answer: Uuid,
    /// Who says it.
    pub by: String,
    /// Whether it helped.
    pub rating: Rating,
    /// Why.
    pub comment: Option<String>,
}

/// What is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Said {
    #[serde(flatten)]
    opinion: Opinion,
    at: Timestamp,
}

/// Why an opinion was not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotHeard {
    /// No such answer was given to this tenant, or it is too long ago.
    #[error("no such answer was given, or it is too long ago")]
    Unknown,
    /// The records did not do what they were asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps what is thought of answers.
pub struct Feedback {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    ids: AnswerIds,
}

impl Feedback {
    /// About the answers of these names, in these records.
    pub fn new(records: Arc<dyn Records>, clock: Arc<dyn Clock>, ids: AnswerIds) -> Self {
        Self { records, clock, ids }
    }

    /// The names of the answers that this is about.
    pub(super) fn ids(&self) -> &AnswerIds {
        &self.ids
    }

    /// Keeps an opinion, instead of what the same one said before of the same answer.
    pub async fn say(&self, tenant: &Tenant, opinion: Opinion) -> Result<(), NotHeard> {
        if !self.ids.was_given(opinion.answer, tenant, OPEN) {
            return Err(NotHeard::Unknown);
        }
        let id = format!("{}/{}", opinion.answer, opinion.by);
        let body = serde_json::json!(Said { opinion, at: self.clock.now() });
        update(&*self.records, Kind::Feedback, &id, |_| Ok(Change::Write(body.clone(), ()))).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::doubles::RecordsDouble;

    struct Set(Mutex<Timestamp>);

    impl Clock for Set {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    async fn world() -> (Feedback, Arc<RecordsDouble>, Arc<Set>) {
        let clock = Arc::new(Set(Mutex::new("2026-02-03T04:05:06Z".parse().unwrap())));
        let records = Arc::<RecordsDouble>::default();
        let ids = AnswerIds::of(&*records, Arc::clone(&clock) as _).await.unwrap();
        (Feedback::new(Arc::clone(&records) as _, Arc::clone(&clock) as _, ids), records, clock)
    }

    fn opinion(answer: Uuid, by: &str, rating: Rating) -> Opinion {
        Opinion { answer, by: by.to_owned(), rating, comment: None }
    }

    #[tokio::test]
    async fn something_is_said_of_answers_that_were_given_and_each_one_has_one_opinion() {
        let (feedback, records, clock) = world().await;
        let (tenant, acme) = (Tenant::default(), "acme".parse().unwrap());
        let answer = feedback.ids().name(&tenant);
        for (by, rating) in [("a", Rating::Up), ("b", Rating::Up), ("a", Rating::Down)] {
            assert_eq!(feedback.say(&tenant, opinion(answer, by, rating)).await, Ok(()));
        }
        assert_eq!(feedback.say(&acme, opinion(answer, "a", Rating::Up)).await, Err(NotHeard::Unknown));
        let invented = opinion(Uuid::new_v4(), "a", Rating::Up);
        assert_eq!(feedback.say(&tenant, invented).await, Err(NotHeard::Unknown));
        assert_eq!(records.count(Kind::Feedback).await, Ok(2));
        let said = records.get(Kind::Feedback, &format!("{answer}/a")).await.unwrap().unwrap();
        assert_eq!((said.body["rating"].as_str(), said.body["by"].as_str()), (Some("down"), Some("a")));
        *clock.0.lock().unwrap() += OPEN + SignedDuration::from_secs(1);
        assert_eq!(feedback.say(&tenant, opinion(answer, "a", Rating::Up)).await, Err(NotHeard::Unknown));
    }
}
