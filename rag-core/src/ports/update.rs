//! One change of a record, whoever else changes it at the same time.

use serde_json::Value;

use super::{Kind, Put, Record, Records, StoreError, Swap};

/// Tries of one change. Each loses only to a writer that won, so that many are lost only where as many write the same record at once.
const ATTEMPTS: usize = 100;

/// What a change makes of a record, and what its caller gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Change<T> {
    /// It stays as it is.
    Leave(T),
    /// It has this body from now on, and is put where there is none.
    Write(Value, T),
    /// It goes, if it is there.
    Remove(T),
}

/// Changes a record: asks `change` what to make of what stands, and asks again whenever somebody else was faster; none stands where there is no record, or no more.
///
/// A write whose answer was lost may have been made, so it is not repeated blindly: `change` is asked once more, about what may be its own work, and leaves it then. A change that does not tell its own work must do no harm twice.
pub async fn update<T, E: From<StoreError>>(
    records: &dyn Records,
    kind: Kind,
    id: &str,
    mut change: impl FnMut(Option<&Record>) -> Result<Change<T>, E>,
) -> Result<T, E> {
    let mut standing = records.get(kind, id).await?;
    let mut may_repeat = true;
    for _ in 0..ATTEMPTS {
        let (attempt, value) = match (change(standing.as_ref())?, &standing) {
            (Change::Leave(value), _) | (Change::Remove(value), None) => return Ok(value),
            (Change::Write(body, value), None) => (put(records, kind, id, body).await, value),
            (Change::Write(body, value), Some(record)) => {
                (records.compare_and_set(kind, id, record.version, body).await, value)
            }
            (Change::Remove(value), Some(record)) => (records.remove(kind, id, record.version).await, value),
        };
        standing = match attempt {
            Ok(Swap::Done(_)) => return Ok(value),
            Ok(Swap::Conflict(other)) => other,
            Err(error) if error.is_transient() && may_repeat => {
                may_repeat = false;
                records.get(kind, id).await?
            }
            Err(error) => return Err(error.into()),
        };
    }
    let cause = format!("the {} {id} changes too often to be written", kind.as_str());
    Err(StoreError::Failed { store: "the records", cause }.into())
}

async fn put(records: &dyn Records, kind: Kind, id: &str, body: Value) -> Result<Swap, StoreError> {
    Ok(match records.put_if_absent(kind, id, body).await? {
        Put::Created(record) => Swap::Done(record),
        Put::Existing(other) => Swap::Conflict(Some(other)),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt as _;
    use serde_json::json;

    use super::*;
    use crate::doubles::RecordsDouble;

    /// Adds a name to the set that the record holds, once.
    fn with(name: String) -> impl FnMut(Option<&Record>) -> Result<Change<usize>, StoreError> {
        move |standing| {
            let mut names: Vec<String> =
                standing.map(|r| serde_json::from_value(r.body.clone()).unwrap()).unwrap_or_default();
            if names.contains(&name) {
                return Ok(Change::Leave(names.len()));
            }
            names.push(name.clone());
            Ok(Change::Write(json!(names), names.len()))
        }
    }

    fn removed(standing: Option<&Record>) -> Result<Change<bool>, StoreError> {
        Ok(Change::Remove(standing.is_some()))
    }

    async fn add(records: &RecordsDouble, name: &str) -> Result<usize, StoreError> {
        update(records, Kind::Session, "s", with(name.to_owned())).await
    }

    #[tokio::test]
    async fn a_record_is_put_changed_and_removed() {
        let records = RecordsDouble::default();
        assert_eq!(add(&records, "a").await, Ok(1));
        assert_eq!(add(&records, "b").await, Ok(2));
        assert_eq!(add(&records, "b").await, Ok(2), "what stands already is left");
        assert_eq!(records.get(Kind::Session, "s").await.unwrap().unwrap().version, 2);
        assert_eq!(update(&records, Kind::Session, "s", removed).await, Ok(true));
        assert_eq!(update(&records, Kind::Session, "s", removed).await, Ok(false));
        assert_eq!(records.count(Kind::Session).await, Ok(0));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn changes_at_once_are_all_made() {
        let records = Arc::<RecordsDouble>::default();
        let tasks = (0..40).map(|n| {
            let records = Arc::clone(&records);
            tokio::spawn(async move { add(&records, &n.to_string()).await.unwrap() })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert_eq!(add(&records, "last").await, Ok(41));
    }

    #[tokio::test]
    async fn a_record_that_goes_meanwhile_is_put_again() {
        let records = RecordsDouble::default();
        add(&records, "a").await.unwrap();
        let (mut seen, mut next) = (Vec::new(), with("b".to_owned()));
        let change = |standing: Option<&Record>| {
            seen.push(standing.map(|record| record.version));
            if let Some(record) = standing {
                records.remove(Kind::Session, "s", record.version).now_or_never().unwrap().unwrap();
            }
            next(standing)
        };
        assert_eq!(update(&records, Kind::Session, "s", change).await, Ok(1));
        assert_eq!(seen, [Some(1), None]);
    }

    #[tokio::test]
    async fn a_write_whose_answer_was_lost_is_made_once() {
        let records = RecordsDouble::default();
        for (name, count) in [("put", 1), ("changed", 2)] {
            // The look is answered, and the answer of the write is lost.
            records.lose_answer_of(2);
            assert_eq!(add(&records, name).await, Ok(count));
        }
        let stands = records.get(Kind::Session, "s").await.unwrap().unwrap();
        assert_eq!((stands.version, stands.body), (2, json!(["put", "changed"])));
        records.lose_answer_of(2);
        let mut there = false;
        let removed = |standing: Option<&Record>| {
            there |= standing.is_some();
            Ok::<_, StoreError>(Change::Remove(there))
        };
        assert_eq!(update(&records, Kind::Session, "s", removed).await, Ok(true));
    }

    #[tokio::test]
    async fn a_store_that_is_away_is_an_error_and_a_record_that_never_rests_another() {
        let records = RecordsDouble::default();
        let mut asked = 0;
        let never = |_: Option<&Record>| {
            asked += 1;
            let other =
                update(&records, Kind::Session, "s", |_| Ok::<_, StoreError>(Change::Write(json!("other"), ())));
            // So many changes within one poll use up what a task may do at once.
            tokio::task::unconstrained(other).now_or_never().unwrap().unwrap();
            Ok::<_, StoreError>(Change::Write(json!("mine"), ()))
        };
        let error = update(&records, Kind::Session, "s", never).await.unwrap_err();
        assert!(error.to_string().contains("the session s changes too often"), "{error}");
        assert_eq!(asked, ATTEMPTS);
        records.fail();
        assert_eq!(add(&records, "a").await.map_err(|error| error.cause()), Err("unreachable"));
    }
}
