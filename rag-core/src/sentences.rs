//! Where the sentences of a text begin and end.
//!
//! Pure. Every piece is a slice of the passage, so it is verbatim by construction. Headings, list items, table rows and lines of code stand for themselves; lines of a paragraph run together.

mod ends;

pub(crate) use ends::sentences;

/// Longest piece, in bytes; a table row or a run of text without full stops is cut there.
const MAX_BYTES: usize = 600;

/// A piece of a passage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    /// The text, without spaces around it.
    pub(crate) text: &'a str,
    /// A heading announces an answer and is none.
    pub(crate) heading: bool,
}

/// The pieces of a passage in reading order.
pub(crate) fn pieces(passage: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    for block in blocks(passage) {
        if block.trim_start().starts_with('#') {
            pieces.push(Piece { text: cut(block.trim()), heading: true });
            continue;
        }
        for sentence in sentences(block) {
            let text = cut(sentence.trim());
            if text.contains(char::is_alphanumeric) {
                pieces.push(Piece { text, heading: false });
            }
        }
    }
    pieces
}

/// The sentences of a text in reading order, whole, without headings: what a text claims.
pub(crate) fn claims(text: &str) -> Vec<&str> {
    let claims = blocks(text).into_iter().filter(|block| !block.trim_start().starts_with('#')).flat_map(sentences);
    let mut claims: Vec<&str> = claims.map(str::trim).filter(|claim| claim.contains(char::is_alphanumeric)).collect();
    // The number of a list item is no claim; alone it is an answer.
    if claims.len() > 1 {
        claims.retain(|claim| !is_list_number(claim));
    }
    claims
}

fn is_list_number(claim: &str) -> bool {
    claim.strip_suffix(['.', ')']).is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Paragraphs, and lines that stand for themselves.
fn blocks(passage: &str) -> Vec<&str> {
    let mut blocks = Vec::new();
    let (mut start, mut at, mut fenced) = (0, 0, false);
    for line in passage.split_inclusive('\n') {
        let trimmed = line.trim();
        let fence = trimmed.starts_with("```") || trimmed.starts_with("~~~");
        if fenced || fence || trimmed.is_empty() || begins_block(trimmed) {
            blocks.push(&passage[start..at]);
            start = at;
        }
        let ends = fenced || fence || trimmed.is_empty() || trimmed.starts_with(['#', '|']);
        at += line.len();
        if ends {
            if !fence {
                blocks.push(&passage[start..at]);
            }
            start = at;
        }
        fenced ^= fence;
    }
    blocks.push(&passage[start..]);
    blocks.retain(|block| !block.trim().is_empty());
    blocks
}

/// Whether a line is a heading, a table row or the start of a list item.
fn begins_block(line: &str) -> bool {
    let numbered = line.trim_start_matches(|c: char| c.is_ascii_digit());
    line.starts_with(['#', '|'])
        || ["- ", "* ", "+ ", "> "].iter().any(|bullet| line.starts_with(bullet))
        || (numbered.len() < line.len() && (numbered.starts_with(". ") || numbered.starts_with(") ")))
}

/// The beginning of a text up to the longest piece allowed, ended between words.
fn cut(text: &str) -> &str {
    if text.len() <= MAX_BYTES {
        return text;
    }
    let head = &text[..text.floor_char_boundary(MAX_BYTES)];
    head.rfind(char::is_whitespace).map_or(head, |at| head[..at].trim_end())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(passage: &str) -> Vec<&str> {
        pieces(passage).into_iter().map(|piece| piece.text).collect()
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
        let pieces = pieces(passage);
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
    fn a_piece_is_bounded_and_ends_between_words() {
        let passage = "word ".repeat(1_000);
        assert!(texts(&passage).iter().all(|text| text.len() <= MAX_BYTES && text.ends_with("word")));
    }

    proptest! {
        #[test]
        fn every_piece_is_a_slice_of_the_passage_in_reading_order(passage in "[ -~\n.é日|#`]{0,400}") {
            let mut from = 0;
            for piece in pieces(&passage) {
                let at = piece.text.as_ptr() as usize - passage.as_ptr() as usize;
                prop_assert!(at >= from && at + piece.text.len() <= passage.len());
                from = at + piece.text.len();
                prop_assert!(!piece.text.is_empty() && piece.text.len() <= MAX_BYTES);
            }
        }
    }
}
