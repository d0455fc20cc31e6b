use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation as _;

use super::*;
use crate::ingest::parse::{Format, Parser};

/// Counts like a word-piece tokenizer: a token for each four characters of a word, one for each mark.
fn pieces(text: &str) -> usize {
    text.unicode_words().map(|word| word.chars().count().div_ceil(4)).sum::<usize>()
        + text.chars().filter(char::is_ascii_punctuation).count()
}

fn cut(text: &str, format: Format, tokens: usize, piece: usize) -> (Vec<Draft>, Option<String>) {
    let mut chunker = Chunker::new(Limits { tokens, bytes: 2000 }, &pieces);
    let mut parser = Parser::new(format);
    let (mut rest, mut drafts) = (text, Vec::new());
    while !rest.is_empty() {
        let at = rest.ceil_char_boundary(piece.min(rest.len()));
        parser.feed(&rest[..at], &mut chunker).unwrap();
        rest = &rest[at..];
        drafts.extend(std::iter::from_fn(|| chunker.pop()));
    }
    parser.finish(&mut chunker).unwrap();
    chunker.finish();
    drafts.extend(std::iter::from_fn(|| chunker.pop()));
    (drafts, chunker.title().map(str::to_owned))
}

fn markdown(text: &str) -> Vec<Draft> {
    cut(text, Format::Markdown, 40, usize::MAX).0
}

fn texts(drafts: &[Draft]) -> Vec<&str> {
    drafts.iter().map(|draft| draft.text.as_str()).collect()
}

/// Where the chunks lie in the source, if they lie there in order with nothing but blanks between.
fn places(text: &str, drafts: &[Draft]) -> Result<Vec<(usize, usize)>, String> {
    let mut at = 0;
    let mut places = Vec::new();
    for draft in drafts {
        let slice = &draft.text[draft.repeated..];
        let gap = text[at..].find(slice).ok_or_else(|| format!("{slice:?} is no slice after {at}"))?;
        if !text[at..at + gap].trim().is_empty() {
            return Err(format!("{:?} is in no chunk", &text[at..at + gap]));
        }
        places.push((at + gap, at + gap + slice.len()));
        at += gap + slice.len();
    }
    if text[at..].trim().is_empty() { Ok(places) } else { Err(format!("the end {:?} is in no chunk", &text[at..])) }
}

#[test]
fn a_section_is_a_chunk_with_its_headings_beside_it() {
    let text = "# Guide\n\nIntro.\n\n## Retention\n\nKept for 7 days.\n\n## Scaling\n\nMore.\n\n# Other\n\nEnd.\n";
    let (drafts, title) = cut(text, Format::Markdown, 40, usize::MAX);
    assert_eq!(title.as_deref(), Some("Guide"));
    assert_eq!(
        drafts.iter().map(|d| d.headings.join(" > ")).collect::<Vec<_>>(),
        ["Guide", "Guide > Retention", "Guide > Scaling", "Other"]
    );
    assert_eq!(drafts[1].text, "## Retention\n\nKept for 7 days.");
}

#[test]
fn a_heading_right_under_a_larger_one_stays_with_it() {
    assert_eq!(texts(&markdown("# Guide\n\n## Start\n\nGo.\n\n## Stop\n\nHalt.")).len(), 2);
    assert_eq!(markdown("Guide\n=====\n\nStart\n-----\nGo.")[0].headings, ["Guide", "Start"]);
}

#[test]
fn code_and_tables_stay_whole_where_they_fit() {
    let code = "```sh\nkubectl get rag -n rag\n\n# not a heading\nkubectl describe rag handbook\n```";
    let table = "| kind | keep |\r\n|---|:-:|\r\n| daily | 7 |\r\n| weekly | 5 |";
    let prose = "One sentence of text stands here. Another sentence of text stands here. ".repeat(2);
    let text = format!("# T\n\n{prose}\n\n{code}\n\n{prose}\n\n{table}\n");
    let drafts = markdown(&text);
    assert!(places(&text, &drafts).is_ok());
    for block in [code, table] {
        assert!(drafts.iter().any(|d| d.text.contains(block)), "{block:?} was cut: {:#?}", texts(&drafts));
    }
    assert!(drafts.iter().all(|d| d.headings == ["T"]));
}

#[test]
fn each_chunk_of_a_long_markdown_table_names_its_columns() {
    let rows: String = (0..60).map(|n| format!("| station {n} | {n} |\n")).collect();
    let text = format!("# Stations\n\nAll of them:\n\n| station | depth |\n|---|--:|\n{rows}\nThat is all.\n");
    let drafts = markdown(&text);
    assert!(places(&text, &drafts).is_ok());
    let tables: Vec<_> = drafts.iter().filter(|draft| draft.text.contains("| station 5")).collect();
    assert!(tables.len() > 2);
    assert!(
        tables.iter().all(|draft| draft.text.starts_with("| station | depth |\n|---|--:|\n| station ")),
        "{drafts:#?}"
    );
    assert!(!drafts.last().unwrap().text.ends_with("|"));
}

#[test]
fn a_long_paragraph_is_cut_between_sentences_into_like_parts() {
    let text = "The operator scales the servers up and down. ".repeat(8);
    let drafts = cut(&text, Format::Text, 60, usize::MAX).0;
    assert!(drafts.len() == 2 && drafts.iter().all(|d| d.text.ends_with("down.")), "{drafts:#?}");
    let lengths: Vec<_> = drafts.iter().map(|d| d.text.len()).collect();
    assert!(lengths[0].abs_diff(lengths[1]) < 100, "{lengths:?}");
}

#[test]
fn a_text_without_any_space_or_newline_is_cut_in_bounded_memory() {
    let text = "é🏳️‍🌈".repeat(20_000);
    let drafts = cut(&text, Format::Text, 60, 4096).0;
    assert!(places(&text, &drafts).is_ok());
    assert!(drafts.iter().all(|d| d.text.len() <= 2000));
}

#[test]
fn front_matter_names_the_document_and_a_heading_in_code_does_not() {
    let (_, title) = cut("---\ntitle: \"The manual\"\n---\n# Start\nx", Format::Markdown, 40, usize::MAX);
    assert_eq!(title.as_deref(), Some("The manual"));
    let (drafts, title) = cut("~~~\n# code\n~~~\n\ntext", Format::Markdown, 40, usize::MAX);
    assert_eq!((title, drafts[0].headings.len()), (None, 0));
}

fn scrap() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z]{1,12}( [a-zA-Z,.]{1,9}){0,12}[.!?]?".prop_map(|s| s),
        1 => Just("\r\n\r\n".to_owned()),
        2 => Just("\n".to_owned()),
        1 => Just("\n\n\n".to_owned()),
        1 => Just("# Heading\n".to_owned()),
        1 => Just("\n## Deeper ##\n".to_owned()),
        1 => Just("\n```\nlet x = 1;\n\n# no heading\n```\n".to_owned()),
        1 => Just("\n| a | b |\n|---|---|\n| 1 | 2 |\n".to_owned()),
        1 => Just("\n- item\n  more\n1. one\n".to_owned()),
        1 => Just("👩‍👩‍👧‍👦🇩🇪e\u{301}\u{301} 日本語。".to_owned()),
        1 => Just("x".repeat(700)),
        1 => Just("---\n".to_owned()),
        1 => "\\PC{0,20}".prop_map(|s| s),
    ]
}

/// What a reader sees of scraps: their rules are none of it, and a dash may be one.
fn visible(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && *c != '-').collect()
}

proptest! {
    #[test]
    fn chunks_of_a_text_cover_it_once_in_order_within_the_limits_and_between_graphemes(
        scraps in proptest::collection::vec(scrap(), 0..60),
        tokens in 5_usize..60,
        piece in 1_usize..500,
    ) {
        let text = scraps.concat();
        let (drafts, _) = cut(&text, Format::Text, tokens, piece);
        let places = places(&text, &drafts).map_err(TestCaseError::fail)?;
        let boundaries: std::collections::HashSet<_> =
            text.grapheme_indices(true).map(|(at, _)| at).chain([text.len()]).collect();
        for (draft, (from, to)) in drafts.iter().zip(&places) {
            prop_assert!(pieces(&draft.text) <= tokens || draft.text.graphemes(true).count() == 1);
            prop_assert!(draft.text.len() <= 2000);
            // Blanks are trimmed, so a chunk may begin or end beside the blank part of a grapheme.
            let blank_before = text[..*from].ends_with(char::is_whitespace);
            let blank_after = text[*to..].starts_with(char::is_whitespace);
            prop_assert!(boundaries.contains(from) || blank_before, "{:?}", &draft.text);
            prop_assert!(boundaries.contains(to) || blank_after, "{:?}", &draft.text);
        }
        prop_assert_eq!(&drafts, &cut(&text, Format::Text, tokens, usize::MAX).0, "the pieces decided");
    }

    #[test]
    fn chunks_of_markdown_hold_what_a_reader_sees_once_and_in_order(
        scraps in proptest::collection::vec(scrap(), 0..60),
        tokens in 5_usize..60,
        piece in 1_usize..500,
    ) {
        let text = format!("\n{}", scraps.concat());
        // Comments, tags and the definitions of links are left out.
        prop_assume!(!text.contains('<') && !text.contains("]:"));
        let (drafts, _) = cut(&text, Format::Markdown, tokens, piece);
        let own: String = drafts.iter().map(|draft| &draft.text[draft.repeated..]).collect();
        prop_assert_eq!(visible(&own), visible(&text));
        for draft in &drafts {
            prop_assert!(pieces(&draft.text) <= tokens || draft.text.graphemes(true).count() == 1);
            prop_assert!(draft.text.len() <= 2000);
            for line in draft.text[draft.repeated..].lines() {
                prop_assert!(text.contains(line), "{line:?} is no slice");
            }
        }
        prop_assert_eq!(&drafts, &cut(&text, Format::Markdown, tokens, usize::MAX).0, "the pieces decided");
    }
}
