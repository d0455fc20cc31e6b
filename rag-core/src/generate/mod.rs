//! Passages to an answer that cites them.
//!
//! ```text
//! retrieve -> (no evidence: refuse) -> generate -> check every sentence -> cite
//! ```
//!
//! Guarantees: where nothing is evidence no generator is called; a citation's text is that of its chunks byte for byte; the status is what the check found, whatever the generator claims.

mod allowance;
mod answer_id;
mod ask;
mod budget;
mod call;
pub mod cite;
mod extract;
mod fallback;
mod feedback;
mod flow;
mod ledger;
mod marks;
mod meter;
mod outlet;
mod parts;
mod prompt;
mod remembered;
mod selection;
mod sessions;
mod stream;
mod support;
mod toll;
mod wording;

use std::sync::Arc;

use futures::StreamExt;
use tracing::Instrument;

pub use self::{
    answer_id::AnswerIds,
    ask::Ask,
    budget::{BudgetLimits, Period},
    extract::Extractive,
    fallback::{Price, Provider, Providers},
    feedback::{Feedback, NotHeard, Opinion, Rating},
    ledger::{Ledger, Limits},
    meter::{Meter, NoMeter},
    sessions::{Session, SessionKey, SessionTurn, Sessions},
    stream::{AnswerEvent, AnswerStream},
    support::judge,
    toll::{ServicePrice, ServiceToll},
};
use self::{flow::Flow, outlet::Delivery};
use crate::{
    model::{Answer, MicroUsd},
    ports::{Embedder, GenerateError, Generator, Memory, Payer, StoreError},
    retrieve::{Retrieve, RetrieveError},
};

/// What a refusal says.
pub const REFUSAL: &str = "Nothing in these documents answers this.";

/// Who wrote an answer that no provider wrote.
pub const EXTRACTIVE: &str = "extractive";

/// Why there is no answer, not even a refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The passages could not be looked for.
    #[error("{0}")]
    Retrieve(#[source] RetrieveError),
    /// The conversation so far could not be read.
    #[error("{0}")]
    Session(#[source] StoreError),
    /// The generator failed.
    #[error("{0}")]
    Generate(#[source] GenerateError),
    /// The budget is spent, and no answer without a provider is wanted.
    #[error("the budget of this {} ({limit}) is spent", period.as_str())]
    BudgetSpent {
        /// Which budget.
        period: Period,
        /// How much it was.
        limit: MicroUsd,
        /// Until the next one begins.
        resets_in_seconds: u64,
    },
    /// Every provider that was called refused the request, which another try will not change.
    #[error("the provider {provider} {cause}")]
    Refused {
        /// The last of them.
        provider: String,
        /// What it said.
        cause: String,
    },
    /// Every provider failed or is left alone, and no answer without one is wanted.
    #[error("no provider can answer now; try again in {retry_after_seconds} s")]
    NoProvider {
        /// When the first of them may be called again.
        retry_after_seconds: u64,
    },
    /// The time was up before the answer was there.
    #[error("the deadline passed before the answer was written")]
    Expired,
    /// The work ended without a word, which is a defect.
    #[error("the work on the answer ended unexpectedly")]
    Interrupted,
}

/// What providers add to the flow.
pub struct Writers {
    /// The providers, which outlive an epoch.
    pub providers: Arc<Providers>,
    /// Counts tokens and compares sentences with passages.
    pub embedder: Arc<dyn Embedder>,
    /// Whether an answer is made of sentences of the documents when no provider answers.
    pub extractive_fallback: bool,
}

/// Answers questions. Cheap to clone.
#[derive(Clone)]
pub struct Answers {
    flow: Flow,
    sessions: Option<Arc<Sessions>>,
    feedback: Option<Arc<Feedback>>,
}

impl Answers {
    /// The flow without a provider: answers are made of sentences of the documents.
    pub fn new(retrieve: Arc<Retrieve>, generator: Arc<dyn Generator>) -> Self {
        let flow = Flow { retrieve, generator, writers: None, memory: None, ids: AnswerIds::unshared() };
        Self { flow, sessions: None, feedback: None }
    }

    /// The same flow with providers; its generator is what they fall back to.
    pub fn with_providers(mut self, writers: Writers) -> Self {
        self.flow.writers = Some(Arc::new(writers));
        self
    }

    /// The same flow, which keeps answers, to be given again.
    pub fn keeping(mut self, memory: Option<Memory>) -> Self {
        self.flow.memory = memory;
        self
    }

    /// The same flow, with a memory for conversations.
    pub fn remembering(self, sessions: Arc<Sessions>) -> Self {
        Self { sessions: Some(sessions), ..self }
    }

    /// The conversations that are remembered, if any are.
    pub fn sessions(&self) -> Option<&Arc<Sessions>> {
        self.sessions.as_ref()
    }

    /// The same flow, which gives its answers names that this feedback knows.
    pub fn hearing(mut self, feedback: Arc<Feedback>) -> Self {
        self.flow.ids = feedback.ids().clone();
        Self { feedback: Some(feedback), ..self }
    }

    /// What is thought of the answers, if that is kept.
    pub fn feedback(&self) -> Option<&Arc<Feedback>> {
        self.feedback.as_ref()
    }

    /// The whole answer. Every passage that was found is listed, best first; the text refers to them by number.
    pub async fn answer(&self, ask: impl Into<Ask>) -> Result<Answer, AnswerError> {
        let mut events = self.begin(ask.into(), Delivery::Whole);
        while let Some(event) = events.next().await {
            if let AnswerEvent::Finished(answer) = event? {
                return Ok(*answer);
            }
        }
        Err(AnswerError::Interrupted)
    }

    /// The answer while it is written. Dropping the stream ends the work.
    pub fn stream(&self, ask: impl Into<Ask>) -> AnswerStream {
        self.begin(ask.into(), Delivery::Pieces)
    }

    fn begin(&self, ask: Ask, delivery: Delivery) -> AnswerStream {
        let (events, stream) = stream::channel();
        let Self { flow, sessions, .. } = self.clone();
        let work = async move {
            let deadline = ask.deadline;
            tokio::select! {
                () = events.closed() => {}
                outcome = deadline.run(flow.work(ask, sessions.as_deref(), delivery, &events)) => {
                    if let Err(error) = outcome.unwrap_or(Err(AnswerError::Expired)) {
                        events.send(Err(error)).await;
                    }
                }
            }
        };
        tokio::spawn(Payer::current().pays(work).in_current_span());
        stream
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use async_trait::async_trait;

    use super::*;
    use crate::{
        doubles::{self, EmbedderDouble, OverBudget, RecordsDouble, StoreDouble},
        lexical,
        model::{AnswerStatus, Chunk, Degradation, Point, Query, Speaker, Turn},
        ports::{Draft, Epoch, Form, Kind, Passage, Records, Sentence, VectorStore},
        retrieve::Settings,
    };

    /// Says what it is told to and counts how often it was asked.
    struct Scripted {
        says: &'static str,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl Generator for Scripted {
        async fn generate(&self, _: &str, _: &[Passage], _: Duration) -> Result<Draft, GenerateError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let (text, form) = (self.says.to_owned(), Form::Sentence);
            Ok(Draft { sentences: vec![Sentence { text, passage: 0, form }], ..Draft::default() })
        }
    }

    const TEXT: &str = "Snapshots  are kept\r\n| seven | days |. 日本語";

    async fn answers(says: &'static str) -> (Answers, Arc<Scripted>) {
        let generator = Arc::new(Scripted { says, asked: AtomicUsize::new(0) });
        (over(TEXT, Arc::clone(&generator) as _).await, generator)
    }

    /// Answers over one document.
    async fn over(text: &str, generator: Arc<dyn Generator>) -> Answers {
        Answers::new(Arc::new(search_of(text).await), generator)
    }

    /// The search in one document.
    async fn search_of(text: &str) -> Retrieve {
        let (store, records) = (Arc::<StoreDouble>::default(), Arc::<RecordsDouble>::default());
        let embedder = Arc::<EmbedderDouble>::default();
        store.create_epoch(Epoch(1), 512).await.unwrap();
        store.activate(Epoch(1)).await.unwrap();
        let (title, headings) = ("Backup".to_owned(), vec!["Retention".to_owned()]);
        let chunk = Chunk { title, headings, ..doubles::chunk("ops/backup.md".parse().unwrap(), text) };
        let dense = embedder.embed_passages(vec![text.to_owned()]).await.unwrap().remove(0);
        let sparse = lexical::passage("", &[], text);
        store.upsert(Epoch(1), vec![Point { chunk, dense, sparse, labels: Vec::new() }]).await.unwrap();
        let body = serde_json::json!({ "version": "v" });
        records.put_if_absent(Kind::Document, "ops/backup.md", body).await.unwrap();
        Retrieve::new(store, records, embedder, Settings::default())
    }

    /// What picks the words of an answer by this nearness.
    fn extractive() -> Arc<dyn Generator> {
        Arc::new(Extractive::comparing(Arc::<EmbedderDouble>::default(), Some(Extractive::FAR_LOCAL)))
    }

    fn question(text: &str) -> Query {
        Query { text: text.to_owned(), top_k: 5, ..Query::default() }
    }

    #[tokio::test]
    async fn a_grounded_answer_cites_the_chunk_byte_for_byte() {
        let (answers, _) = answers("Snapshots are kept").await;
        let answer = answers.answer(question("are snapshots kept")).await.unwrap();
        assert_eq!((answer.status, answer.text.as_str()), (AnswerStatus::Grounded, "Snapshots are kept [1]"));
        let citation = &answer.citations[0];
        assert_eq!((citation.reference, citation.text.as_str()), (1, TEXT));
        assert_eq!((citation.title.as_str(), citation.headings.as_slice()), ("Backup", &["Retention".to_owned()][..]));
        assert_eq!(answer.searched, 1);
    }

    #[tokio::test]
    async fn a_stream_tells_the_passages_first_then_the_text_then_the_whole_answer() {
        let (answers, _) = answers("Snapshots are kept").await;
        for (asked, citations) in [("are snapshots kept", 1), ("who won the football cup", 0)] {
            let events: Vec<_> = answers.stream(question(asked)).map(Result::unwrap).collect().await;
            let [AnswerEvent::Found { id, citations: found, .. }, texts @ .., AnswerEvent::Finished(answer)] = &*events
            else {
                panic!("{events:?}")
            };
            let text = texts.iter().map(|event| match event {
                AnswerEvent::Text(text) => text.as_str(),
                other => panic!("{other:?}"),
            });
            assert_eq!((found.len(), text.collect::<String>()), (citations, answer.text.clone()));
            assert_eq!((answer.id, &answer.citations), (*id, found));
        }
    }

    #[tokio::test]
    async fn a_misspelt_word_is_answered_by_the_word_that_found_the_passage() {
        let answers = over("Vacation is planned in March. The roof is repaired in summer.", extractive()).await;
        let answer = answers.answer(question("vacatoin")).await.unwrap();
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (AnswerStatus::Grounded, "Vacation is planned in March. [1]")
        );
    }

    #[tokio::test]
    async fn a_question_that_only_the_one_before_completes_is_answered_by_both() {
        let answers = over("The gate opens at noon in winter.", extractive()).await;
        let before = Turn { speaker: Speaker::User, text: "When does the gate open?".to_owned() };
        let ask = Ask { history: vec![before], ..Ask::from(question("And the rest?")) };
        let answer = answers.answer(ask).await.unwrap();
        assert_eq!(answer.status, AnswerStatus::Grounded, "{}", answer.text);
    }

    #[tokio::test]
    async fn an_answer_that_was_found_by_words_alone_says_so_and_why() {
        let unpaid =
            |retrieve: Retrieve| retrieve.uncached(Arc::new(OverBudget::default())).searching_by_words(|| true);
        let extractive = Extractive::comparing(Arc::new(OverBudget::default()), Some(Extractive::FAR_LOCAL));
        let search = unpaid(search_of("The gate opens at noon in winter.").await);
        let answers = Answers::new(Arc::new(search), Arc::new(extractive));
        let before = Turn { speaker: Speaker::User, text: "When does the gate open?".to_owned() };
        for (asked, history) in [("When does the gate open?", Vec::new()), ("And the rest?", vec![before])] {
            let answer = answers.answer(Ask { history, ..Ask::from(question(asked)) }).await.unwrap();
            let text = "The gate opens at noon in winter. [1]";
            assert_eq!((answer.status, answer.text.as_str()), (AnswerStatus::Grounded, text), "{asked}");
            assert_eq!(answer.degraded, [Degradation::DenseSkipped]);
            assert_eq!(answer.generation.by.as_deref(), Some(EXTRACTIVE));
            let notice = answer.generation.notice.unwrap();
            assert!(notice.contains("words of the question alone") && notice.contains("budget is spent"), "{notice}");
        }
        let nothing = answers.answer(question("who won the football cup")).await.unwrap_err();
        assert!(matches!(&nothing, AnswerError::Retrieve(error) if error.is_over_budget()), "{nothing}");
    }

    #[tokio::test]
    async fn of_what_only_another_one_is_known_the_refusal_says_so_and_nothing_is_cited() {
        let answers = over("Release 2.5 keeps snapshots for 30 days.", extractive()).await;
        let asked = question("How long does release 2.6 keep snapshots?");
        let events: Vec<_> = answers.stream(asked).map(Result::unwrap).collect().await;
        let [AnswerEvent::Found { citations, .. }, .., AnswerEvent::Finished(answer)] = &*events else {
            panic!("{events:?}")
        };
        assert_eq!((answer.status, citations.len()), (AnswerStatus::Refused, 0));
        assert!(answer.text.starts_with(REFUSAL) && answer.text.contains("release 2.6"), "{}", answer.text);
    }

    #[tokio::test]
    async fn what_a_generator_invents_makes_the_answer_partial() {
        let (answers, _) = answers("Snapshots are kept for ever.").await;
        let answer = answers.answer(question("are snapshots kept")).await.unwrap();
        assert_eq!(answer.status, AnswerStatus::Partial);
    }

    #[tokio::test]
    async fn a_refusal_asks_no_generator_and_says_how_much_was_searched() {
        let (answers, generator) = answers("anything").await;
        let answer = answers.answer(question("who won the football cup")).await.unwrap();
        assert_eq!((answer.status, answer.text.as_str()), (AnswerStatus::Refused, REFUSAL));
        assert!(answer.citations.is_empty());
        assert_eq!((answer.searched, generator.asked.load(Ordering::SeqCst)), (1, 0));
    }

    #[tokio::test]
    async fn a_generator_with_nothing_to_say_is_a_refusal() {
        let (answers, _) = answers(" ").await;
        let answer = answers.answer(question("are snapshots kept")).await.unwrap();
        assert_eq!((answer.status, answer.citations.len()), (AnswerStatus::Refused, 0));
    }
}
