//! Passages to an answer that cites them.
//!
//! ```text
//! retrieve -> (no evidence: refuse) -> generate -> check every sentence -> cite
//! ```
//!
//! Guarantees: a refusal calls no generator; a citation's text is its chunk byte for byte; the status is what the check found, whatever the generator claims.

pub mod cite;

use std::sync::Arc;

use crate::{
    model::{Answer, AnswerStatus, Citation, Query},
    ports::{GenerateError, Generator, Passage},
    retrieve::{Retrieve, RetrieveError},
};

/// What a refusal says.
pub const REFUSAL: &str = "Nothing in these documents answers this.";

/// Why there is no answer, not even a refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The passages could not be looked for.
    #[error("{0}")]
    Retrieve(#[source] RetrieveError),
    /// The generator failed.
    #[error("{0}")]
    Generate(#[source] GenerateError),
}

/// Answers questions.
pub struct Answers {
    retrieve: Arc<Retrieve>,
    generator: Arc<dyn Generator>,
}

impl Answers {
    /// The flow over these parts.
    pub fn new(retrieve: Arc<Retrieve>, generator: Arc<dyn Generator>) -> Self {
        Self { retrieve, generator }
    }

    /// The answer to a question. Every passage that was found is listed, best first; the text refers to them by number.
    pub async fn answer(&self, query: &Query) -> Result<Answer, AnswerError> {
        let found = self.retrieve.retrieve(query).await.map_err(AnswerError::Retrieve)?;
        if found.passages.is_empty() {
            return Ok(refusal(found.searched));
        }
        let draft = self.generator.generate(&query.text, &found.passages).await.map_err(AnswerError::Generate)?;
        let cited = cite::cite(&draft, &found.passages);
        if cited.status == AnswerStatus::Refused {
            return Ok(refusal(found.searched));
        }
        let citations = found.passages.into_iter().enumerate().map(|(at, passage)| citation(at + 1, passage)).collect();
        Ok(Answer { status: cited.status, text: cited.text, citations, searched: found.searched })
    }
}

fn refusal(searched: u64) -> Answer {
    Answer { status: AnswerStatus::Refused, text: REFUSAL.to_owned(), citations: Vec::new(), searched }
}

fn citation(reference: usize, passage: Passage) -> Citation {
    let Passage { chunk, score } = passage;
    Citation {
        reference,
        document: chunk.document,
        title: chunk.title,
        headings: chunk.headings,
        text: chunk.text,
        score,
        chunk: chunk.id,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::{
        doubles::{EmbedderDouble, RecordsDouble, StoreDouble},
        lexical,
        model::{Chunk, ChunkId, ContentHash, DocumentId, Mode, Point},
        ports::{Draft, Embedder, Epoch, Kind, Records, Sentence, VectorStore},
        retrieve::Settings,
    };

    /// Says what it is told to and counts how often it was asked.
    struct Scripted {
        says: &'static str,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl Generator for Scripted {
        async fn generate(&self, _: &str, _: &[Passage]) -> Result<Draft, GenerateError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            Ok(Draft { sentences: vec![Sentence { text: self.says.to_owned(), passage: 0 }] })
        }
    }

    const TEXT: &str = "Snapshots  are kept\r\n| seven | days |. 日本語";

    async fn answers(says: &'static str) -> (Answers, Arc<Scripted>) {
        let (store, records) = (Arc::<StoreDouble>::default(), Arc::<RecordsDouble>::default());
        let embedder = Arc::<EmbedderDouble>::default();
        store.create_epoch(Epoch(1), 512).await.unwrap();
        store.activate(Epoch(1)).await.unwrap();
        let (document, version): (DocumentId, _) = ("ops/backup.md".parse().unwrap(), ContentHash("v".to_owned()));
        let id = ChunkId::new(&document, &version, 0);
        let (title, headings) = ("Backup".to_owned(), vec!["Retention".to_owned()]);
        let chunk = Chunk { id, document, version, ordinal: 0, title, headings, text: TEXT.to_owned() };
        let dense = embedder.embed_passages(vec![TEXT.to_owned()]).await.unwrap().remove(0);
        let sparse = lexical::passage("", &[], TEXT);
        store.upsert(Epoch(1), vec![Point { chunk, dense, sparse }]).await.unwrap();
        let body = serde_json::json!({ "version": "v" });
        records.put_if_absent(Kind::Document, "ops/backup.md", body).await.unwrap();
        let generator = Arc::new(Scripted { says, asked: AtomicUsize::new(0) });
        let retrieve = Retrieve::new(store, records, embedder, Settings::default());
        (Answers::new(Arc::new(retrieve), Arc::clone(&generator) as _), generator)
    }

    fn question(text: &str) -> Query {
        Query { text: text.to_owned(), mode: Mode::Hybrid, top_k: 5 }
    }

    #[tokio::test]
    async fn a_grounded_answer_cites_the_chunk_byte_for_byte() {
        let (answers, _) = answers("Snapshots are kept").await;
        let answer = answers.answer(&question("are snapshots kept")).await.unwrap();
        assert_eq!((answer.status, answer.text.as_str()), (AnswerStatus::Grounded, "Snapshots are kept [1]"));
        let citation = &answer.citations[0];
        assert_eq!((citation.reference, citation.text.as_str()), (1, TEXT));
        assert_eq!((citation.title.as_str(), citation.headings.as_slice()), ("Backup", &["Retention".to_owned()][..]));
        assert_eq!(answer.searched, 1);
    }

    #[tokio::test]
    async fn what_a_generator_invents_makes_the_answer_partial() {
        let (answers, _) = answers("Snapshots are kept for ever.").await;
        let answer = answers.answer(&question("are snapshots kept")).await.unwrap();
        assert_eq!(answer.status, AnswerStatus::Partial);
    }

    #[tokio::test]
    async fn a_refusal_asks_no_generator_and_says_how_much_was_searched() {
        let (answers, generator) = answers("anything").await;
        let answer = answers.answer(&question("who won the football cup")).await.unwrap();
        assert_eq!((answer.status, answer.text.as_str()), (AnswerStatus::Refused, REFUSAL));
        assert!(answer.citations.is_empty());
        assert_eq!((answer.searched, generator.asked.load(Ordering::SeqCst)), (1, 0));
    }

    #[tokio::test]
    async fn a_generator_with_nothing_to_say_is_a_refusal() {
        let (answers, _) = answers(" ").await;
        let answer = answers.answer(&question("are snapshots kept")).await.unwrap();
        assert_eq!((answer.status, answer.citations.len()), (AnswerStatus::Refused, 0));
    }
}
