//! Where the sentences of a text begin and end.
//!
//! Pure. Every piece is a slice of the passage, so it is verbatim by construction. Headings, list items, table rows and lines of code stand for themselves; lines of a paragraph run together.

mod blocks;
mod code;
mod ends;

pub(crate) use blocks::{Block, Kind, blocks};
pub(crate) use ends::sentences;

/// A piece of a passage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    /// The text, without spaces around it.
    pub(crate) text: &'a str,
    /// A heading announces an answer and is none.
    pub(crate) heading: bool,
}

/// The pieces of a passage below these headings, in reading order.
pub(crate) fn pieces<'a>(passage: &'a str, headings: &[String]) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    for Block { text, kind } in blocks(passage, headings) {
        let heading = kind == Kind::Heading;
        let parts: Vec<&str> = match kind {
            Kind::Heading => vec![text],
            Kind::Paragraph | Kind::Item => sentences(text),
            Kind::Table | Kind::Records | Kind::Code => text.lines().collect(),
        };
        let parts = parts.into_iter().map(str::trim).filter(|part| heading || part.contains(char::is_alphanumeric));
        pieces.extend(parts.map(|text| Piece { text, heading }));
    }
    pieces
}

/// The sentences of a text in reading order, whole, without headings: what a text claims.
pub(crate) fn claims(text: &str) -> Vec<&str> {
    let mut claims: Vec<&str> =
        pieces(text, &[]).into_iter().filter(|piece| !piece.heading).map(|piece| piece.text).collect();
    // The number of a list item is no claim; alone it is an answer.
    if claims.len() > 1 {
        claims.retain(|claim| !is_list_number(claim));
    }
    claims
}

fn is_list_number(claim: &str) -> bool {
    claim.strip_suffix(['.', ')']).is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(passage: &str) -> Vec<&str> {
        pieces(passage, &[]).into_iter().map(|piece| piece.text).collect()
    }

    #[test]
    fn a_paragraph_is_cut_at_its_sentences_and_not_at_its_line_breaks() {
        assert_eq!(
            texts("Daily snapshots are\r\nkept for 7 days. Weekly ones\nare kept longer! Why?"),
            ["Daily snapshots are\r\nkept for 7 days.", "Weekly ones\nare kept longer!", "Why?"]
        );
    }

    #[test]
    fn an_abbreviation_or_a_number_ends_no_sentence() {
        assert_eq!(
            texts("See Fig. 3 of Smith et al. (1954), e.g. the 2.5 s limit by J. Doe. Next."),
            ["See Fig. 3 of Smith et al. (1954), e.g. the 2.5 s limit by J. Doe.", "Next."]
        );
    }

    #[test]
    fn headings_items_rows_and_code_stand_for_themselves() {
        let passage = "# Backup\nIntro line\n- one item\n- another\n  goes on\n1. first\n\n| a | b |\n| 1 | 2 |\n```\nlet x = 1;\n# comment\n```\nEnd.";
        let pieces = pieces(passage, &[]);
        let texts: Vec<_> = pieces.iter().map(|piece| piece.text).collect();
        assert_eq!(
            texts,
            [
                "# Backup",
                "Intro line",
                "- one item",
                "- another\n  goes on",
                "1. first",
                "| a | b |",
                "| 1 | 2 |",
                "let x = 1;",
                "# comment",
                "End."
            ]
        );
        assert!(pieces[0].heading && !pieces[1].heading);
    }

    #[test]
    fn a_heading_without_a_mark_is_known_by_the_headings_of_its_passage() {
        let passage = "How long are snapshots kept?¶\nFor a week.";
        let headings = ["Backup".to_owned(), "How long are snapshots kept?".to_owned()];
        let found = pieces(passage, &headings);
        assert_eq!(texts(passage), ["How long are snapshots kept?¶", "For a week."]);
        assert!(found[0].heading && found[1].text == "For a week.");
        assert_eq!(pieces("Backup\nFor a week.", &headings)[1].text, "For a week.");
    }

    proptest! {
        #[test]
        fn every_piece_is_a_slice_of_the_passage_in_reading_order(passage in "[ -~\n.é日|#`;:]{0,400}") {
            let mut from = 0;
            for piece in pieces(&passage, &["a".to_owned()]) {
                let at = piece.text.as_ptr() as usize - passage.as_ptr() as usize;
                prop_assert!(at >= from && at + piece.text.len() <= passage.len());
                from = at + piece.text.len();
                prop_assert!(!piece.text.is_empty());
            }
        }
    }
}
