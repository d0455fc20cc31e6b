//! Whether what an answer says stands in the passages that it cites.
//!
//! Pure, and the same for every generator: a draft is checked against the text of its passages, not trusted.
//! What does not adjoin in the passage is shown apart: a "this" or a "however" means what stood before it there.

use crate::{
    folding::folded,
    model::{AnswerStatus, CheckedSentence},
    ports::{Draft, Form, GAP, Passage, Sentence},
    sentences,
};

/// Room for the mark of a list before a sentence.
const MAX_MARK_BYTES: usize = 16;
/// A stretch of so many bytes says what it says wherever it begins.
const LONG_STRETCH: usize = 80;
/// Why a sentence that was said to be quoted is not supported.
const NOT_QUOTED: &str = "it is no sentence of the passage";

/// A checked answer: its text with references, and how far the passages carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cited {
    /// The sentences with references like `[1]`; the number is the place of the passage, from 1.
    pub text: String,
    /// Grounded when every sentence is supported and nothing is missing; refused when there is no sentence.
    pub status: AnswerStatus,
    /// Each sentence with what was found.
    pub sentences: Vec<CheckedSentence>,
}

/// Checks each sentence of a draft and joins them. A sentence that its passage does not hold stays, without a reference, and makes the answer partial; so does what no passage names, which is said first.
pub fn cite(draft: &Draft, passages: &[Passage]) -> Cited {
    let quotes: Vec<Quote<'_>> = draft
        .sentences
        .iter()
        .filter(|sentence| !sentence.text.trim().is_empty())
        .map(|sentence| Quote::of(sentence, passages))
        .collect();
    if quotes.is_empty() {
        return Cited { text: String::new(), status: AnswerStatus::Refused, sentences: Vec::new() };
    }
    let missing = not_found(&draft.missing);
    let is_whole = missing.is_none() && quotes.iter().all(|quote| quote.supported);
    let mut text = missing.unwrap_or_default();
    for (at, quote) in quotes.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| &quotes[before]);
        if !text.is_empty() {
            text.push_str(&before.map_or("\n\n".to_owned(), |before| quote.apart_from(before)));
        }
        text.push_str(&quote.shown());
        // Sentences in a row from the same passage share the reference behind the last of them.
        let shared =
            quotes.get(at + 1).is_some_and(|next| next.sentence.passage == quote.sentence.passage && next.supported);
        if quote.supported && !shared {
            let reference = quote.sentence.passage + 1;
            text.push_str(&format!("{}[{reference}]", if quote.is_lines() { "\n" } else { " " }));
        }
    }
    let status = if is_whole { AnswerStatus::Grounded } else { AnswerStatus::Partial };
    Cited { text, status, sentences: quotes.iter().map(Quote::checked).collect() }
}

/// What was not found, in a sentence; nothing where nothing is missing.
pub(super) fn not_found(missing: &[String]) -> Option<String> {
    let names: Vec<String> = missing.iter().map(|name| format!("\"{}\"", name.trim())).collect();
    (!names.is_empty()).then(|| format!("No passage that was found names {}.", names.join(" or ")))
}

/// A sentence beside its passage.
struct Quote<'a> {
    sentence: &'a Sentence,
    passage: Option<&'a Passage>,
    supported: bool,
}

impl<'a> Quote<'a> {
    fn of(sentence: &'a Sentence, passages: &'a [Passage]) -> Self {
        let passage = passages.get(sentence.passage);
        let supported = passage.is_some_and(|passage| match sentence.form {
            Form::Sentence => holds(passage, &sentence.text),
            Form::Lines => holds_lines(&passage.chunk.text, &sentence.text),
            Form::Code => passage.chunk.text.contains(&sentence.text),
            Form::Excerpt => holds_stretches(&passage.chunk.text, &sentence.text),
        });
        Self { sentence, passage, supported }
    }

    fn is_lines(&self) -> bool {
        matches!(self.sentence.form, Form::Lines | Form::Code)
    }

    /// As it is shown: lines as they are, code between fences, and an excerpt with what is left out around it.
    fn shown(&self) -> String {
        let text = self.sentence.text.as_str();
        match self.sentence.form {
            Form::Sentence => collapsed(text),
            Form::Lines => text.to_owned(),
            Form::Code => format!("```\n{text}\n```"),
            Form::Excerpt => {
                let passage = self.passage.map_or("", |passage| passage.chunk.text.as_str());
                let (before, behind) = cut_at(passage, text);
                let mark = |cut: bool| if cut { GAP } else { "" };
                format!("{} {} {}", mark(before), collapsed(text), mark(behind)).trim().to_owned()
            }
        }
    }

    /// What stands between it and the one before it.
    fn apart_from(&self, before: &Self) -> String {
        if self.sentence.passage != before.sentence.passage {
            return "\n\n".to_owned();
        }
        let adjoins = self.passage.is_some_and(|passage| {
            let (last, first) = (before.sentence.text.lines().next_back(), self.sentence.text.lines().next());
            last.zip(first).is_some_and(|(last, first)| adjoin(&passage.chunk.text, last.trim(), first.trim()))
        });
        match (self.is_lines() || before.is_lines(), adjoins) {
            (true, true) => "\n".to_owned(),
            (true, false) => format!("\n{GAP}\n"),
            (false, true) => " ".to_owned(),
            (false, false) => format!(" {GAP} "),
        }
    }

    fn checked(&self) -> CheckedSentence {
        let text = if self.is_lines() { self.sentence.text.clone() } else { collapsed(&self.sentence.text) };
        let refs = self.passage.map(|_| self.sentence.passage + 1).into_iter().collect();
        let reason = (!self.supported).then(|| NOT_QUOTED.to_owned());
        CheckedSentence { text, refs, supported: self.supported, reason }
    }
}

/// Whether one text stands behind another with nothing but blanks and fences between them.
fn adjoin(passage: &str, one: &str, other: &str) -> bool {
    passage.match_indices(one).any(|(at, _)| {
        let rest = passage[at + one.len()..].trim_start_matches(|c: char| c.is_whitespace() || c == '¶');
        let fenced = rest.strip_prefix("```").and_then(|fence| fence.split_once('\n'));
        rest.starts_with(other) || fenced.is_some_and(|(_, code)| code.trim_start().starts_with(other))
    })
}

/// Whether the text goes on before and behind an excerpt within its line.
fn cut_at(passage: &str, excerpt: &str) -> (bool, bool) {
    let mut parts = excerpt.split(GAP).map(str::trim);
    let (first, last) = (parts.next().unwrap_or_default(), excerpt.rsplit(GAP).next().unwrap_or_default().trim());
    let before = passage.find(first).map_or("", |at| &passage[..at]).trim_end_matches([' ', '|']);
    let behind = passage.find(last).map_or("", |at| &passage[at + last.len()..]).trim_start_matches([' ', '|']);
    (!before.is_empty() && !before.ends_with('\n'), !behind.is_empty() && !behind.starts_with(['\n', '\r']))
}

/// Whether each line is one of the passage's, in their order. A line that ends with a gap is the beginning of one.
fn holds_lines(passage: &str, lines: &str) -> bool {
    let mut held = passage.lines().map(|line| line.trim().trim_end_matches(['¶', ' ']));
    lines.lines().map(str::trim).all(|line| match line.strip_suffix(GAP) {
        Some(head) => !head.trim().is_empty() && held.any(|held| held.starts_with(head.trim_end())),
        None => held.any(|held| held == line),
    })
}

/// Whether each stretch stands in the passage, in their order, and neither begins nor ends within a word.
fn holds_stretches(passage: &str, text: &str) -> bool {
    let mut rest = passage;
    text.split(GAP).map(str::trim).filter(|stretch| !stretch.is_empty()).all(|stretch| {
        // Where no word ends for so long, a stretch ends as it must.
        let long = stretch.len() >= LONG_STRETCH;
        let found = rest.match_indices(stretch).find(|(at, _)| {
            let (before, behind) = (&rest[..*at], &rest[at + stretch.len()..]);
            let within = |c: Option<char>, end: Option<char>| {
                c.zip(end).is_some_and(|(c, end)| c.is_alphanumeric() && end.is_alphanumeric())
            };
            long || !within(before.chars().next_back(), stretch.chars().next())
                && !within(behind.chars().next(), stretch.chars().next_back())
        });
        let Some((at, _)) = found else { return false };
        rest = &rest[at + stretch.len()..];
        true
    })
}

/// Whether a sentence, or several in a row, is one of a passage's, word for word in the one form that words have (`folding`); line breaks, runs of spaces, marks of lists and the punctuation at the end do not count.
///
/// Whole sentences: a piece of one may say the opposite ("not …", "it is false that …") or another figure ("5 GB" of "25 GB").
pub(super) fn holds(passage: &Passage, sentence: &str) -> bool {
    let wanted = bare(&folded(sentence));
    if wanted.is_empty() {
        return false;
    }
    let pieces = sentences::pieces(&passage.chunk.text, &passage.chunk.headings);
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
    use crate::doubles;

    fn passage(text: &str) -> Passage {
        doubles::passage("d".parse().unwrap(), text)
    }

    fn draft(sentences: &[(&str, usize)]) -> Draft {
        let form = Form::Sentence;
        let sentence = |(text, passage): &(&str, usize)| Sentence { text: (*text).to_owned(), passage: *passage, form };
        Draft { sentences: sentences.iter().map(sentence).collect(), ..Draft::default() }
    }

    #[test]
    fn sentences_that_stand_in_their_passages_are_grounded() {
        let passages = [passage("Daily ones are\r\nkept 7 days. Weekly ones 5 weeks."), passage("All are encrypted.")];
        let draft = draft(&[("Daily ones are\r\nkept 7 days.", 0), ("All are encrypted.", 1)]);
        let cited = cite(&draft, &passages);
        assert_eq!(cited.text, "Daily ones are kept 7 days. [1]\n\nAll are encrypted. [2]");
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
        assert_eq!(cite(&draft(&[("One.", 0), ("Two.", 0)]), &passages).text, "One. Two. [1]");
        assert_eq!(cite(&draft(&[("One.", 0), ("Four.", 0)]), &passages).text, "One. [1] … Four.");
    }

    #[test]
    fn what_does_not_adjoin_in_its_passage_is_shown_apart() {
        let passages = [passage(
            "Logs are kept. Nobody reads them. However, they are small.\n\nRun:\n\n```sh\nls -l\n  pwd\n```\n\nName | Age\nAnna | 7\nBob | 8",
        )];
        let of = |form, text: &str| Sentence { text: text.to_owned(), passage: 0, form };
        let cited = |sentences: Vec<Sentence>| cite(&Draft { sentences, ..Draft::default() }, &passages);
        let gap = cited(vec![of(Form::Sentence, "Logs are kept."), of(Form::Sentence, "However, they are small.")]);
        assert_eq!(gap.text, "Logs are kept. … However, they are small. [1]");
        let code = cited(vec![of(Form::Sentence, "Run:"), of(Form::Code, "ls -l\n  pwd")]);
        assert_eq!(code.text, "Run:\n```\nls -l\n  pwd\n```\n[1]");
        let rows = cited(vec![of(Form::Sentence, "Logs are kept."), of(Form::Lines, "Name | Age\nBob | 8")]);
        assert_eq!(rows.text, "Logs are kept.\n…\nName | Age\nBob | 8\n[1]");
        for cited in [gap, code, rows] {
            assert_eq!(cited.status, AnswerStatus::Grounded, "{}", cited.text);
        }
        for invented in [
            of(Form::Lines, "Name | Age\nAnna | 8"),
            of(Form::Lines, "Bob | 8\nAnna | 7"),
            of(Form::Code, "ls -l\npwd"),
        ] {
            assert_eq!(cited(vec![invented.clone()]).status, AnswerStatus::Partial, "{invented:?}");
        }
    }

    #[test]
    fn an_excerpt_shows_what_is_left_out_and_is_no_piece_of_a_word() {
        let passages = [passage("sku: ZX-1; text: long; price: 25 GB; place: Odense\nnext")];
        let cited = |text: &str| {
            let sentence = Sentence { text: text.to_owned(), passage: 0, form: Form::Excerpt };
            cite(&Draft { sentences: vec![sentence], ..Draft::default() }, &passages)
        };
        assert_eq!(cited("sku: ZX-1 … price: 25 GB").text, "sku: ZX-1 … price: 25 GB … [1]");
        assert_eq!(cited("text: long").text, "… text: long … [1]");
        assert_eq!(cited("price: 25 GB; place: Odense").text, "… price: 25 GB; place: Odense [1]");
        for (text, status) in [
            ("sku: ZX-1 … price: 25 GB", AnswerStatus::Grounded),
            ("5 GB; place", AnswerStatus::Partial),
            ("price: 25 GB … sku", AnswerStatus::Partial),
        ] {
            assert_eq!(cited(text).status, status, "{text}");
        }
    }

    #[test]
    fn what_no_passage_names_is_said_and_makes_the_answer_partial() {
        let missing = vec!["release 2.6".to_owned()];
        let cited = cite(&Draft { missing, ..draft(&[("One.", 0)]) }, &[passage("One.")]);
        assert_eq!(cited.text, "No passage that was found names \"release 2.6\".\n\nOne. [1]");
        assert_eq!(cited.status, AnswerStatus::Partial);
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
        let passage = passage(
            "It is false that snapshots are kept for ever. 25 GB are allowed per user and day. Nobody may smoke.\n- Logs are not kept",
        );
        for piece in [
            "Snapshots are kept for ever.",
            "snapshots are kept for ever.",
            "5 GB are allowed per user and day.",
            "25 GB are allowed per user.",
            "may smoke.",
            "kept",
        ] {
            assert!(!holds(&passage, piece), "{piece}");
        }
        for whole in [
            "25 GB are allowed  per user\nand day.",
            "Nobody may smoke",
            "- Logs are not kept.",
            "Nobody may smoke. - Logs are not kept",
        ] {
            assert!(holds(&passage, whole), "{whole}");
        }
    }

    #[test]
    fn no_sentence_is_a_refusal() {
        for empty in [draft(&[]), draft(&[("  ", 0)])] {
            assert_eq!(cite(&empty, &[passage("x")]).status, AnswerStatus::Refused);
        }
    }
}
