//! The built-in embedder, with its real model.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use futures::FutureExt as _;
use rag_server::{
    adapters::minilm::{MiniLm, folder},
    ports::{EmbedError, Embedder},
};

fn model_folder() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join("model");
    folder(Some(&root)).unwrap_or_else(|e| panic!("{e}"))
}

/// One for all tests: it is meant to be shared.
pub(crate) fn embedder() -> Arc<MiniLm> {
    static EMBEDDER: OnceLock<Arc<MiniLm>> = OnceLock::new();
    let load = || Arc::new(MiniLm::load(&model_folder()).unwrap_or_else(|e| panic!("{e}")));
    Arc::clone(EMBEDDER.get_or_init(load))
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test]
async fn vectors_have_the_models_dimension_and_length_one() {
    let embedder = embedder();
    assert_eq!((embedder.model().name.as_str(), embedder.model().dimension), ("all-MiniLM-L6-v2", 384));
    let vector = embedder.embed_query("how long are backups kept?").await.unwrap();
    assert_eq!(vector.len(), 384);
    assert!((cosine(&vector, &vector) - 1.0).abs() < 1e-5);
}

#[tokio::test]
async fn cosines_are_those_of_the_reference_implementation() {
    // Of the original fp32 weights with mean pooling.
    let references = [
        ("how long are backups kept?", "Backups are kept for 30 days and then deleted.", 0.8415),
        ("how long are backups kept?", "Bananas are rich in potassium.", -0.0454),
        ("The cat sits outside", "A man is playing guitar", 0.0363),
        ("The new movie is awesome", "The new movie is so great", 0.8939),
        ("restore a cluster from a snapshot", "Recovery of a deployment out of an archive", 0.4354),
    ];
    for (a, b, expected) in references {
        let (a, b) = (embedder().embed_query(a).await.unwrap(), embedder().embed_query(b).await.unwrap());
        let found = cosine(&a, &b);
        assert!((found - expected).abs() < 0.03, "{found} is not {expected}");
    }
}

#[tokio::test]
async fn a_question_is_closest_to_the_passage_that_answers_it() {
    let passages = texts(&[
        "Backups are kept for 30 days and then deleted.",
        "The operator rolls a revision back when a golden query fails.",
        "Bananas are rich in potassium.",
    ]);
    let vectors = embedder().embed_passages(passages).await.unwrap();
    let question = embedder().embed_query("what is the retention of backups?").await.unwrap();
    let scores: Vec<f32> = vectors.iter().map(|vector| cosine(&question, vector)).collect();
    assert!(scores[0] > 0.5 && scores[0] > scores[1] && scores[1] > scores[2], "{scores:?}");
}

#[tokio::test]
async fn the_same_text_alone_gives_the_same_vector() {
    let one = MiniLm::load(&model_folder()).unwrap();
    let first = one.embed_query("deterministic").await.unwrap();
    assert_eq!(one.embed_query("deterministic").await.unwrap(), first);
    assert_eq!(one.embed_passages(texts(&["deterministic"])).await.unwrap(), [first]);
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_that_share_a_batch_are_what_they_are_alone() {
    let questions: Vec<String> =
        (0..64).map(|n| format!("question {n} about {}", "backups and restores ".repeat(n % 7))).collect();
    let together = questions.iter().map(|question| {
        let question = question.clone();
        tokio::spawn(async move { embedder().embed_query(&question).await.unwrap() })
    });
    let mut batched = Vec::new();
    for task in together.collect::<Vec<_>>() {
        batched.push(task.await.unwrap());
    }
    for (question, batched) in questions.iter().zip(batched) {
        let alone = embedder().embed_query(question).await.unwrap();
        assert!(cosine(&alone, &batched) > 0.999, "{question}: {}", cosine(&alone, &batched));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passages_come_back_in_their_order_whatever_their_length() {
    let passages: Vec<String> = (0..40).map(|n| format!("number {n} {}", "word ".repeat((n * 37) % 90))).collect();
    let vectors = embedder().embed_passages(passages.clone()).await.unwrap();
    assert_eq!(vectors.len(), passages.len());
    for (passage, vector) in passages.into_iter().zip(vectors) {
        let alone = embedder().embed_passages(vec![passage]).await.unwrap();
        assert!(cosine(&alone[0], &vector) > 0.9999);
    }
}

#[tokio::test]
async fn a_text_beyond_the_limit_is_cut_and_not_refused() {
    let embedder = embedder();
    let long = "retention of backups ".repeat(3_400);
    assert_eq!(embedder.count_tokens(&long), 13_600);
    let kept = "retention of backups ".repeat(200);
    let (long, kept) = (embedder.embed_query(&long).await.unwrap(), embedder.embed_query(&kept).await.unwrap());
    assert_eq!(long, kept);
    assert_eq!(embedder.max_tokens(), 254);
}

#[tokio::test]
async fn odd_texts_have_vectors_too() {
    let odd = [
        "",
        " \n\t",
        "\0\u{1}",
        "👩‍👩‍👧‍👦",
        "日本語のテキスト",
        "\u{202e}abc\u{feff}",
        "[SEP] [CLS] [PAD]",
        &"x".repeat(100_000),
        "e\u{301}",
    ];
    for text in odd {
        let vector = embedder().embed_query(text).await.unwrap();
        assert!(vector.iter().all(|x| x.is_finite()) && (cosine(&vector, &vector) - 1.0).abs() < 1e-5, "{text:?}");
    }
    assert_eq!(embedder().embed_passages(vec![]).await.unwrap(), Vec::<Vec<f32>>::new());
    assert_eq!(embedder().count_tokens(""), 0);
}

#[tokio::test]
async fn accents_and_case_do_not_change_a_vector() {
    let plain = embedder().embed_query("resume of the cafe").await.unwrap();
    let accented = embedder().embed_query("Résumé of the CAFÉ").await.unwrap();
    assert_eq!(plain, accented);
}

#[tokio::test]
async fn more_questions_than_the_queue_holds_are_turned_away_until_there_is_room() {
    let embedder = MiniLm::load(&model_folder()).unwrap();
    let long = "a question that takes its time ".repeat(60);
    let mut asked = Vec::new();
    let refused = loop {
        let mut question = Box::pin(embedder.embed_query(&long));
        // One poll queues it, or not.
        match question.as_mut().now_or_never() {
            Some(Err(refused)) => break refused,
            Some(Ok(_)) => {}
            None => asked.push(question),
        }
        assert!(asked.len() < 100_000, "the queue has no end");
    };
    assert_eq!(refused, EmbedError::Overloaded);
    assert!(asked.len() >= 256, "refused after {}", asked.len());
    // Whoever gives up makes room.
    drop(asked);
    embedder.embed_query("short").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_while_passages_are_embedded() {
    let many: Vec<String> = (0..64).map(|n| format!("passage {n} {}", "word ".repeat(200))).collect();
    let ingestion = tokio::spawn(async move { embedder().embed_passages(many).await.unwrap().len() });
    for n in 0..5 {
        embedder().embed_query(&format!("question {n}")).await.unwrap();
    }
    assert!(!ingestion.is_finished(), "the passages were done before five questions");
    assert_eq!(ingestion.await.unwrap(), 64);
}
