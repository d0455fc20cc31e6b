//! The stores of a running server, read through its management port for a snapshot: the embedded ones, which nobody else may open.
//!
//! A call that fails in a way that may pass is tried again for as long as a server takes to come back. What comes back is bounded in memory, and what was not asked for is not believed.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable};
use reqwest::{Client, RequestBuilder, StatusCode, header::AUTHORIZATION};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    model::{ContentHash, DocumentId, Embedded},
    outside::{self, NotAnswered, Unread, bearer, innermost},
    ports::{
        Epoch, Kind, Page, Record, Source, StoreError,
        lent::{
            AskedChunks, AskedCount, AskedRecord, AskedRecords, CHUNKS_PATH, COUNT_PATH, Counted, LentChunks,
            LentRecord, LentRecords, MOST_RECORDS, RECORD_PATH, RECORDS_PATH, SEARCHED_PATH, Searched,
        },
    },
};

/// What is spoken of when something is wrong.
const SERVER: &str = "the server that has the stores open";
/// How long a call may take: as long as a server may work on it, and some time on the way.
const DEADLINE: Duration = Duration::from_secs(60);
/// Bytes of an answer: sixteen records of a megabyte, or as many chunks as are asked for at once.
const MOST_BYTES: usize = 64 << 20;
/// Bytes of what a server says when it refuses.
const MOST_REFUSAL: usize = 64 << 10;
/// The end of the type of the problem that a busy server tells.
const OVERLOADED: &str = "/overloaded";
/// Tries after the first, with pauses of half a second, one, two, four and eight, each up to twice as long by chance: 15 to 31 seconds in all.
const MORE_TRIES: usize = 5;

/// A server that lends its stores.
#[derive(Debug)]
pub struct LentStores {
    client: Client,
    /// Without a slash at its end.
    server: String,
    key_file: Option<PathBuf>,
    first_pause: Duration,
}

impl LentStores {
    /// The server with this management port. Nothing is sent yet; the file is read at each call, and without one no key is sent.
    pub fn of(server: &str, key_file: Option<&Path>) -> Result<Self, StoreError> {
        let server = server.trim_end_matches('/').to_owned();
        // A proxy would be shown the key and everything that is stored.
        let client = outside::client(&server, Client::builder().timeout(DEADLINE).no_proxy())
            .map_err(|error| unreachable(&server, innermost(&error)))?;
        Ok(Self { client, server, key_file: key_file.map(Path::to_owned), first_pause: Duration::from_millis(500) })
    }

    /// The answer to a question.
    async fn ask<T: DeserializeOwned>(&self, path: &str, question: &(impl Serialize + Sync)) -> Result<T, StoreError> {
        let pauses =
            ExponentialBuilder::new().with_min_delay(self.first_pause).with_max_times(MORE_TRIES).with_jitter();
        let told = |error: &StoreError, pause: Duration| {
            tracing::warn!(%error, seconds = pause.as_secs_f64(), "asked again");
        };
        (|| self.once(path, question)).retry(pauses).when(StoreError::is_transient).notify(told).await
    }

    async fn once<T: DeserializeOwned>(&self, path: &str, question: &(impl Serialize + Sync)) -> Result<T, StoreError> {
        let call = self.client.get(format!("{}{path}", self.server)).query(question);
        let response = self.keyed(call).await?.send().await.map_err(|error| self.not_answered(&error))?;
        let status = response.status();
        let most = if status.is_success() { MOST_BYTES } else { MOST_REFUSAL };
        let bytes = outside::bounded(response, most).await.map_err(|unread| match unread {
            Unread::TooLong(_) => not_ours(unread.to_string()),
            Unread::Broken(error) => self.not_answered(&error),
        })?;
        if !status.is_success() {
            return Err(self.refused(status, &bytes));
        }
        serde_json::from_slice(&bytes).map_err(|error| not_ours(error.to_string()))
    }

    async fn keyed(&self, call: RequestBuilder) -> Result<RequestBuilder, StoreError> {
        let Some(path) = &self.key_file else { return Ok(call) };
        let key = bearer(path).await.map_err(|cause| StoreError::NoKey { store: SERVER, cause })?;
        Ok(call.header(AUTHORIZATION, key))
    }

    fn not_answered(&self, error: &reqwest::Error) -> StoreError {
        match NotAnswered::of(error) {
            NotAnswered::Timeout => StoreError::Timeout { store: SERVER, seconds: DEADLINE.as_secs() },
            other => unreachable(&self.server, other.to_string()),
        }
    }

    /// What its refusal means.
    fn refused(&self, status: StatusCode, body: &[u8]) -> StoreError {
        let Said { kind, detail, retry_after } = serde_json::from_slice(body).unwrap_or_default();
        let address = self.server.clone();
        let said = || detail.clone().unwrap_or_else(|| format!("status {}", status.as_u16()));
        match status {
            StatusCode::UNAUTHORIZED => StoreError::AuthFailed { store: SERVER, address },
            StatusCode::NOT_FOUND => {
                let cause = format!(
                    "{address} has no such route; name its management port, which is server.management_listen of its configuration, and a server of this version"
                );
                StoreError::Refused { store: SERVER, cause }
            }
            StatusCode::SERVICE_UNAVAILABLE if kind.ends_with(OVERLOADED) => {
                StoreError::RateLimited { store: SERVER, retry_after_seconds: retry_after.unwrap_or(1) }
            }
            StatusCode::SERVICE_UNAVAILABLE => unreachable(&self.server, said()),
            status if status.is_server_error() => failed(said()),
            _ => StoreError::Refused { store: SERVER, cause: said() },
        }
    }
}

/// What a problem document says.
#[derive(Default, Deserialize)]
struct Said {
    #[serde(default, rename = "type")]
    kind: String,
    detail: Option<String>,
    /// In seconds.
    retry_after: Option<u64>,
}

fn unreachable(server: &str, cause: String) -> StoreError {
    StoreError::Unreachable { store: SERVER, address: server.to_owned(), cause }
}

fn failed(cause: String) -> StoreError {
    StoreError::Failed { store: SERVER, cause }
}

fn not_ours(cause: String) -> StoreError {
    StoreError::Refused { store: SERVER, cause: format!("its answer is none of rag-server's: {cause}") }
}

#[async_trait]
impl Source for LentStores {
    async fn active(&self) -> Result<Option<Epoch>, StoreError> {
        let Searched { epoch } = self.ask(SEARCHED_PATH, &()).await?;
        Ok(epoch)
    }

    async fn record(&self, kind: Kind, id: &str) -> Result<Option<Record>, StoreError> {
        let asked = AskedRecord { kind: kind.as_str().to_owned(), id: id.to_owned() };
        let LentRecord { record } = self.ask(RECORD_PATH, &asked).await?;
        Ok(record.map(Into::into))
    }

    async fn records(&self, kind: Kind, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        let (kind, after) = (kind.as_str().to_owned(), after.map(str::to_owned));
        let asked = AskedRecords { kind, after: after.clone(), limit: limit.min(MOST_RECORDS) };
        let page = Page::from(self.ask::<LentRecords>(RECORDS_PATH, &asked).await?);
        if page.next.is_some() && page.next <= after {
            return Err(not_ours("a page that leads to itself".to_owned()));
        }
        Ok(page)
    }

    async fn count(&self, kind: Kind) -> Result<u64, StoreError> {
        let Counted { count } = self.ask(COUNT_PATH, &AskedCount { kind: kind.as_str().to_owned() }).await?;
        Ok(count)
    }

    async fn chunks(
        &self,
        epoch: Epoch,
        (document, version): (&DocumentId, &ContentHash),
        places: Range<u32>,
    ) -> Result<Vec<Embedded>, StoreError> {
        let (first, end) = (places.start, places.end);
        let asked = AskedChunks { epoch, document: document.clone(), version: version.clone(), first, end };
        let LentChunks { chunks } = self.ask(CHUNKS_PATH, &asked).await?;
        let in_order = chunks.is_sorted_by(|one, next| one.ordinal < next.ordinal);
        if !in_order || !chunks.iter().all(|chunk| places.contains(&chunk.ordinal)) {
            return Err(not_ours("chunks that were not asked for".to_owned()));
        }
        Ok(chunks.into_iter().map(|chunk| chunk.of_document(document, version)).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::{Json, Router, extract::Request, http::Uri, response::IntoResponse};
    use serde_json::{Value, json};

    use super::*;

    /// Answers in turn, and keeps what it was asked with which key.
    async fn scripted(answers: Vec<(u16, Value)>) -> (LentStores, Arc<Mutex<Vec<String>>>, tempfile::TempDir) {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (kept, left) = (Arc::clone(&asked), Arc::new(Mutex::new(answers.into_iter())));
        let answer = move |request: Request| {
            let key = request.headers().get(AUTHORIZATION).map(|key| key.to_str().unwrap().to_owned());
            kept.lock().unwrap().push(format!("{} {}", key.unwrap_or_default(), request.uri()));
            let (status, body) = left.lock().unwrap().next().unwrap();
            async move { (axum::http::StatusCode::from_u16(status).unwrap(), Json(body)).into_response() }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("operator.current");
        std::fs::write(&key, "the-key-of-the-operator\n").unwrap();
        let lent = LentStores::of(&address, Some(&key)).unwrap();
        (LentStores { first_pause: Duration::from_millis(1), ..lent }, asked, folder)
    }

    fn version() -> ContentHash {
        ContentHash("v".to_owned())
    }

    fn chunk(ordinal: u32) -> Value {
        json!({ "ordinal": ordinal, "title": "", "headings": [], "text": "", "labels": [], "dense": [0x3f80_0000_u32] })
    }

    #[tokio::test]
    async fn what_may_pass_is_asked_again_with_the_key_as_it_is_by_then() {
        let busy = json!({ "detail": "the server is starting", "retry_after": 1 });
        let (lent, asked, folder) = scripted(vec![(503, busy), (500, json!(1)), (200, json!({ "epoch": 7 }))]).await;
        assert_eq!(lent.active().await, Ok(Some(Epoch(7))));
        assert_eq!(*asked.lock().unwrap(), vec!["Bearer the-key-of-the-operator /ops/snapshot/searched"; 3]);
        std::fs::remove_file(folder.path().join("operator.current")).unwrap();
        assert!(matches!(lent.active().await, Err(StoreError::NoKey { .. })));
    }

    #[tokio::test]
    async fn a_server_that_starts_is_said_to_start_and_one_that_is_busy_to_be_busy() {
        let problem = |slug: &str| json!({ "type": format!("https://ragops.dev/problems/{slug}"), "detail": "it waits for the corpus", "retry_after": 7 });
        for (slug, says) in
            [("overloaded", "is overloaded; try again in 7 s"), ("not-ready", "it waits for the corpus")]
        {
            let (lent, _asked, _folder) = scripted(vec![(503, problem(slug)); 1 + MORE_TRIES]).await;
            let error = lent.active().await.unwrap_err();
            assert!(error.to_string().contains(says) && error.is_transient(), "{slug}: {error}");
        }
    }

    #[tokio::test]
    async fn a_page_that_leads_to_itself_is_not_followed() {
        let page = |next: &str| json!({ "records": [], "next": next });
        let (lent, _asked, _folder) = scripted(vec![(200, page("b")), (200, page("b")), (200, page("a"))]).await;
        assert_eq!(lent.records(Kind::Session, Some("a"), 256).await.unwrap().next.as_deref(), Some("b"));
        for _ in 0..2 {
            assert!(lent.records(Kind::Session, Some("b"), 256).await.is_err());
        }
    }

    #[tokio::test]
    async fn what_does_not_pass_is_asked_once_and_says_what_to_do() {
        for (status, says) in [(401, "refused the credential"), (404, "name its management port"), (422, "not allowed")]
        {
            let (lent, asked, _folder) = scripted(vec![(status, json!({ "detail": "not allowed" }))]).await;
            let error = lent.count(Kind::Document).await.unwrap_err();
            assert!(error.to_string().contains(says) && !error.is_transient(), "{status}: {error}");
            assert_eq!(asked.lock().unwrap().len(), 1, "{status}");
        }
    }

    #[tokio::test]
    async fn questions_name_a_document_of_any_tenant_and_any_script() {
        let document = DocumentId::of_key("acme\u{1f}Bücher/a b&c=d.md").unwrap();
        let (lent, asked, _folder) = scripted(vec![(200, json!({ "chunks": [chunk(3), chunk(5)] }))]).await;
        let found = lent.chunks(Epoch(2), (&document, &version()), 3..6).await.unwrap();
        assert_eq!(found.iter().map(|chunk| chunk.chunk.ordinal).collect::<Vec<_>>(), [3, 5]);
        assert_eq!((&found[0].chunk.document, &found[0].dense), (&document, &vec![1.0]));
        let uri: Uri = asked.lock().unwrap()[0].rsplit_once(' ').unwrap().1.parse().unwrap();
        let axum::extract::Query(read) = axum::extract::Query::<AskedChunks>::try_from_uri(&uri).unwrap();
        assert_eq!((read.document, read.first, read.end, read.epoch), (document, 3, 6, Epoch(2)));
    }

    #[tokio::test]
    async fn chunks_that_were_not_asked_for_or_come_twice_are_not_believed() {
        let document: DocumentId = "a".parse().unwrap();
        for wrong in [vec![chunk(4), chunk(3)], vec![chunk(3), chunk(3)], vec![chunk(9)], vec![chunk(2)]] {
            let (lent, _asked, _folder) = scripted(vec![(200, json!({ "chunks": wrong }))]).await;
            let error = lent.chunks(Epoch(1), (&document, &version()), 3..6).await.unwrap_err();
            assert!(error.to_string().contains("none of rag-server's"), "{error}");
        }
    }
}
