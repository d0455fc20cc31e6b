//! A request that is sent again under the same key gets the job that it got before.
//!
//! The key's record is written after the job's and names it, so that an answered request is remembered by every replica and over restarts, and one that died unanswered is done anew (which changes nothing
//! where its documents stand already). It lives as long as its job can be asked for, and is removed with it, see `retention`.

use encoding_rs::UTF_8;
use serde::{Deserialize, Serialize};

use super::{
    Ingest, JobId, json,
    source::{Content, Source},
    submit::SubmitError,
};
use crate::ports::{Change, Kind, Record, StoreError, update};

/// What a sender calls one request. Keys of different senders never meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    sender: String,
    key: String,
}

/// Why a text is no such key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Idempotency-Key: send 1 to 255 visible ASCII characters, such as a UUID")]
pub struct InvalidIdempotencyKey;

impl IdempotencyKey {
    /// The key of a sender: 1 to 255 visible ASCII characters.
    pub fn new(sender: &str, key: &str) -> Result<Self, InvalidIdempotencyKey> {
        let fits = (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
        let (sender, key) = (sender.to_owned(), key.to_owned());
        if fits { Ok(Self { sender, key }) } else { Err(InvalidIdempotencyKey) }
    }

    /// The name of its record: the key itself may be guessable, its hash is not listed anywhere.
    fn record(&self) -> String {
        // A visible character is no line break, so no two pairs are written alike.
        blake3::hash(format!("{}\n{}", self.key, self.sender).as_bytes()).to_hex().to_string()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Body {
    /// Hash of what was sent.
    request: String,
    job: JobId,
}

impl Ingest {
    /// Makes a job of documents, or finds the one that the same request made before.
    pub async fn submit_once(&self, key: &IdempotencyKey, sources: Vec<Source>) -> Result<JobId, SubmitError> {
        let (record, request) = (key.record(), fingerprint(&sources));
        let standing = self.patiently(|| self.records.get(Kind::Idempotency, &record)).await?;
        if let Some(job) = self.answered(standing.as_ref(), &request).await? {
            return Ok(job);
        }
        let job = self.submit_as(sources, Some(record.clone())).await?;
        let body = json(&Body { request: request.clone(), job: job.clone() })?;
        // Of a job that is forgotten.
        let mut outdated = standing.map(|standing| standing.version);
        loop {
            let name_it = |standing: Option<&Record>| {
                Ok(match standing {
                    Some(other) if other.body == body => Change::Leave(None),
                    Some(other) if Some(other.version) != outdated => Change::Leave(Some(other.clone())),
                    Some(_) | None => Change::Write(body.clone(), None),
                })
            };
            let other = self.patiently(|| update(&*self.records, Kind::Idempotency, &record, name_it)).await?;
            let Some(other) = other else { return Ok(job) };
            // The same request came twice at once, and the other one was faster.
            let answered = self.answered(Some(&other), &request).await;
            if !matches!(answered, Ok(None)) {
                self.cancel(&job).await?;
            }
            if let Some(job) = answered? {
                return Ok(job);
            }
            outdated = Some(other.version);
        }
    }

    /// The job that a key stands for, while it can be asked for.
    async fn answered(&self, standing: Option<&Record>, request: &str) -> Result<Option<JobId>, SubmitError> {
        let Some(record) = standing else { return Ok(None) };
        let body: Body = serde_json::from_value(record.body.clone()).map_err(|e| StoreError::Corrupt {
            what: format!("the record of the idempotency key {}", record.id),
            cause: e.to_string(),
        })?;
        if self.patiently(|| self.records.get(Kind::Job, body.job.as_str())).await?.is_none() {
            return Ok(None);
        }
        if body.request == request { Ok(Some(body.job)) } else { Err(SubmitError::KeyReused { job: body.job }) }
    }
}

/// Names what is sent, whatever it is wrapped in: a form has another boundary each time.
fn fingerprint(sources: &[Source]) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut field = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    for source in sources {
        field(source.id.as_str().as_bytes());
        field(source.format.as_str().as_bytes());
        if let Some(charset) = source.charset.as_deref().filter(|charset| *charset != UTF_8.name()) {
            field(charset.as_bytes());
        }
        field(source.title.as_deref().map_or(String::new(), |title| format!("={title}")).as_bytes());
        field(if source.metadata.is_some() { b"metadata" } else { b"" });
        for (key, value) in source.metadata.iter().flatten() {
            field(key.as_bytes());
            field(value.as_bytes());
        }
        if let Some(at) = source.expires_at {
            field(at.to_string().as_bytes());
        }
        match &source.content {
            Content::Bytes(bytes) => field(bytes),
            // No request is made of such content; its length is all that can be told of it before it is read.
            Content::Arriving(_) => field(&source.content.len().unwrap_or_default().to_le_bytes()),
            #[cfg(test)]
            Content::Generated(bytes, _) => field(&bytes.to_le_bytes()),
            Content::File(path) => field(path.as_os_str().as_encoded_bytes()),
        }
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::Format;

    #[test]
    fn a_request_is_named_by_everything_that_decides_its_outcome() {
        let source = || Source::text("a".parse().unwrap(), Format::Text, "text");
        let base = fingerprint(&[source()]);
        assert_eq!(base, fingerprint(&[source()]));
        let others = [
            Source::text("b".parse().unwrap(), Format::Text, "text"),
            Source::text("a".parse().unwrap(), Format::Markdown, "text"),
            Source::text("a".parse().unwrap(), Format::Text, "other"),
            Source { title: Some(String::new()), ..source() },
            Source { charset: Some("Big5".to_owned()), ..source() },
            Source { metadata: Some(Default::default()), ..source() },
            Source { metadata: Some([("k".to_owned(), "v".to_owned())].into()), ..source() },
            Source { expires_at: Some(jiff::Timestamp::MAX), ..source() },
        ];
        let mut names: Vec<_> = others.into_iter().map(|other| fingerprint(&[other])).chain([base]).collect();
        names.push(fingerprint(&[source(), source()]));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 10);
    }

    #[test]
    fn a_key_is_short_and_visible() {
        assert!(IdempotencyKey::new("a", "8e03978e-40d5-43dd-bc93-6894a57f9324").is_ok());
        for wrong in ["", " ", "a b", "é", "a\n", &"x".repeat(256)] {
            assert!(IdempotencyKey::new("a", wrong).is_err(), "{wrong:?}");
        }
    }
}
