//! What an answer is made of, from questions and passages as they come.

use super::*;
use crate::{
    doubles,
    generate::cite,
    model::{AnswerStatus, Chunk},
    ports::{EmbedError, GAP, ModelIdentity},
};

pub(super) fn passage(headings: &[&str], text: &str, score: f32) -> Passage {
    let headings = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let chunk = doubles::chunk("d".parse().unwrap(), text);
    Passage { chunk: Chunk { title: "Handbook".to_owned(), headings, ..chunk }, score }
}

/// The answer with its status, by words alone.
async fn answer(question: &str, passages: &[Passage]) -> (AnswerStatus, String) {
    answered(&Extractive::default(), question, passages).await
}

async fn answered(generator: &Extractive, question: &str, passages: &[Passage]) -> (AnswerStatus, String) {
    let draft = generator.generate(question, passages, Duration::from_secs(30)).await.unwrap();
    let cited = cite::cite(&draft, passages);
    let missing = cite::not_found(&draft.missing).unwrap_or_default();
    (cited.status, if cited.text.is_empty() { missing } else { cited.text })
}

/// The word of a model that never answers.
const NEVER: &str = "never";

/// Takes texts that hold a word for near to every question, and all others for far.
struct Nearness {
    model: ModelIdentity,
    word: &'static str,
}

#[async_trait]
impl Embedder for Nearness {
    fn model(&self) -> &ModelIdentity {
        &self.model
    }

    fn count_tokens(&self, text: &str) -> usize {
        text.len()
    }

    fn max_tokens(&self) -> usize {
        254
    }

    async fn embed_query(&self, _: &str) -> Result<Vec<f32>, EmbedError> {
        Ok(vec![1.0, 0.0])
    }

    async fn embed_passages(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        if self.word == NEVER {
            std::future::pending::<()>().await;
        }
        let vector = |text: &String| if text.contains(self.word) { vec![1.0, 0.0] } else { vec![0.0, 1.0] };
        Ok(texts.iter().map(vector).collect())
    }
}

/// Compares by this nearness.
fn comparing(word: &'static str) -> Extractive {
    let model = ModelIdentity { name: "nearness".to_owned(), dimension: 2 };
    Extractive::comparing(Arc::new(Nearness { model, word }), Some(Extractive::FAR_LOCAL))
}

/// The documents of a case, each a passage, the ones named first ranked first.
fn documents(json: &str, ranking: &[&str]) -> Vec<Passage> {
    let case: serde_json::Value = serde_json::from_str(json).unwrap();
    let documents = case["documents"].as_array().unwrap();
    let rank = |id: &str| ranking.iter().position(|first| *first == id).unwrap_or(ranking.len());
    let mut found: Vec<_> =
        documents.iter().map(|d| (d["id"].as_str().unwrap(), d["text"].as_str().unwrap())).collect();
    found.sort_by_key(|(id, _)| rank(id));
    found.into_iter().enumerate().map(|(at, (_, text))| passage(&[], text, 1.0 - at as f32 * 0.03)).collect()
}

const GROUNDED: AnswerStatus = AnswerStatus::Grounded;

#[tokio::test]
async fn the_sentence_that_shares_the_telling_words_is_chosen() {
    let text = "The handbook describes snapshots. Every snapshot is encrypted with age. Snapshots may be large.";
    let found = answer("How is a snapshot encrypted?", &[passage(&[], text, 1.0)]).await;
    assert_eq!(found, (GROUNDED, "Every snapshot is encrypted with age. [1]".to_owned()));
}

#[tokio::test]
async fn a_heading_lends_its_words_to_the_sentences_below() {
    let passages = [
        passage(&["Retention of snapshots"], "Daily ones stay 7 days.", 0.9),
        passage(&["Weather"], "Rain stays for days.", 1.0),
    ];
    assert!(
        answer("How many days are snapshots retained?", &passages).await.1.starts_with("Daily ones stay 7 days. [1]")
    );
}

#[tokio::test]
async fn a_sentence_that_says_it_in_other_words_is_found_by_its_meaning() {
    let text = "The gate is painted green. Visitors come in from six in the morning on. The gate is old.";
    let passages = [passage(&[], text, 1.0)];
    let (_, by_words) = answer("When does the gate open?", &passages).await;
    assert!(by_words.starts_with("The gate is painted green."), "{by_words}");
    let (_, found) = answered(&comparing("Visitors"), "When does the gate open?", &passages).await;
    assert_eq!(found, "Visitors come in from six in the morning on. [1]");
}

#[tokio::test]
async fn what_shares_hardly_a_word_and_is_far_in_meaning_is_no_answer() {
    let passages = [passage(&[], "Paint is stored in the shed. Bicycles stand behind the hall.", 1.0)];
    let question = "Which licence fee does the enterprise edition of the shed have?";
    let (status, _) = answered(&comparing("nothing"), question, &passages).await;
    assert_eq!(status, AnswerStatus::Refused);
    let (status, _) = answered(&comparing("Paint"), question, &passages).await;
    assert_eq!(status, GROUNDED);
}

#[tokio::test]
async fn a_repetition_is_not_chosen_twice() {
    let passages =
        [passage(&[], "Snapshots are kept seven days.", 1.0), passage(&[], "Snapshots are kept for seven days.", 0.9)];
    assert_eq!(answer("How long are snapshots kept?", &passages).await.1, "Snapshots are kept seven days. [1]");
}

#[tokio::test]
async fn a_question_without_any_known_word_takes_the_beginning_of_the_best_passage() {
    let passages = [passage(&[], "First of all. Second of all.", 1.0), passage(&[], "Third.", 0.2)];
    assert!(answer("???", &passages).await.1.starts_with("First of all."));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_does_not_answer_in_time_leaves_it_to_the_words_for_this_time() {
    let passages = [passage(&[], "The depot opens at 6. The canteen opens at noon.", 1.0)];
    for left in [Duration::from_secs(30), Duration::from_millis(500)] {
        let began = tokio::time::Instant::now();
        let draft = comparing(NEVER).generate("When does the canteen open?", &passages, left).await.unwrap();
        assert!(draft.sentences.iter().any(|sentence| sentence.text == "The canteen opens at noon."));
        assert!(draft.is_makeshift && began.elapsed() < left, "{:?}", began.elapsed());
    }
    let draft = comparing("canteen").generate("When does the canteen open?", &passages, Duration::from_secs(30)).await;
    assert!(!draft.unwrap().is_makeshift);
}

#[tokio::test]
async fn a_line_about_another_one_is_in_no_list_that_is_quoted() {
    let text = "Formats:\n\n- Release 2.5: Markdown and HTML\n- Release 2.6: Markdown, HTML and PDF\n";
    for question in ["Which formats does release 2.6 read?", "Which formats are read in release 2.6?"] {
        let (_, found) = answer(question, &[passage(&[], text, 1.0)]).await;
        assert!(found.contains("Release 2.6") && !found.contains("Release 2.5"), "{found}");
    }
}

#[tokio::test]
async fn the_sentence_that_repeats_the_question_does_not_win() {
    for text in [
        "What does ERR_4711 mean? The disk is full: free some space.",
        "What does ERR_4711 mean?\n\nThe disk is full: free some space.",
        "## What does ERR_4711 mean?\n\nThe disk is full: free some space.",
        "This section says what ERR_4711 means. It means that the disk is full: free some space.",
    ] {
        let (status, found) = answer("What does ERR_4711 mean?", &[passage(&[], text, 1.0)]).await;
        assert!(status == GROUNDED && found.to_lowercase().contains("the disk is full"), "{text}: {found}");
        assert!(!found.contains("What does"), "{found}");
    }
}

#[tokio::test]
async fn a_sentence_that_leans_on_the_one_before_comes_with_it() {
    let text = "Weekly snapshots are kept 5 weeks. The bucket is in town. Daily snapshots are checked on Sunday. However, they are kept 7 days only.";
    let (_, found) = answer("How long are they kept however?", &[passage(&[], text, 1.0)]).await;
    assert!(found.contains("Daily snapshots are checked on Sunday. However, they are kept 7 days only."), "{found}");
}

// Inputs of public reports about such services, each with what was wrong: the beginning of a long piece, whatever held the answer.

#[tokio::test]
async fn speech_transcript_without_punctuation() {
    let text = include_str!("../../../../rag-server/tests/cases/transcript.txt");
    let (status, found) = answer("Where is the spare boiler key kept?", &[passage(&[], text, 1.0)]).await;
    assert!(status == GROUNDED && found.contains("cabinet forty two") && found.len() < 400, "{found}");
    let german = format!(
        "{0}der ersatzschlüssel für den kessel liegt in schrank zweiundvierzig hinter dem klavier {0}",
        "und dann sprachen wir über das mittagessen ".repeat(30)
    );
    let (_, found) = answer("Wo liegt der Ersatzschlüssel für den Kessel?", &[passage(&[], &german, 1.0)]).await;
    assert!(found.contains("schrank zweiundvierzig") && found.len() < 400, "{found}");
}

#[tokio::test]
async fn wide_csv_row_price_asked() {
    let description = "lorem ipsum ".repeat(300);
    let row = format!(
        "sku: ZX-4410; description: {description}; price: 73.15 EUR; warehouse: Odense\nsku: ZX-4411; description: short; price: 9.99 EUR; warehouse: Aarhus"
    );
    let (status, found) = answer("What is the price of ZX-4410?", &[passage(&[], &row, 1.0)]).await;
    assert_eq!((status, found.as_str()), (GROUNDED, "sku: ZX-4410 … price: 73.15 EUR … [1]"));
}

#[tokio::test]
async fn rows_of_an_html_table_run_together() {
    let small = "Zone | Adult | Child\nZone North | 30 kr | 15 kr\nZone South | 37 kr | 18 kr\nZone East | 44 kr | 21 kr\nZone West | 51 kr | 24 kr";
    let (status, found) = answer("What is the adult fare in zone East?", &[passage(&["Fares"], small, 1.0)]).await;
    assert_eq!((status, found.as_str()), (GROUNDED, "Zone | Adult | Child\nZone East | 44 kr | 21 kr\n[1]"));
    let rows: String = (99..123).map(|n| format!("Station {n} | {} | {} | {}\n", n % 50, n % 90, n % 70)).collect();
    let long = format!("Station | Pumps | Operators | Depth in metres\n{rows}");
    let (_, found) = answer("How deep is station 117 in metres?", &[passage(&["Stations"], &long, 1.0)]).await;
    assert_eq!(found, "Station | Pumps | Operators | Depth in metres\nStation 117 | 17 | 27 | 47\n[1]");
    let markdown = "| Zone | Adult |\n| --- | --- |\n| Zone East | 44 kr |\n| Zone West | 51 kr |";
    let (_, found) = answer("What is the adult fare in zone East?", &[passage(&["Fares"], markdown, 1.0)]).await;
    assert_eq!(found, "| Zone | Adult |\n| --- | --- |\n| Zone East | 44 kr |\n[1]");
}

#[tokio::test]
async fn a_block_of_code_is_answered_with_its_lines() {
    let text = "Enable the module like this:\n\n```sh\nmodprobe zram num_devices=4\n  echo lz4 > /sys/block/zram0/comp_algorithm\n```\n\nIt may be removed later.";
    let (status, found) = answer("How do I enable the zram module?", &[passage(&["zram"], text, 1.0)]).await;
    assert!(
        status == GROUNDED
            && found.contains("Enable the module like this:\n```\nmodprobe zram num_devices=4\n  echo lz4 >"),
        "{found}"
    );
}

#[tokio::test]
async fn a_list_that_is_asked_for_is_answered_as_a_whole() {
    let text = "These file formats can be ingested:\n\n- Markdown\n- HTML\n- PDF\n\nOthers fail.";
    let (_, found) = answer("Which file formats can I ingest?", &[passage(&[], text, 1.0)]).await;
    assert!(found.contains("These file formats can be ingested:\n- Markdown\n- HTML\n- PDF"), "{found}");
    let cell = "byte for byte; headings stand beside each chunk, code and tables stay whole where they fit, and so on for a while until it is long enough to be cut";
    let rows: String = ["text", "Markdown", "HTML", "CSV", "DOCX", "PDF"]
        .iter()
        .map(|f| format!("| {f} | `.{f}` | {cell} |\n"))
        .collect();
    let table = format!("## What is read\n\n| format | ends with | how it is read |\n| --- | --- | --- |\n{rows}");
    let (status, found) =
        answer("Which file formats are read?", &[passage(&["Documents", "What is read"], &table, 1.0)]).await;
    assert!(
        status == GROUNDED && ["| text |", "| Markdown |", "| PDF |", GAP].iter().all(|part| found.contains(part)),
        "{found}"
    );
}

// Names that differ by one letter or sign.

const NAMES: &str = include_str!("../../../../rag-server/tests/cases/names.json");
const STYLES: &str = include_str!("../../../../rag-server/tests/cases/styles.json");
const PLANS: &str = include_str!("../../../../rag-server/tests/cases/plans.json");
const RELEASES: &str = include_str!("../../../../rag-server/tests/cases/releases.json");

#[tokio::test]
async fn vitamin_d() {
    for (letter, expected) in [("D", "15 µg"), ("K", "120 µg"), ("C", "90 mg"), ("A", "900 µg")] {
        let (status, found) =
            answer(&format!("How much vitamin {letter} do adults need?"), &documents(NAMES, &[])).await;
        assert!(
            status == GROUNDED && found.contains(expected) && found.matches("Vitamin").count() == 1,
            "{letter}: {found}"
        );
    }
    let (status, found) = answer("How much vitamin E do adults need?", &documents(NAMES, &[])).await;
    assert_eq!((status, found.as_str()), (AnswerStatus::Refused, "No passage that was found names \"vitamin E\"."));
}

#[tokio::test]
async fn c_sharp_c_plus_plus_and_c() {
    for (language, expected) in [("C#", "four spaces"), ("C++", "tabs"), ("C", "eight columns"), ("F#", "two spaces")] {
        for question in [format!("{language} style"), format!("How do I indent in {language}?")] {
            let (status, found) = answer(&question, &documents(STYLES, &[])).await;
            assert!(
                status == GROUNDED && found.contains(expected) && found.matches("style").count() == 1,
                "{question}: {found}"
            );
        }
    }
    assert_eq!(answer("J# style", &documents(STYLES, &[])).await.0, AnswerStatus::Refused);
}

#[tokio::test]
async fn negation() {
    for ranking in [["a.md", "b.md"], ["b.md", "a.md"]] {
        let (_, found) = answer("Which plan includes backups?", &documents(PLANS, &ranking)).await;
        assert!(found.starts_with("The Pro plan includes backups"), "{found}");
    }
    let german = [passage(
        &[],
        "Der Tarif Basis enthält keine Sicherungen. Der Tarif Plus enthält Sicherungen und Hilfe am Telefon.",
        1.0,
    )];
    let (_, found) = answer("Welcher Tarif enthält Sicherungen?", &german).await;
    assert!(found.contains("Der Tarif Plus") && !found.starts_with("Der Tarif Basis"), "{found}");
    let (_, found) = answer("Does the Basic plan include backups?", &documents(PLANS, &[])).await;
    assert!(found.contains("does not include backups"), "whether it does is answered by a denial, too: {found}");
}

// What is not there is not answered with its neighbours.

#[tokio::test]
async fn release_2_6_of_2_4_2_5_2_40() {
    let (status, found) = answer("default timeout in release 2.6", &documents(RELEASES, &[])).await;
    assert_eq!((status, found.as_str()), (AnswerStatus::Refused, "No passage that was found names \"release 2.6\"."));
    for (release, expected) in [("2.4", "30 seconds"), ("2.5", "45 seconds"), ("2.40", "90 seconds")] {
        let (status, found) = answer(&format!("default timeout in release {release}"), &documents(RELEASES, &[])).await;
        assert!(
            status == GROUNDED && found.contains(expected) && found.matches("Release").count() == 1,
            "{release}: {found}"
        );
    }
    let (status, found) = answer("What changed between release 2.5 and release 2.6?", &documents(RELEASES, &[])).await;
    assert!(
        status == AnswerStatus::Partial && found.starts_with("No passage that was found names \"release 2.6\"."),
        "{found}"
    );
    assert!(found.contains("45 seconds") && !found.contains("30 seconds"), "{found}");
}

#[tokio::test]
async fn neither_codes_nor_appendices_nor_headings_are_answered_with_their_neighbours() {
    for (question, texts) in [
        ("What does ERR_9999 mean?", ["ERR_4711 means that the disk is full.", "ERR_4712 means that it expired."]),
        ("What does Appendix C say?", ["Appendix A lists the tools.", "Appendix B lists the suppliers."]),
        ("What is the weight of ZX-4410?", ["sku: ZX-4411; weight: 3 kg", "sku: ZX-4412; weight: 4 kg"]),
        ("Was sagt Anhang C?", ["Anhang A nennt die Werkzeuge.", "Anhang B nennt die Lieferanten."]),
    ] {
        let passages = texts.map(|text| passage(&[], text, 1.0));
        assert_eq!(answer(question, &passages).await.0, AnswerStatus::Refused, "{question}");
    }
    let passages = [
        passage(&["Release 2.5"], "The default timeout is 45 seconds.", 1.0),
        passage(&["Release 2.6"], "The default timeout is 50 seconds.", 0.9),
    ];
    let (_, found) = answer("default timeout in release 2.6", &passages).await;
    assert_eq!(found, "The default timeout is 50 seconds. [2]");
}

#[tokio::test]
async fn twenty_exact_copies() {
    let passages: Vec<_> = (0..20).map(|_| passage(&[], "Invoices are paid within 30 days.", 1.0)).collect();
    assert_eq!(answer("When are invoices paid?", &passages).await.1, "Invoices are paid within 30 days. [1]");
}

#[tokio::test]
async fn an_answer_is_bounded_whatever_the_passages() {
    let sentence = "A snapshot of the cluster is kept for seven days in the bucket number ";
    let long: String = (0..200).map(|n| format!("{sentence}{n}. ")).collect();
    let code: String = (0..500).map(|n| format!("snapshot_{n} = keep({n})\n")).collect();
    let row = format!("name: snapshot; text: {}", "kept bucket ".repeat(2_000));
    let run = "snapshot kept bucket ".repeat(2_000);
    let wide = format!("{}snapshot | bucket\n{}", "kept name | ".repeat(900), "snapshot bucket | 7 days\n".repeat(3));
    for text in [long, code, row, run, wide, "snapshot".repeat(9_000)] {
        let passages: Vec<_> = (0..9).map(|_| passage(&[], &text, 1.0)).collect();
        let (status, found) = answer("How long is a snapshot kept in the bucket?", &passages).await;
        assert!(status == GROUNDED && found.len() < 1_300, "{} {found}", found.len());
    }
}
