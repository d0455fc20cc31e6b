//! Whether what an answer says stands in the passages that it cites.
//!
//! Pure, and the same for every generator: a draft is checked against the text of its passages, not trusted.

use crate::{
    folding::folded,
    model::{AnswerStatus, CheckedSentence},
    ports::{Draft, Passage},
    sentences,
};

/// Room for the mark of a list before a sentence.
const MAX_MARK_BYTES: usize = 16;
/// Why a sentence that was said to be quoted is not supported.
const NOT_QUOTED: &str = "it is no sentence of the passage";

/// A checked answer: its text with references, and how far the passages carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cited {
    /// The sentences with references like `[1]`; the number is the place of the passage, from 1.
    pub text: String,
    /// Grounded when every sentence is supported; refused when there is no sentence.
    pub status: AnswerStatus,
    /// Each sentence with what was found.
    pub sentences: Vec<CheckedSentence>,
}

/// Checks each sentence of a draft and joins them. A sentence that its passage does not hold stays, without a reference, and makes the answer partial.
pub fn cite(draft: &Draft, passages: &[Passage]) -> Cited {
    let sentences: Vec<_> = draft.sentences.iter().filter(|sentence| !sentence.text.trim().is_empty()).collect();
    if sentences.is_empty() {
        return Cited { text: String::new(), status: AnswerStatus::Refused, sentences: Vec::new() };
    }
    let mut status = AnswerStatus::Grounded;
    let mut text = String::new();
    let mut checked = Vec::with_capacity(sentences.len());
    for (at, sentence) in sentences.iter().enumerate() {
        if at > 0 {
            text.push(' ');
        }
        text.push_str(&collapsed(&sentence.text));
        let passage = passages.get(sentence.passage);
        let supported = passage.is_some_and(|passage| holds(&passage.chunk.text, &sentence.text));
        let refs = passage.map(|_| sentence.passage + 1).into_iter().collect();
        let reason = (!supported).then(|| NOT_QUOTED.to_owned());
        checked.push(CheckedSentence { text: collapsed(&sentence.text), refs, supported, reason });
        if supported {
            // Sentences in a row from the same passage share the reference behind the last of them.
            let shared = sentences.get(at + 1).is_some_and(|next| {
                next.passage == sentence.passage
                    && passage.is_some_and(|passage| holds(&passage.chunk.text, &next.text))
            });
            if !shared {
                text.push_str(&format!(" [{}]", sentence.passage + 1));
            }
        } else {
            status = AnswerStatus::Partial;
        }
    }
    Cited { text, status, sentences: checked }
}

/// Whether a sentence, or several in a row, is one of a passage's, word for word in the one form that words have (`folding`); line breaks, runs of spaces, marks of lists and the punctuation at the end do not count.
///
/// Whole sentences: a piece of one may say the opposite ("not …", "it is false that …") or another figure ("5 GB" of "25 GB").
pub(super) fn holds(passage: &str, sentence: &str) -> bool {
    let wanted = bare(&folded(sentence));
    if wanted.is_empty() {
        return false;
    }
    let pieces = sentences::pieces(passage);
    (0..pieces.len()).any(|from| {
        let mut run = String::new();
        for piece in pieces[from..].iter().take_while(|piece| !piece.heading) {
            if !run.is_empty() {
                run.push(' ');
            }
            run.push_str(&collapsed(&folded(piece.text)));
            if bare(&run) == wanted {
                return true;
            }
            if run.len() > 2 * wanted.len() + MAX_MARK_BYTES {
                break;
            }
        }
        false
    })
}

/// A text without the mark of a list before it and the punctuation behind it.
fn bare(text: &str) -> String {
    let text = collapsed(text);
    let number = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let item = number.strip_prefix(". ").or_else(|| number.strip_prefix(") ")).filter(|_| number.len() < text.len());
    let bullet = ["- ", "* ", "+ ", "> "].iter().find_map(|mark| text.strip_prefix(mark));
    let body = item.or(bullet).unwrap_or(&text);
    body.trim_end_matches(['.', '!', ';', ':', ',', ' ']).to_owned()
}

fn collapsed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Chunk, ChunkId, ContentHash},
        ports::Sentence,
    };

    fn passage(text: &str) -> Passage {
        let (document, version) = ("d".parse().unwrap(), ContentHash("v".to_owned()));
        let id = ChunkId::new(&document, &version, 0);
        let chunk = Chunk {
            id,
            document,
            version,
            ordinal: 0,
            title: String::new(),
            headings: Vec::new(),
            text: text.to_owned(),
        };
        Passage { chunk, score: 1.0 }
    }

    fn draft(sentences: &[(&str, usize)]) -> Draft {
        let sentence = |(text, passage): &(&str, usize)| Sentence { text: (*text).to_owned(), passage: *passage };
        Draft { sentences: sentences.iter().map(sentence).collect() }
    }

    #[test]
    fn sentences_that_stand_in_their_passages_are_grounded() {
        let passages = [passage("Daily ones are\r\nkept 7 days. Weekly ones 5 weeks."), passage("All are encrypted.")];
        let draft = draft(&[("Daily ones are\r\nkept 7 days.", 0), ("All are encrypted.", 1)]);
        let cited = cite(&draft, &passages);
        assert_eq!(cited.text, "Daily ones are kept 7 days. [1] All are encrypted. [2]");
        assert_eq!(cited.status, AnswerStatus::Grounded);
        let sentence = |text: &str, reference| CheckedSentence {
            text: text.into(),
            refs: vec![reference],
            supported: true,
            reason: None,
        };
        assert_eq!(cited.sentences, [sentence("Daily ones are kept 7 days.", 1), sentence("All are encrypted.", 2)]);
    }

    #[test]
    fn sentences_in_a_row_from_one_passage_share_a_reference() {
        let passages = [passage("One. Two. Three.")];
        assert_eq!(cite(&draft(&[("One.", 0), ("Three.", 0)]), &passages).text, "One. Three. [1]");
        assert_eq!(cite(&draft(&[("One.", 0), ("Four.", 0)]), &passages).text, "One. [1] Four.");
    }

    #[test]
    fn a_sentence_that_its_passage_does_not_hold_makes_the_answer_partial() {
        let passages = [passage("Kept 7 days."), passage("Encrypted.")];
        for invented in [("Kept 8 days.", 0), ("Encrypted.", 0), ("Kept 7 days.", 2), ("kept 7 Days.", 0)] {
            let cited = cite(&draft(&[("Kept 7 days.", 0), invented]), &passages);
            assert_eq!(cited.status, AnswerStatus::Partial, "{invented:?}");
            assert_eq!(cited.sentences.iter().map(|s| s.supported).collect::<Vec<_>>(), [true, false], "{invented:?}");
            assert!(cited.text.ends_with(invented.0), "no reference behind an unsupported sentence: {}", cited.text);
        }
    }

    #[test]
    fn a_piece_of_a_sentence_is_no_quotation() {
        let passage = "It is false that snapshots are kept for ever. 25 GB are allowed per user and day. Nobody may smoke.\n- Logs are not kept";
        for piece in [
            "Snapshots are kept for ever.",
            "snapshots are kept for ever.",
            "5 GB are allowed per user and day.",
            "25 GB are allowed per user.",
            "may smoke.",
            "kept",
        ] {
            assert!(!holds(passage, piece), "{piece}");
        }
        for whole in [
            "25 GB are allowed  per user\nand day.",
            "Nobody may smoke",
            "- Logs are not kept.",
            "Nobody may smoke. - Logs are not kept",
        ] {
            assert!(holds(passage, whole), "{whole}");
        }
    }

    #[test]
    fn no_sentence_is_a_refusal() {
        for empty in [draft(&[]), draft(&[("  ", 0)])] {
            assert_eq!(cite(&empty, &[passage("x")]).status, AnswerStatus::Refused);
        }
    }
}
