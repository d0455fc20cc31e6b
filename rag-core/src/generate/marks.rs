//! References like `[1]` in what a model writes: read, and dropped where they point to nothing.
//!
//! Pure. A model writes `[1]`, `[1, 2]`, `[1][2]` or `【1】`; anything else in brackets is text.

use std::ops::Range;

use crate::sentences;

/// Longest reference; what goes on longer is text.
const MAX_MARK_BYTES: usize = 24;

/// Passes a model's text on as it comes, without the references that point to no passage.
#[derive(Debug)]
pub(super) struct Marks {
    /// How many passages there are.
    passages: usize,
    /// The beginning of what may become a reference.
    held: String,
    /// The last character that was passed on: `a[1]` is code, ` [1]` is a reference.
    last: Option<char>,
}

impl Marks {
    pub(super) fn new(passages: usize) -> Self {
        Self { passages, held: String::new(), last: None }
    }

    /// What of the text so far can be passed on.
    pub(super) fn push(&mut self, piece: &str) -> String {
        let mut out = String::with_capacity(self.held.len() + piece.len());
        for c in piece.chars() {
            self.take(c, &mut out);
        }
        out
    }

    /// What was still held when the text ended.
    pub(super) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    fn take(&mut self, c: char, out: &mut String) {
        if self.held.is_empty() && !is_opening(c) {
            return self.pass(c, out);
        }
        if !self.held.is_empty() && is_opening(c) {
            self.flush(out);
        }
        self.held.push(c);
        let inner = self.held.chars().skip(1);
        let is_closed = is_closing(c);
        if is_closed {
            self.close(out);
        } else if self.held.len() > MAX_MARK_BYTES || !inner.clone().all(is_inside) {
            self.flush(out);
        }
    }

    fn close(&mut self, out: &mut String) {
        let (numbers, attached) = (numbers(&self.held), self.last.is_some_and(is_word));
        let valid: Vec<_> = numbers.iter().filter(|number| (1..=self.passages).contains(*number)).collect();
        if numbers.is_empty() || (valid.is_empty() && attached) {
            return self.flush(out);
        }
        self.held.clear();
        for number in valid {
            format!("[{number}]").chars().for_each(|c| self.pass(c, out));
        }
    }

    fn flush(&mut self, out: &mut String) {
        let held = std::mem::take(&mut self.held);
        held.chars().for_each(|c| self.pass(c, out));
    }

    fn pass(&mut self, c: char, out: &mut String) {
        out.push(c);
        self.last = Some(c);
    }
}

fn is_opening(c: char) -> bool {
    matches!(c, '[' | '【')
}

fn is_closing(c: char) -> bool {
    matches!(c, ']' | '】')
}

fn is_inside(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, ',' | ' ' | ';')
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | ')')
}

/// The numbers of a reference with its brackets; none when it is no reference.
fn numbers(mark: &str) -> Vec<usize> {
    let inner = mark.trim_start_matches(is_opening).trim_end_matches(is_closing);
    let parsed: Result<Vec<usize>, _> = inner.split([',', ';']).map(|number| number.trim().parse()).collect();
    parsed.unwrap_or_default()
}

/// A sentence of an answer, with the numbers of the passages that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) text: String,
    pub(super) refs: Vec<usize>,
}

/// The sentences of a finished text. A reference belongs to the sentence that it follows, also behind the full stop.
pub(super) fn claims(text: &str, passages: usize) -> Vec<Claim> {
    let (plain, marks) = without_marks(text, passages);
    let starts_in = |claim: &str| claim.as_ptr() as usize - plain.as_ptr() as usize;
    let found = sentences::claims(&plain);
    let mut claims: Vec<Claim> = Vec::with_capacity(found.len());
    let mut starts = Vec::with_capacity(found.len());
    for claim in found {
        starts.push(starts_in(claim));
        let text = claim.split_whitespace().collect::<Vec<_>>().join(" ");
        claims.push(Claim { text, refs: Vec::new() });
    }
    for (at, number) in marks {
        let owner = starts.partition_point(|start| *start < at).saturating_sub(1);
        if let Some(claim) = claims.get_mut(owner)
            && !claim.refs.contains(&number)
        {
            claim.refs.push(number);
        }
    }
    claims
}

/// The text without its references, and each of them with the place where it stood.
fn without_marks(text: &str, passages: usize) -> (String, Vec<(usize, usize)>) {
    let (mut plain, mut marks, mut rest) = (String::with_capacity(text.len()), Vec::new(), text);
    while let Some(Range { start, end }) = next_mark(rest, passages) {
        plain.push_str(&rest[..start]);
        marks.extend(numbers(&rest[start..end]).into_iter().map(|number| (plain.len(), number)));
        rest = &rest[end..];
        // "days [1]." without its reference is "days."
        if rest.starts_with(['.', ',', ';', ':', '!', '?']) {
            plain.truncate(plain.trim_end_matches(' ').len());
        }
    }
    plain.push_str(rest);
    (plain, marks)
}

fn next_mark(text: &str, passages: usize) -> Option<Range<usize>> {
    let mut from = 0;
    while let Some(start) = text[from..].find(is_opening).map(|at| from + at) {
        let end = text[start..].find(is_closing).map(|at| start + at);
        let end = end.map(|end| end + text[end..].chars().next().map_or(0, char::len_utf8));
        if let Some(end) = end.filter(|end| {
            let numbers = numbers(&text[start..*end]);
            !numbers.is_empty() && numbers.iter().all(|number| (1..=passages).contains(number))
        }) {
            return Some(start..end);
        }
        from = start + text[start..].chars().next().map_or(1, char::len_utf8);
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filtered(pieces: &[&str], passages: usize) -> String {
        let mut marks = Marks::new(passages);
        let text: String = pieces.iter().map(|piece| marks.push(piece)).collect();
        text + &marks.finish()
    }

    #[test]
    fn a_reference_that_points_to_no_passage_is_dropped_and_every_other_is_kept() {
        for (text, expected) in [
            ("Kept 7 days [1].", "Kept 7 days [1]."),
            ("Kept 7 days [3].", "Kept 7 days ."),
            ("Both [1, 2] and [2][9].", "Both [1][2] and [2]."),
            ("Chinese【2】 style", "Chinese[2] style"),
            ("the list [a, b], the item x[7], [0]", "the list [a, b], the item x[7], "),
            ("open [1", "open [1"),
            ("[[1]]", "[[1]]"),
            ("[1234567890123456789012345]", "[1234567890123456789012345]"),
            ("[link](url) [] [ ] [,]", "[link](url) [] [ ] [,]"),
        ] {
            assert_eq!(filtered(&[text], 2), expected);
        }
    }

    #[test]
    fn a_reference_belongs_to_the_sentence_that_it_follows() {
        let text = "Daily ones are kept 7 days. [1] Weekly ones 5 weeks [2][1].\n\n- Nobody knows more\n# Heading\nSee [2] e.g. here.";
        let found: Vec<_> = claims(text, 2).into_iter().map(|claim| (claim.text, claim.refs)).collect();
        let expected = [
            ("Daily ones are kept 7 days.", vec![1]),
            ("Weekly ones 5 weeks.", vec![2, 1]),
            ("- Nobody knows more", vec![]),
            ("See e.g. here.", vec![2]),
        ];
        assert_eq!(found, expected.map(|(text, refs)| (text.to_owned(), refs)));
        assert_eq!(claims("[1]", 1), []);
        assert_eq!(claims("[1] says so.", 1), [Claim { text: "says so.".to_owned(), refs: vec![1] }]);
    }

    proptest! {
        /// However a provider cuts its text.
        #[test]
        fn the_text_does_not_depend_on_how_it_arrives(text in "[a-c\\[\\]【】0-3, .é]{0,60}", passages in 0_usize..4) {
            let whole = filtered(&[&text], passages);
            let pieces: Vec<String> = text.chars().map(String::from).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            prop_assert_eq!(filtered(&pieces, passages), whole.clone());
            for claim in claims(&whole, passages) {
                prop_assert!(claim.refs.iter().all(|number| (1..=passages).contains(number)));
            }
        }
    }
}
