//! What may be shown, and to whom.

use super::*;
use crate::{
    doubles::SetClock,
    ports::{Cache, CacheKey, Changes, Held},
};

#[tokio::test]
async fn a_tenant_finds_its_own_documents_alone_whatever_the_store_looks_at() {
    for told in [true, false] {
        let mut corpus = Corpus::empty().await;
        corpus.retrieve = corpus.retrieve.with_tenants(told);
        for tenant in ["", "acme", "other"] {
            corpus.ingested(tenant, "plan", &[], &format!("backups run nightly {tenant}")).await;
        }
        for tenant in ["", "acme", "other"] {
            let own = ("plan".to_owned(), format!("backups run nightly {tenant}"));
            assert_eq!(corpus.asked(tenant, &[], "when do backups run?").await, [own], "{tenant:?} {told}");
        }
        assert!(corpus.asked("nobody", &[], "when do backups run?").await.is_empty());
    }
}

#[tokio::test]
async fn a_small_tenant_finds_its_own_behind_more_of_others_than_are_ever_looked_at() {
    let mut corpus = Corpus::empty().await;
    corpus.retrieve = corpus.retrieve.with_tenants(true);
    for n in 0..=MAX_DEPTH {
        corpus.ingested("large", &format!("plan-{n}"), &[], "when do backups run").await;
    }
    corpus.ingested("small", "plan", &[], "backups run nightly").await;
    let tenant = "small".to_owned().try_into().unwrap();
    let query =
        Query { text: "when do backups run".to_owned(), mode: Mode::Dense, top_k: 4, tenant, ..Query::default() };
    assert_eq!(found(&corpus.retrieve.retrieve(&query, None).await.unwrap()), ["plan"]);
}

#[tokio::test]
async fn a_filter_finds_what_stands_behind_more_candidates_than_a_leg_has() {
    let corpus = Corpus::empty().await;
    for n in 0..DEPTH * 2 {
        corpus.ingested("", &format!("de-{n:03}"), &[("lang", "de")], "backups run nightly").await;
    }
    corpus.ingested("", "en", &[("lang", "en")], "backups run nightly or never at all in some weeks").await;
    let found = corpus.asked("", &[("lang", "en")], "when do backups run nightly?").await;
    assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["en"]);
    assert!(corpus.asked("", &[("lang", "fr")], "when do backups run nightly?").await.is_empty());
}

#[tokio::test]
async fn a_chunk_without_its_committed_record_is_never_shown() {
    let corpus = Corpus::empty().await;
    corpus.store("plan", "old", "snapshots are kept nine days").await;
    corpus.store("plan", "new", "snapshots are kept seven days").await;
    corpus.store("draft", "v", "snapshots are kept for ever").await;
    corpus.commit("plan", "new").await;
    let retrieved = corpus.ask("how long are snapshots kept", Mode::Hybrid, 5).await;
    let texts: Vec<_> = retrieved.passages.iter().map(|passage| passage.chunk.text.as_str()).collect();
    assert_eq!(texts, ["snapshots are kept seven days"]);
}

#[tokio::test]
async fn every_hit_is_checked_and_not_the_first_alone() {
    let corpus = Corpus::empty().await;
    for (document, text) in [
        ("first", "how long daily snapshots are kept"),
        ("second", "how long daily snapshots are kept somewhere else"),
        ("third", "how long daily snapshots are kept in all of these other places"),
    ] {
        corpus.store(document, "v", text).await;
    }
    corpus.commit("first", "v").await;
    corpus.commit("third", "v").await;
    for mode in [Mode::Hybrid, Mode::Dense, Mode::Lexical] {
        let retrieved = corpus.ask("how long are daily snapshots kept", mode, 5).await;
        assert_eq!(found(&retrieved), ["first", "third"], "{mode:?}");
    }
}

#[tokio::test]
async fn a_crowd_of_uncommitted_chunks_does_not_hide_the_committed_ones() {
    let corpus = Corpus::empty().await;
    for number in 0..300 {
        corpus.store(&format!("draft-{number}"), "v", "snapshots are kept for days").await;
    }
    corpus.store("plan", "v", "snapshots are kept seven days and then some more").await;
    corpus.commit("plan", "v").await;
    let retrieved = corpus.ask("how long are snapshots kept for days", Mode::Hybrid, 5).await;
    assert_eq!(found(&retrieved), ["plan"]);
}

/// A corpus of one document that stands for good and one that expires then.
async fn expiring(at: jiff::Timestamp) -> (Corpus, Arc<SetClock>) {
    let (mut corpus, clock) = (Corpus::empty().await, Arc::<SetClock>::default());
    corpus.retrieve = corpus.retrieve.timed_by(Arc::clone(&clock) as _);
    corpus.store("plan", "v", "snapshots are kept seven days").await;
    corpus.store("offer", "v", "snapshots are kept seven days for the price of one").await;
    corpus.commit("plan", "v").await;
    let body = serde_json::json!({ "id": "offer", "version": "v", "expires_at": at });
    corpus.records.put_if_absent(Kind::Document, "offer", body).await.unwrap();
    (corpus, clock)
}

#[tokio::test]
async fn a_document_is_found_until_its_second_comes_and_not_from_then_on() {
    let at = "2026-11-21T09:00:00Z".parse().unwrap();
    let (corpus, clock) = expiring(at).await;
    for (seconds, offered) in [(3599, true), (1, false), (1, false)] {
        clock.advance(jiff::SignedDuration::from_secs(seconds));
        for mode in [Mode::Hybrid, Mode::Dense, Mode::Lexical] {
            let retrieved = corpus.ask("how long are snapshots kept", mode, 5).await;
            let names = found(&retrieved);
            assert_eq!((names.contains(&"offer"), names.contains(&"plan")), (offered, true), "{mode:?} {seconds}");
            assert_eq!(retrieved.until, offered.then_some(at));
        }
    }
}

#[tokio::test]
async fn what_is_remembered_is_not_shown_beyond_the_time_of_its_documents() {
    /// A cache that forgets nothing.
    #[derive(Default)]
    struct Lasting(std::sync::Mutex<std::collections::HashMap<CacheKey, Arc<[u8]>>>);

    #[async_trait::async_trait]
    impl Cache for Lasting {
        async fn get(&self, key: &CacheKey) -> Option<Arc<[u8]>> {
            self.0.lock().unwrap().get(key).cloned()
        }

        async fn put(&self, key: CacheKey, value: Arc<[u8]>) {
            self.0.lock().unwrap().insert(key, value);
        }

        async fn held(&self) -> Held {
            Held { entries: 0, bytes: 0 }
        }
    }

    let (mut corpus, clock) = expiring("2026-11-21T09:00:00Z".parse().unwrap()).await;
    let memory = Memory::new(Arc::<Lasting>::default(), Changes::alone(), Vec::new());
    corpus.retrieve = corpus.retrieve.remembering(memory);
    for (seconds, cached, offered) in
        [(0, false, true), (3599, true, true), (1, false, false), (0, true, false), (100_000, true, false)]
    {
        clock.advance(jiff::SignedDuration::from_secs(seconds));
        let retrieved = corpus.ask("how long are snapshots kept", Mode::Hybrid, 5).await;
        let is_offered = found(&retrieved).contains(&"offer");
        assert_eq!((retrieved.explanation.cached, is_offered), (cached, offered), "{seconds}");
    }
}
