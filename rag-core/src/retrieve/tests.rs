mod languages;
mod pressure;
mod unembedded;
mod visibility;
mod words;

use std::time::Duration;

use super::{
    degrade::RERANK_NEEDS,
    hybrid::{DEPTH, MAX_DEPTH, to_read},
    *,
};
use rand::{Rng as _, SeedableRng as _};

use crate::{
    doubles::{EmbedderDouble, RecordsDouble, StoreDouble},
    lexical,
    model::{Chunk, ChunkId, ContentHash, DocumentId, Filter, Point, Tenant},
    ports::{Epoch, Kind, RerankError},
};

struct Corpus {
    store: Arc<StoreDouble>,
    records: Arc<RecordsDouble>,
    embedder: Arc<EmbedderDouble>,
    retrieve: Retrieve,
}

impl Corpus {
    async fn empty() -> Self {
        let store = Arc::<StoreDouble>::default();
        let records = Arc::<RecordsDouble>::default();
        let embedder = Arc::<EmbedderDouble>::default();
        store.create_epoch(Epoch(1), 512).await.unwrap();
        store.activate(Epoch(1)).await.unwrap();
        let parts = (Arc::clone(&store), Arc::clone(&records), Arc::clone(&embedder));
        let retrieve = Retrieve::new(parts.0, parts.1, parts.2, Settings::default());
        Self { store, records, embedder, retrieve }
    }

    /// Stores a chunk without committing it.
    async fn store(&self, document: &str, version: &str, text: &str) {
        self.part(document, version, 0, text).await;
    }

    /// Stores one of several chunks without committing it.
    async fn part(&self, document: &str, version: &str, ordinal: u32, text: &str) {
        let (document, version): (DocumentId, _) = (document.parse().unwrap(), ContentHash(version.to_owned()));
        let id = ChunkId::new(&document, &version, ordinal);
        let (title, headings) = (String::new(), Vec::new());
        let chunk = Chunk { id, document, version, ordinal, title, headings, text: text.to_owned() };
        let dense = self.embedder.embed_passages(vec![text.to_owned()]).await.unwrap().remove(0);
        let sparse = lexical::passage("", &[], text);
        self.store.upsert(Epoch(1), vec![Point { chunk, dense, sparse, labels: Vec::new() }]).await.unwrap();
    }

    /// Stores and commits a document of a tenant with metadata.
    async fn ingested(&self, tenant: &str, document: &str, metadata: &[(&str, &str)], text: &str) {
        let tenant: Tenant = tenant.to_owned().try_into().unwrap();
        let document = document.parse::<DocumentId>().unwrap().of(&tenant);
        let version = ContentHash("v".to_owned());
        let metadata: std::collections::BTreeMap<String, String> =
            metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let body = serde_json::json!({ "id": document, "version": version, "metadata": metadata });
        self.records.put_if_absent(Kind::Document, document.key(), body).await.unwrap();
        let dense = self.embedder.embed_query(text).await.unwrap();
        let (sparse, labels) = (lexical::passage("", &[], text), Filter::labels(&metadata));
        let id = ChunkId::new(&document, &version, 0);
        let (title, headings, text) = (String::new(), Vec::new(), text.to_owned());
        let chunk = Chunk { id, document, version, ordinal: 0, title, headings, text };
        self.store.upsert(Epoch(1), vec![Point { chunk, dense, sparse, labels }]).await.unwrap();
    }

    /// Names and texts of what a tenant finds.
    async fn asked(&self, tenant: &str, filter: &[(&str, &str)], text: &str) -> Vec<(String, String)> {
        let filter = filter.iter().map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()])).collect();
        let tenant = tenant.to_owned().try_into().unwrap();
        let query = Query { text: text.to_owned(), top_k: 4, tenant, filter: Filter(filter), ..Query::default() };
        let found = self.retrieve.retrieve(&query, None).await.unwrap();
        found.passages.into_iter().map(|found| (found.chunk.document.to_string(), found.chunk.text)).collect()
    }

    async fn commit(&self, document: &str, version: &str) {
        let body = serde_json::json!({ "id": document, "version": version });
        self.records.put_if_absent(Kind::Document, document, body).await.unwrap();
    }

    async fn hurry(&self, text: &str, left: Duration) -> Retrieved {
        let query = Query { text: text.to_owned(), top_k: 4, ..Query::default() };
        self.retrieve.retrieve(&query, Some(Deadline::after(left))).await.unwrap()
    }

    async fn ask(&self, text: &str, mode: Mode, top_k: usize) -> Retrieved {
        self.retrieve.retrieve(&Query { text: text.to_owned(), mode, top_k, ..Query::default() }, None).await.unwrap()
    }
}

struct RerankerDouble(Result<&'static str, RerankError>);

#[async_trait::async_trait]
impl Reranker for RerankerDouble {
    async fn rerank(&self, _: &str, texts: &[&str]) -> Result<Vec<f32>, RerankError> {
        let word = self.0.clone()?;
        Ok(texts.iter().map(|text| if text.contains(word) { 1.0 } else { 0.0 }).collect())
    }
}

async fn retention() -> Corpus {
    let corpus = Corpus::empty().await;
    for (document, text) in [
        ("backup", "daily snapshots are kept seven days"),
        ("weekly", "weekly snapshots are stored for five long weeks"),
        ("other", "snapshots of monthly schedules are kept longest of all by far"),
        ("legal", "kept snapshots are audited by the legal department every single year"),
    ] {
        corpus.store(document, "v", text).await;
        corpus.commit(document, "v").await;
    }
    corpus
}

fn found(retrieved: &Retrieved) -> Vec<&str> {
    retrieved.passages.iter().map(|passage| passage.chunk.document.as_str()).collect()
}

#[tokio::test]
async fn the_passage_about_the_question_comes_first_in_every_mode() {
    let corpus = Corpus::empty().await;
    for (document, text) in [("backup", "daily snapshots are kept seven days"), ("zoo", "lions sleep all day")] {
        corpus.store(document, "v", text).await;
        corpus.commit(document, "v").await;
    }
    for mode in [Mode::Hybrid, Mode::Dense, Mode::Lexical] {
        let retrieved = corpus.ask("how long are snapshots kept", mode, 5).await;
        assert_eq!(found(&retrieved)[0], "backup", "{mode:?}");
        assert_eq!(retrieved.searched, 2);
    }
}

#[tokio::test]
async fn nothing_relevant_is_no_passage_in_every_mode() {
    let corpus = Corpus::empty().await;
    corpus.store("backup", "v", "daily snapshots are kept seven days").await;
    corpus.commit("backup", "v").await;
    for mode in [Mode::Hybrid, Mode::Dense, Mode::Lexical] {
        let retrieved = corpus.ask("who won the football cup", mode, 5).await;
        assert_eq!((found(&retrieved), retrieved.evidence), (vec![], Evidence::None), "{mode:?}");
    }
    assert_eq!(found(&Corpus::empty().await.ask("anything", Mode::Hybrid, 5).await), Vec::<&str>::new());
}

#[tokio::test]
async fn the_best_hit_is_not_thrown_away_for_its_high_score() {
    let corpus = retention().await;
    // The question is a passage, word for word: its cosine is 1.
    for mode in [Mode::Hybrid, Mode::Dense] {
        let retrieved = corpus.ask("daily snapshots are kept seven days", mode, 4).await;
        assert_eq!(found(&retrieved)[0], "backup", "{mode:?}");
        assert!(matches!(retrieved.evidence, Evidence::Near(cosine) if cosine.0 > 0.99), "{:?}", retrieved.evidence);
    }
}

#[tokio::test]
async fn a_question_reads_no_more_of_a_larger_corpus() {
    // The first of each leg, and of the ranking what is wanted twice and some more.
    let most = 2 * candidates::HEADS + to_read(5);
    for size in [150, 600] {
        let corpus = Corpus::empty().await;
        for number in 0..size {
            let document = format!("plan-{number}");
            corpus.store(&document, "v", &format!("snapshots of plan {number} are kept seven days")).await;
            corpus.commit(&document, "v").await;
        }
        corpus.ask("how long are snapshots kept", Mode::Hybrid, 5).await;
        let read = (corpus.store.given(), corpus.records.given());
        assert!((5..=most).contains(&read.0) && read.0 == read.1, "{read:?} chunks and records of {size}");
    }
}

#[tokio::test]
async fn a_crowd_of_repetitions_takes_one_place_and_leaves_the_others_to_what_differs() {
    let corpus = Corpus::empty().await;
    for number in 0..45 {
        let document = format!("copy-{number}");
        corpus.store(&document, "v", "snapshots are kept for days").await;
        corpus.commit(&document, "v").await;
    }
    for number in 0..4 {
        let document = format!("plan-{number}");
        corpus.store(&document, "v", &format!("snapshots of plan {number} are kept seven days")).await;
        corpus.commit(&document, "v").await;
    }
    let retrieved = corpus.ask("how long are snapshots kept for days", Mode::Hybrid, 5).await;
    let plans = found(&retrieved).iter().filter(|name| name.starts_with("plan-")).count();
    assert_eq!((retrieved.passages.len(), plans), (5, 4));
}

#[tokio::test]
async fn a_template_with_another_name_takes_one_or_two_places_and_the_exception_one() {
    // Fewer and more than are read at first.
    for sheets in [12, 40, 90] {
        let mut corpus = Corpus::empty().await;
        for n in 0..sheets {
            let document = format!("inv-{n:03}");
            let text = format!(
                "# Supplier {n:03}\n\nInvoice terms. Invoices are paid within thirty days of receipt by bank transfer, and a reminder follows after ten more days."
            );
            corpus.store(&document, "v", &text).await;
            corpus.commit(&document, "v").await;
        }
        for n in 0..8 {
            corpus.store(&format!("filler-{n}"), "v", &format!("The canteen of hall {n} closes at two.")).await;
            corpus.commit(&format!("filler-{n}"), "v").await;
        }
        let exempt = "Invoices of the supplier Nordlys are exempt: they are paid on the day of receipt by cheque.";
        corpus.store("policy", "v", exempt).await;
        corpus.commit("policy", "v").await;
        let question = "When are invoices paid?";
        for mode in [Mode::Hybrid, Mode::Dense, Mode::Lexical] {
            let retrieved = corpus.ask(question, mode, 10).await;
            let names = found(&retrieved);
            assert!(names[..2].contains(&"policy"), "{mode:?} of {sheets}: {names:?}");
            // Of the legs that find what shares no word there is enough else.
            let copies = names.iter().filter(|name| name.starts_with("inv-")).count();
            assert!(copies == 2 || mode == Mode::Lexical, "{mode:?} of {sheets}: {names:?}");
        }
        let named = corpus.ask("When are invoices of supplier 007 paid?", Mode::Hybrid, 10).await;
        assert!(found(&named)[0] == "inv-007" && found(&named)[..4].contains(&"policy"), "{:?}", found(&named));
        corpus.retrieve = corpus.retrieve.reranking(Arc::new(RerankerDouble(Ok("Invoices"))), 30);
        let reranked = corpus.ask(question, Mode::Hybrid, 10).await;
        assert!(found(&reranked).contains(&"policy"), "{:?}", found(&reranked));
    }
}

/// Texts of a few words, so that many are alike; a document has several of them.
fn alike(seed: u64) -> impl Iterator<Item = (String, u32, String)> {
    const WORDS: [&str; 12] = [
        "snapshots",
        "daily",
        "kept",
        "seven",
        "days",
        "weekly",
        "restored",
        "copied",
        "by",
        "nobody",
        "keepers",
        "long",
    ];
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    (0..160_u32).map(move |n| {
        let words: Vec<&str> = (0..random.random_range(4..9)).map(|_| WORDS[random.random_range(0..12)]).collect();
        (format!("d{}", random.random_range(0..60)), n, words.join(" "))
    })
}

#[tokio::test]
async fn the_first_passages_are_the_same_however_many_are_asked_for() {
    for seed in 0..4 {
        let corpus = Corpus::empty().await;
        let mut documents = std::collections::BTreeSet::new();
        for (document, ordinal, text) in alike(seed) {
            corpus.part(&document, "v", ordinal, &text).await;
            documents.insert(document);
        }
        for document in documents {
            corpus.commit(&document, "v").await;
        }
        for mode in [Mode::Hybrid, Mode::Dense, Mode::Lexical] {
            let all = corpus.ask(QUESTION, mode, 50).await;
            for top_k in [1, 2, 3, 5, 8, 10, 20] {
                let few = corpus.ask(QUESTION, mode, top_k).await;
                assert_eq!(few.passages.len(), top_k);
                assert_eq!(few.passages, all.passages[..top_k], "{mode:?}, {top_k} of seed {seed}");
            }
        }
    }
}

#[tokio::test]
async fn a_store_that_fails_is_an_error_and_not_an_empty_result() {
    let query = Query { text: "anything".to_owned(), top_k: 5, ..Query::default() };
    let corpus = Corpus::empty().await;
    corpus.store("plan", "v", "anything").await;
    corpus.records.fail();
    assert!(matches!(corpus.retrieve.retrieve(&query, None).await, Err(RetrieveError::Records(_))));
    corpus.store.fail();
    assert!(matches!(corpus.retrieve.retrieve(&query, None).await, Err(RetrieveError::Search(_))));
}

#[tokio::test]
async fn how_many_chunks_were_searched_is_told_from_the_first_question_on() {
    let corpus = retention().await;
    assert_eq!(corpus.ask(QUESTION, Mode::Hybrid, 2).await.searched, 4);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_an_error_with_its_name() {
    let corpus = Corpus::empty().await;
    corpus.store("plan", "v", "anything").await;
    corpus.records.put_if_absent(Kind::Document, "plan", serde_json::json!("nonsense")).await.unwrap();
    let query = Query { text: "anything".to_owned(), top_k: 5, ..Query::default() };
    let error = corpus.retrieve.retrieve(&query, None).await.unwrap_err();
    assert!(error.to_string().contains("plan"), "{error}");
}

const QUESTION: &str = "how long are daily snapshots kept";
