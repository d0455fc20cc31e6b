//! Words as people write them: errors, codes, other forms of the same letters.

use super::*;

#[tokio::test]
async fn a_word_with_a_typing_error_is_asked_for_as_the_corpus_spells_it() {
    let corpus = Corpus::empty().await;
    for (document, text) in [
        ("leave", "Employees may take a sabbatical of three months after five years."),
        ("schlüssel", "Der Schlüssel für den Keller liegt beim Pförtner."),
        ("canteen", "The canteen opens at noon and serves soup on Mondays."),
    ] {
        corpus.ingested("", document, &[], text).await;
    }
    for (asked, expected) in
        [("sabatical", "leave"), ("Sabbatcial?", "leave"), ("Schlüsel", "schlüssel"), ("canten", "canteen")]
    {
        for mode in [Mode::Hybrid, Mode::Lexical] {
            assert_eq!(found(&corpus.ask(asked, mode, 1).await), [expected], "{asked}");
        }
    }
    // A word that nothing is near to, a longer question, and another word are left as they are.
    for asked in ["holiday", "sabatical rules elsewhere", "seven"] {
        assert_eq!(corpus.ask(asked, Mode::Lexical, 1).await.evidence, Evidence::None, "{asked}");
    }
}

#[tokio::test]
async fn the_spelling_of_what_somebody_may_not_see_is_not_asked_for() {
    let corpus = Corpus::empty().await;
    corpus.ingested("acme", "leave", &[], "A sabbatical takes three months.").await;
    corpus.store("draft", "v", "A sabbatical takes a year.").await;
    assert_eq!(corpus.asked("acme", &[], "sabatical").await.len(), 1);
    assert!(corpus.asked("", &[], "sabatical").await.is_empty());
    assert!(corpus.asked("acme", &[("team", "a")], "sabatical").await.is_empty());
}

#[tokio::test]
async fn full_width_codes_ligatures_and_soft_hyphens_are_found_by_the_plain_ones() {
    let corpus = Corpus::empty().await;
    corpus.ingested("", "fullwidth", &[], include_str!("../../../tests/cases/fullwidth.txt")).await;
    corpus.ingested("", "ligature", &[], "The ﬁrewall sends a notiﬁcation when the conﬁguration ﬂag is set.").await;
    let parted = "The depart\u{ad}\nment of metro\u{ad}logy calibrates the thermo\u{ad}\nmeter.";
    corpus.ingested("", "hyphens", &[], parted).await;
    for (asked, expected) in [
        ("ABC-4471", "fullwidth"),
        ("E5077", "fullwidth"),
        ("firewall notification configuration flag", "ligature"),
        ("the department of metrology calibrates the thermometer", "hyphens"),
    ] {
        let answer = corpus.ask(asked, Mode::Hybrid, 1).await;
        assert_eq!(found(&answer), [expected], "{asked}");
    }
    let shown = corpus.ask("department of metrology thermometer", Mode::Hybrid, 1).await;
    assert_eq!(shown.passages[0].chunk.text, parted, "what is shown is what is stored");
}

#[tokio::test]
async fn an_error_code_alone_is_answered_from_the_passage_that_holds_it() {
    let corpus = Corpus::empty().await;
    // So many other words that the passage is far from the question.
    let filler: String = ('a'..='z').map(|letter| format!("{letter}word ")).collect();
    for (document, text) in [("codes", format!("{filler} ERR_4711")), ("other", filler)] {
        corpus.store(document, "v", &text).await;
        corpus.commit(document, "v").await;
    }
    let retrieved = corpus.ask("please explain error ERR_4711", Mode::Hybrid, 5).await;
    assert_eq!((found(&retrieved), retrieved.evidence), (vec!["codes"], Evidence::Identifier));
    for unknown in ["please explain error ERR_4712", "which football club did ERR_4711 defeat in the league?"] {
        assert_eq!(corpus.ask(unknown, Mode::Hybrid, 5).await.evidence, Evidence::None, "{unknown}");
    }
}
