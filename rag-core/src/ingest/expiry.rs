//! Documents that are found until a time: from then on no search shows them (see `retrieve/visible.rs`), and soon after they are removed.
//!
//! A record of [`Kind::Expiry`] names the time and the document, and sorts by the time, so that what is over is found without looking at any other document. It is written before the document's record is
//! committed, so none is missing; what the document's record says decides.
//! Guarantee: what was accepted of the document meanwhile stands. Unlike a deletion, the end of its time leaves no mark.

use jiff::Timestamp;
use serde_json::json;

use super::{Ingest, claim::standing_of};
use crate::{
    model::DocumentId,
    ports::{Change, Kind, StoreError, Swap, update},
};

/// Hex digits of the milliseconds since 1970, as in the names of jobs.
const TIME_DIGITS: usize = 12;

/// Why a text is no time at which a document expires.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no time of RFC 3339; write it like 2027-01-31T18:00:00Z or 2027-01-31T19:00:00+01:00")]
pub struct InvalidExpiry {
    /// The text, or its beginning.
    pub text: String,
}

/// Longest text of a time, nanoseconds and offset included.
const MAX_TEXT: usize = 40;

/// The time that a sender wrote, with seconds and an offset.
pub fn expiry_of(text: &str) -> Result<Timestamp, InvalidExpiry> {
    let invalid = || InvalidExpiry { text: text.chars().take(MAX_TEXT).collect() };
    // The parser takes more than RFC 3339 knows: names of zones, and times without seconds.
    let is_plain =
        text.len() <= MAX_TEXT && text.bytes().all(|byte| byte.is_ascii_digit() || b"-:.+TZtz ".contains(&byte));
    let has_seconds = text.bytes().filter(|byte| *byte == b':').count() >= 2;
    text.parse().ok().filter(|_| is_plain && has_seconds).ok_or_else(invalid)
}

/// What became of a document whose time seemed to be over.
enum Ended {
    /// It is gone.
    Gone,
    /// It stands, with another time or none, or had gone before.
    Stands,
    /// Somebody writes it, or its time is not quite over.
    NotYet,
}

/// The name of what is written down of a document's time.
pub(crate) fn entry(at: Timestamp, id: &DocumentId) -> String {
    format!("{:0width$x}/{}", at.as_millisecond().max(0), id.key(), width = TIME_DIGITS)
}

/// The time in milliseconds since 1970 and the document that an entry names.
fn named(entry: &str) -> Option<(i64, DocumentId)> {
    let (millis, key) = entry.split_once('/')?;
    Some((i64::from_str_radix(millis, 16).ok()?, DocumentId::of_key(key).ok()?))
}

impl Ingest {
    /// Writes down that a document that is claimed, and about to be committed, expires then.
    pub(super) async fn note_expiry(&self, id: &DocumentId, at: Timestamp) -> Result<(), StoreError> {
        let entry = entry(at, id);
        self.patiently(|| update(&*self.records, Kind::Expiry, &entry, |_| Ok(Change::Write(json!({}), ())))).await
    }

    /// Removes what was written down of a time that a document no longer has.
    pub(super) async fn forget_expiry(&self, id: &DocumentId, at: Timestamp) -> Result<(), StoreError> {
        let entry = entry(at, id);
        self.patiently(|| update(&*self.records, Kind::Expiry, &entry, |_| Ok(Change::Remove(())))).await
    }

    /// Removes documents whose time is over, the longest over first; looks at no more than `most`. Tells how many are gone.
    pub async fn remove_expired(&self, most: usize) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let page = self.records.list(Kind::Expiry, "", None, most).await?;
        let mut gone = 0;
        for record in page.records {
            let Some((millis, id)) = named(&record.id) else {
                tracing::warn!(entry = record.id, "it names no time and no document; it is removed");
                self.records.remove(Kind::Expiry, &record.id, record.version).await?;
                continue;
            };
            if millis > now.as_millisecond() {
                break;
            }
            gone += usize::from(self.expire(&id, now, &record.id).await?);
        }
        Ok(gone)
    }

    /// Removes a document if its time is over, and what was written down of it; whether it is gone.
    async fn expire(&self, id: &DocumentId, now: Timestamp, entry: &str) -> Result<bool, StoreError> {
        // Who writes the document just now may have written this down for a commit that is still to come.
        let Some(mut claim) = self.claim(id, None).await? else { return Ok(false) };
        let ended = self.end_if_over(id, now, &mut claim).await?;
        if !matches!(ended, Ended::NotYet) {
            self.patiently(|| update(&*self.records, Kind::Expiry, entry, |_| Ok(Change::Remove(())))).await?;
        }
        self.release(claim).await?;
        Ok(matches!(ended, Ended::Gone))
    }

    async fn end_if_over(
        &self,
        id: &DocumentId,
        now: Timestamp,
        claim: &mut super::claim::Claim,
    ) -> Result<Ended, StoreError> {
        let Some(record) = self.patiently(|| self.records.get(Kind::Document, id.key())).await? else {
            return Ok(Ended::Stands);
        };
        let Some(document) = standing_of(&record)? else { return Ok(Ended::Stands) };
        match document.expires_at {
            Some(at) if at <= now => {}
            // Within the same millisecond.
            Some(at) if at.as_millisecond() <= now.as_millisecond() => return Ok(Ended::NotYet),
            Some(_) | None => return Ok(Ended::Stands),
        }
        claim.dirty = true;
        if !self.answer_for(claim, &document.version).await? {
            return Ok(Ended::NotYet);
        }
        let removed = self.patiently(|| self.records.remove(Kind::Document, id.key(), record.version)).await?;
        if let Swap::Conflict(Some(_)) = removed {
            return Ok(Ended::NotYet);
        }
        self.note_change().await?;
        self.forget(document.content(), id).await?;
        tracing::debug!(document = id.as_str(), "its time is over; it is removed");
        Ok(Ended::Gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_rfc_3339_has_it() {
        let at = |text: &str| expiry_of(text).map(|at| at.to_string());
        assert_eq!(at("2027-01-31T19:00:00+01:00").as_deref(), Ok("2027-01-31T18:00:00Z"));
        assert_eq!(at("2027-01-31T18:00:00.5Z").as_deref(), Ok("2027-01-31T18:00:00.5Z"));
        for wrong in [
            "",
            "tomorrow",
            "2027-01-31",
            "2027-01-31T18:00:00",
            "2027-01-31T18:00Z",
            "2027-02-30T18:00:00Z",
            "2027-01-31T18:00:00+01:00[Europe/Berlin]",
            "1800000000",
            &"2".repeat(1000),
        ] {
            let said = expiry_of(wrong).unwrap_err().to_string();
            assert!(said.len() < 200, "{said}");
        }
    }

    #[test]
    fn entries_sort_by_time_and_name_what_they_were_made_of() {
        let id: DocumentId = "a/b.md".parse::<DocumentId>().unwrap().of(&"acme".parse().unwrap());
        let [early, late] = ["2026-11-21T08:00:00Z", "2126-11-21T08:00:00Z"].map(|at| at.parse::<Timestamp>().unwrap());
        assert!(entry(early, &id) < entry(late, &id));
        assert_eq!(named(&entry(late, &id)), Some((late.as_millisecond(), id)));
        assert!(named("x/a").is_none() && named("12").is_none());
    }
}
